"""Which hosts are the service's own, whatever form their names have."""

import pytest

from jobs.settings import Settings
from web.server.hosts import OwnHosts, target_host

LOOPBACK = [
    "localhost", "localhost:8000", "LOCALHOST", "localhost.", "localhost:", "127.0.0.1", "127.0.0.1:1", "127.8.9.10",
    "[::1]", "[::1]:8000", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]",
]  # fmt: skip
STRANGE = [
    "", " ", ":8000", "x", "evil.example", "localhost.evil.example", "evil.localhost", "localhost@evil.example",
    "evil.example@localhost", "localhost, evil.example", "localhost evil.example", "localhost:80:80", "localhost:x",
    "localhost:123456", "localhost..", "localhost/", "localhost#", "localhost\\", "127.1", "2130706433", "0x7f.0.0.1",
    "127.0.0.1.evil.example", "127.0.0.1@evil", "[::1", "::1]", "::1", "[::1%25lo]", "[::1]x", "[localhost]", "[]",
    "localhost\n", "localhost\0", "lоcalhost", "http://localhost", "*", "..", "-",
]  # fmt: skip
OTHERS = ["192.168.1.5", "8.8.8.8:8000", "[2001:db8::1]", "[fe80::1]:80"]


@pytest.mark.parametrize("host", LOOPBACK)
@pytest.mark.parametrize("listens_on", ["127.0.0.1", "0.0.0.0", "::", "::1", "scoreline.internal"])
def test_loopback_is_always_its_own(host: str, listens_on: str) -> None:
    assert OwnHosts(listens_on).own(host)


@pytest.mark.parametrize("host", STRANGE)
@pytest.mark.parametrize("listens_on", ["127.0.0.1", "0.0.0.0", "::", "localhost"])
def test_foreign_or_malformed_hosts_are_not_its_own(host: str, listens_on: str) -> None:
    assert not OwnHosts(listens_on).own(host)


@pytest.mark.parametrize("host", OTHERS)
def test_any_address_is_its_own_where_it_listens_on_all_of_them(host: str) -> None:
    """An address cannot be made to point elsewhere; which of them lead here, a router between may know alone."""
    assert OwnHosts("0.0.0.0").own(host)
    assert OwnHosts("::").own(host)
    assert not OwnHosts("127.0.0.1").own(host)
    assert not OwnHosts("192.168.1.6").own(host)


@pytest.mark.parametrize(
    ("listens_on", "listed", "host"),
    [
        ("192.168.1.5", "", "192.168.1.5:8000"),
        ("2001:DB8:0::1", "", "[2001:db8::1]:8000"),
        ("Scoreline.internal", "", "scoreline.internal."),
        ("127.0.0.1", "scoreline.example, 10.0.0.7,[fd00::7]", "SCORELINE.example:443"),
        ("127.0.0.1", "scoreline.example, 10.0.0.7,[fd00::7]", "10.0.0.7"),
        ("127.0.0.1", "scoreline.example 10.0.0.7 fd00:0::7", "[fd00::7]:1"),
    ],
)
def test_so_is_what_it_listens_on_and_what_the_settings_list(listens_on: str, listed: str, host: str) -> None:
    settings = Settings(host=listens_on, hosts=listed)
    assert OwnHosts(settings.host, settings.listed_hosts).own(host)
    assert not OwnHosts(settings.host, settings.listed_hosts).own(f"x.{host}")


@pytest.mark.parametrize("listed", ["https://scoreline.example", "a/b", "scoreline.example:443", "a, b c;", "*"])
def test_a_setting_that_lists_no_hosts_is_refused(listed: str) -> None:
    with pytest.raises(ValueError, match="neither a name nor an address"):
        Settings(hosts=listed)


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("/", None),
        ("//evil.example/", None),
        ("*", None),
        ("/jobs?next=http://evil.example/", None),
        ("http://evil.example", "evil.example"),
        ("HTTP://evil.example:80/x", "evil.example:80"),
        ("http://localhost@evil.example/", "localhost@evil.example"),
        ("http://?x", ""),
        ("x-y://[::1]/", "[::1]"),
    ],
)
def test_the_host_of_a_request_target(target: str, host: str | None) -> None:
    assert target_host(target) == host


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("::", False), ("box", False)],
)
def test_who_can_reach_it(host: str, local: bool) -> None:
    assert Settings(host=host).only_local is local
