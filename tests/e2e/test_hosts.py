"""A page of another site cannot make the service its own by a name that points here, nor write in a visitor's name."""

from typing import Any

import pytest

from tests.e2e.test_jobs_api import FILE
from tests.e2e.test_slow_clients import clients, last_of
from tests.stack import CSV, Stack, problem_of
from tests.web.reading import Page

PATHS = ["/", "/jobs", "/api/v1/jobs", "/api/v1/openapi.json", "/healthz", "/metrics", "/static/page.js", "/nowhere"]


@pytest.mark.parametrize("path", PATHS)
def test_a_request_under_a_foreign_name_is_misdirected(service: Stack, path: str) -> None:
    for host in ("evil.example", f"evil.example:{service.port}", "127.0.0.1.evil.example", "192.0.2.7"):
        answer = service.get(path, headers={"Host": host})
        assert answer.status_code == 421
        if path.startswith(("/api/", "/healthz", "/metrics")):
            assert problem_of(answer) == (421, "unknown_host")
        else:
            assert "unknown_host" in Page(answer).text()
        assert "evil" not in answer.text


def raw(service: Stack, *lines: str) -> int:
    text = "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1")
    with clients(service, 1, text) as [connection]:
        return int(last_of(connection).split(b" ", 2)[1])


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["GET /healthz HTTP/1.1", "Host: LocalHost.:99"], 200),
        (["GET /healthz HTTP/1.1", "Host: [::1]:8000"], 200),
        (["GET http://localhost/healthz HTTP/1.1", "Host: localhost"], 200),
        (["GET http://localhost HTTP/1.1", "Host: localhost"], 200),
        (["GET http://localhost?age=39 HTTP/1.1", "Host: localhost"], 200),
        (["POST http://localhost HTTP/1.1", "Host: localhost", "Content-Length: 0"], 405),
        (["GET http://evil.example HTTP/1.1", "Host: localhost"], 421),
        (["GET http://evil.example/healthz HTTP/1.1", "Host: localhost"], 421),
        (["GET http://localhost/healthz HTTP/1.1", "Host: evil.example"], 421),
        (["GET http://localhost@evil.example/healthz HTTP/1.1", "Host: localhost"], 421),
        (["GET ftp://evil.example/healthz HTTP/1.1", "Host: localhost"], 421),
        (["GET http:///healthz HTTP/1.1", "Host: localhost"], 421),
        (["GET /healthz HTTP/1.1"], 421),
        (["GET /healthz HTTP/1.0"], 421),
        (["GET /healthz HTTP/1.1", "Host:"], 421),
        (["GET /healthz HTTP/1.1", "Host: localhost", "Host: evil.example"], 400),
        (["GET /healthz HTTP/1.1", "Host: localhost", "Host: localhost"], 400),
        (["GET /healthz HTTP/1.1", "Host: evil.example", "X-Forwarded-Host: localhost"], 421),
        (["GET /healthz HTTP/1.1", "Host: evil.example", "Forwarded: host=localhost"], 421),
        (["GET /healthz HTTP/1.1", "Host: localhost", "X-Forwarded-Host: evil.example"], 200),
        (["GET /healthz HTTP/1.1", "Host : localhost"], 400),
        (["GET /healthz HTTP/1.1", "Host: localhost, evil.example"], 421),
        (["GET /healthz HTTP/1.1", "Host: localhost\xa0"], 421),
    ],
)
def test_every_way_to_name_a_host_counts(service: Stack, lines: list[str], status: int) -> None:
    assert raw(service, *lines) == status


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://[::1"},
        {"Origin": "http://127.0.0.1.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "Same-Origin"},
        {"Sec-Fetch-Site": ""},
    ],
)
def test_a_page_of_another_site_cannot_write(service: Stack, headers: dict[str, Any]) -> None:
    job = service.upload(FILE).json()
    writes = [
        ("POST", "/api/v1/jobs"), ("POST", "/api/v1/score"), ("PUT", "/api/v1/score"), ("POST", "/api/v1/preflight"),
        ("POST", "/jobs"), ("DELETE", job["links"]["self"]), ("POST", f"{job['links']['page']}/delete"),
        ("POST", f"{job['links']['page']}/cancel"), ("POST", f"{job['links']['page']}/again"),
        ("POST", "/api/v1/predictions"),
    ]  # fmt: skip
    for method, path in writes:
        answer = service.request(method, path, content=FILE, headers=CSV | headers)
        assert answer.status_code == 403, (method, path)
        assert "foreign_request" in answer.text
    assert service.get(job["links"]["self"]).json() == job


def test_the_services_own_pages_can_write(service: Stack) -> None:
    for host in (f"127.0.0.1:{service.port}", "localhost:9"):
        headers = CSV | {"Host": host, "Origin": f"http://{host}"}
        assert service.request("POST", "/api/v1/preflight", content=FILE, headers=headers).status_code == 200
