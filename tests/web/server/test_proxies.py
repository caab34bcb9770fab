"""Whom the web believes about client, scheme, host and path of a request."""

from collections.abc import Mapping
from typing import Any

import pytest
from flask import Flask, request
from pydantic import ValidationError

from jobs.settings import Settings
from web.server.proxies import must_be_received_first, named_hosts, trust_proxies

FORWARDED = {
    "X-Forwarded-For": "203.0.113.1, 192.0.2.7",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "scoreline.example",
    "X-Forwarded-Prefix": "/scoreline",
}
SEEN = ("192.0.2.7", "https://scoreline.example/scoreline/jobs")
AS_IT_CAME = ("10.0.0.5", "http://localhost/jobs")


def seen(headers: Mapping[str, str], peer: str = "10.0.0.5", **settings: Any) -> tuple[str, str]:
    """Client and address of a request as the web sees them."""
    app = Flask(__name__)

    @app.get("/jobs")
    def jobs() -> list[str]:
        return [request.remote_addr or "", request.base_url]

    trust_proxies(app, Settings(**settings))
    address, url = app.test_client().get("/jobs", headers=headers, environ_base={"REMOTE_ADDR": peer}).json
    return address, url


@pytest.mark.parametrize("settings", [
    {"proxies": 1}, {"trusted_proxies": "10.0.0.5"}, {"trusted_proxies": "192.0.2.0/24, 10.0.0.0/8"},
    {"trusted_proxies": "10.0.0.5", "proxies": 1},
])  # fmt: skip
def test_a_trusted_proxy_is_believed(settings: dict[str, Any]) -> None:
    assert seen(FORWARDED, **settings) == SEEN
    assert seen({}, **settings) == AS_IT_CAME


@pytest.mark.parametrize("settings", [{}, {"trusted_proxies": "10.0.0.6"}, {"trusted_proxies": "::1", "proxies": 1}])
def test_nobody_else_is(settings: dict[str, Any]) -> None:
    assert seen(FORWARDED, **settings) == AS_IT_CAME


def test_with_two_proxies_the_first_ones_client_counts() -> None:
    assert seen(FORWARDED | {"X-Forwarded-Proto": "https, http"}, proxies=2)[0] == "203.0.113.1"


def test_an_address_of_ipv4_counts_as_such_on_a_socket_of_ipv6() -> None:
    assert seen(FORWARDED, "::ffff:10.0.0.5", trusted_proxies="10.0.0.5") == SEEN


@pytest.mark.parametrize("prefix", [
    "//evil.example", "/\\evil.example", "evil.example", "https://evil.example", "/a b", "/a?b", "/a//b", "/a;b", "/é",
])  # fmt: skip
def test_a_prefix_that_would_lead_elsewhere_is_ignored(prefix: str) -> None:
    assert seen(FORWARDED | {"X-Forwarded-Prefix": prefix}, proxies=1)[1] == "https://scoreline.example/jobs"


@pytest.mark.parametrize("prefix", ["/scoreline", "/scoreline/", "/other, /scoreline"])
def test_the_nearest_proxys_prefix_counts(prefix: str) -> None:
    assert seen(FORWARDED | {"X-Forwarded-Prefix": prefix}, proxies=1) == SEEN


def test_a_scheme_that_is_none_of_the_webs_is_ignored() -> None:
    assert seen(FORWARDED | {"X-Forwarded-Proto": "javascript"}, proxies=1)[1].startswith("http://")


def test_both_the_forwarded_host_and_the_one_that_came_have_to_be_the_services_own() -> None:
    app, hosts = Flask(__name__), list[str]()
    app.before_request(lambda: hosts.extend(named_hosts(request.environ)))
    trust_proxies(app, Settings(proxies=1))
    app.test_client().get("/", headers=FORWARDED)
    assert hosts == ["localhost", "scoreline.example"]


@pytest.mark.parametrize(("environ", "settings", "may"), [
    ({"SERVER_PROTOCOL": "HTTP/1.1"}, {}, False),
    ({"SERVER_PROTOCOL": "HTTP/1.0"}, {}, False),
    ({"SERVER_PROTOCOL": "HTTP/1.0", "HTTP_CONNECTION": "close"}, {}, True),
    ({"SERVER_PROTOCOL": "HTTP/1.1", "HTTP_VIA": "1.1 cache"}, {}, True),
    ({"SERVER_PROTOCOL": "HTTP/1.1", "HTTP_X_FORWARDED_FOR": "192.0.2.7"}, {}, True),
    ({"SERVER_PROTOCOL": "HTTP/1.1"}, {"proxies": 1}, True),
    ({"SERVER_PROTOCOL": "HTTP/1.1"}, {"tls_certificate": __file__, "tls_key": __file__}, True),
])  # fmt: skip
def test_a_body_comes_first_through_proxies_and_tls(
    environ: dict[str, str], settings: dict[str, Any], may: bool
) -> None:
    assert must_be_received_first(environ, Settings(**settings)) is may


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"'proxy\.example' does not appear to be an IPv4 or IPv6 network"):
        Settings(trusted_proxies="10.0.0.5, proxy.example")
