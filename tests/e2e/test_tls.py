"""The web speaks https itself: all that works without works with it, and nobody holds it up by a slow handshake."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.e2e.test_jobs_api import FILE, GOOD, LARGE, LARGE_ROWS, blocks
from tests.proxies import another_web
from tests.stack import CSV, Stack
from tests.tls import Certificates, make_certificates


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def settings(made: Certificates) -> dict[str, str]:
    return {"SCORELINE_TLS_CERTIFICATE": str(made.certificate), "SCORELINE_TLS_KEY": str(made.key)}


@pytest.fixture(scope="module")
def web(service: Stack, settings: dict[str, str]) -> Iterator[Stack]:
    """The service with another web, which speaks https."""
    with another_web(service, **settings) as web:
        yield web


@pytest.fixture
def client(web: Stack, made: Certificates) -> Iterator[httpx.Client]:
    """A client that checks the certificate."""
    trusted = ssl.create_default_context(cafile=str(made.authority))
    with httpx.Client(base_url=web.url, verify=trusted, timeout=90) as client:
        yield client


def connection(web: Stack, made: Certificates) -> ssl.SSLSocket:
    trusted = ssl.create_default_context(cafile=str(made.authority))
    return trusted.wrap_socket(socket.create_connection(("127.0.0.1", web.port), 60), server_hostname="127.0.0.1")


def test_a_file_is_uploaded_scored_followed_and_downloaded(client: httpx.Client) -> None:
    headers = CSV | {"Prefer": "wait=60, until=ended"}
    job = client.post("/api/v1/jobs", content=blocks(LARGE), headers=headers).raise_for_status().json()
    assert (job["state"], job["rows"]["scored"]) == ("succeeded", LARGE_ROWS)
    lines = client.get(job["links"]["results"]).raise_for_status().text.splitlines()
    assert len(lines) == LARGE_ROWS + 1
    assert set(lines[1:]) == {f"{GOOD},<=50K,0.150521,"}
    with client.stream("GET", job["links"]["events"]) as events:
        assert '"state":"succeeded"' in events.read().decode()


def test_a_file_is_scored_in_one_request(client: httpx.Client) -> None:
    response = client.put("/api/v1/score", content=blocks(LARGE)).raise_for_status()
    assert response.text.count("\n") == LARGE_ROWS + 1


def test_requests_that_come_together_are_all_answered(web: Stack, made: Certificates) -> None:
    """Of what is decrypted together, only the body may be read: then the socket itself has nothing more to read."""
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
    upload = b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\nContent-Length: %d\r\n\r\n"
    # It ends within the second record of TLS, with more left than is read at once unless a body needs it.
    file = FILE + f"{GOOD}\n".encode() * 500
    assert (16 + 8) * 1024 < len(file) < 30 * 1024
    with connection(web, made) as client:
        together = [upload % len(file) + file, request + b"\r\n", request + b"Connection: close\r\n\r\n"]
        client.sendall(b"".join(together))
        answers = b"".join(iter(lambda: client.recv(65536), b""))
    assert answers.count(b"HTTP/1.1 200") == 2
    assert answers.count(b"HTTP/1.1 202") == 1


def test_the_end_of_an_answer_is_told_as_tls_has_it(web: Stack, made: Certificates) -> None:
    """Otherwise a client could not tell it from a connection that somebody has cut."""
    with connection(web, made) as client:
        client.sendall(b"GET /api/v1/models HTTP/1.0\r\nHost: localhost\r\n\r\n")
        client.suppress_ragged_eofs = False
        assert b"".join(iter(lambda: client.recv(65536), b"")).endswith(b"}")


def test_handshakes_that_never_end_and_plain_requests_hold_nobody_up(web: Stack, client: httpx.Client) -> None:
    with ExitStack() as stack:
        for beginning in (b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") * 50:
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", web.port), 60))
            slow.sendall(beginning)
        assert client.get("/healthz").json() == {"status": "ok"}
        assert client.get("/").status_code == 200


def test_cookies_are_for_https_only(service: Stack, settings: dict[str, str]) -> None:
    with another_web(service, SCORELINE_AUTH="on", **settings) as web:
        cookie = web.get("/signin").headers["Set-Cookie"]
    assert "Secure" in cookie
    assert "HttpOnly" in cookie
