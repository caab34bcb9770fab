"""What is sent to harm is refused, repeated nowhere as it came, and told nothing about the inside."""

import json
import re
from typing import Any

import httpx
import pytest

from tests.e2e.test_jobs_api import FILE, GOOD, HEADER
from tests.e2e.test_slow_clients import RECORD, clients, head, last_of
from tests.stack import CSV, Stack, problem_of

HARM = "<script>alert('x')</script>\"'{{7*7}}%0d%0aSet-Cookie:a=b"
INSIDES = re.compile(r"Traceback|File \"|site-packages|\.py\b|gunicorn\.|werkzeug|redis\.exceptions|/tmp/")
DISPOSITION = re.compile(r"attachment; filename=\"[^\"]*\"(; filename\*=UTF-8''[\w.%~-]+)?")
JSON = {"Content-Type": "application/json"}


def answer_to(service: Stack, text: bytes) -> tuple[bytes, dict[str, str], bytes]:
    """Status line, headers and body of what is answered to bytes that may be no request."""
    with clients(service, 1, text) as [connection]:
        first, _, body = last_of(connection).partition(b"\r\n\r\n")
    line, *headers = first.decode().split("\r\n")
    return line.encode(), dict(header.split(": ", 1) for header in headers), body


def check_headers(headers: Any) -> None:
    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "object-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


@pytest.mark.parametrize("path", [
    "/", "/jobs", "/models/income", "/static/page.js", "/nowhere", "/api/v1/docs", "/api/v1/jobs", "/api/v1/jobs/x",
    "/api/v1/models/income/sample.csv", "/healthz", "/readyz", "/static/../../etc/passwd", "/probability?age=x",
])  # fmt: skip
def test_every_answer_has_the_headers(service: Stack, path: str) -> None:
    for method in ("GET", "HEAD", "PATCH", "OPTIONS"):
        check_headers(service.request(method, path).headers)


@pytest.mark.parametrize(("text", "status"), [
    (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
    (b"GET /" + b"x" * 100_000, 414),
    (head("GET", "/", "X-Long: " + "x" * 9000), 431),
    (head("GET", "/", *(f"X-{number}: x" for number in range(200))), 431),
    (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000, 431),
    (b"<script>alert(1)</script>\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\n<script>: 1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\nHost: localhost\n\n", 400),
    (head("GET", "/", "Host: y"), 400),
    (head("POST", "/", "Content-Length: <script>"), 400),
    (head("POST", "/", "Transfer-Encoding: <script>"), 501),
    (head("POST", "/", "Expect: <script>"), 417),
    (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
])  # fmt: skip
def test_what_is_no_request_gets_a_problem_that_repeats_nothing(service: Stack, text: bytes, status: int) -> None:
    line, headers, body = answer_to(service, text)
    assert line.startswith(b"HTTP/1.1 %d " % status)
    assert headers["Content-Type"] == "application/problem+json"
    assert json.loads(body)["status"] == status
    assert b"script" not in body
    assert not INSIDES.search(body.decode())
    check_headers(headers)


def test_data_is_kept_in_no_cache(service: Stack) -> None:
    job = service.upload(FILE).json()
    prediction = service.request("POST", "/api/v1/predictions", json={"record": RECORD})
    answers = [prediction, service.request("POST", "/api/v1/preflight", content=FILE, headers=CSV)]
    answers += [service.get(job["links"][name]) for name in ("self", "page", "results", "rejects", "summary")]
    answers += [service.get(prediction.json()["links"]["self"]), service.get("/jobs"), service.get("/api/v1/jobs")]
    assert {answer.headers["Cache-Control"] for answer in answers} == {"no-store"}
    assert all(answer.status_code == 200 for answer in answers)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"record":' * 50_000,
        b'{"record": {"age": ' + b"9" * 100_000 + b"}}",
        b'{"record": {"age": 1e999999}}',
        b'{"record": {"age": [[[[]]]]}}',
        b'{"record": {"__proto__": {}, "age": {"$gt": 0}}}',
        b'{"records": [1, null, "x", []]}',
        b'{"model": ["income"], "record": {}}',
        b'{"model": "../../../etc/passwd", "record": {}}',
        b'{"threshold": "nan", "record": {}}',
        b"\xff\xfe\x00",
    ],
)
def test_json_that_is_made_to_harm_is_refused(service: Stack, body: bytes) -> None:
    answer = service.request("POST", "/api/v1/predictions", content=body, headers=JSON)
    assert answer.status_code in (400, 422)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert not INSIDES.search(answer.text)
    assert len(answer.content) < 100_000


def test_chunks_of_json_that_are_malformed_are_refused(service: Stack) -> None:
    begin = head("POST", "/api/v1/predictions", "Content-Type: application/json", "Transfer-Encoding: chunked")
    line, _, body = answer_to(service, begin + b"zz\r\n\r\n")
    assert line.startswith(b"HTTP/1.1 400 ")
    assert b"malformed_body" in body


@pytest.mark.parametrize("name", ["..", "../income", "..%2f..%2fetc%2fpasswd", "%00", "income%00", ".", "a" * 3000])
def test_a_name_is_no_path(service: Stack, name: str) -> None:
    for path in (f"/api/v1/models/{name}", f"/models/{name}", f"/api/v1/jobs/{name}", f"/static/{name}/x"):
        answer = service.get(path)
        assert answer.status_code in (200, 308, 404)
        assert "root:" not in answer.text
        assert not INSIDES.search(answer.text) or answer.status_code == 200
    query = {"model": httpx.URL(f"http://x/{name}").path.removeprefix("/")}
    assert service.upload(FILE, wait=0, **query).status_code in (202, 422)


def test_what_was_typed_is_escaped_on_pages(service: Stack) -> None:
    values = {"age": HARM, "work": HARM, "education": HARM, "status": HARM, "race": HARM, "sex": HARM, "hours": HARM}
    job = service.upload(f"{HEADER},{HARM.replace(chr(34), '')}\n{GOOD},x\n{HARM.replace(chr(34), '')}{GOOD[2:]},x\n"
                         .encode(), filename=HARM).json()  # fmt: skip
    pages = [service.get("/probability", params=values), service.get(job["links"]["page"]), service.get("/jobs"),
             service.get(f"/{HARM}"), service.get("/jobs", params={"state": HARM, "cursor": HARM}),
             service.get("/models/income", params={"threshold": HARM}),
             service.request("POST", "/jobs", files={"file": (HARM, b"a,b\n1,2\n")}, data={"model": HARM})]  # fmt: skip
    for page in pages:
        assert page.headers["Content-Type"].startswith("text/html")
        assert "<script>alert" not in page.text
        assert "49" not in re.findall(r"\{\{.*?\}\}|value=\"49", page.text)


def test_a_file_name_stays_within_its_header(service: Stack) -> None:
    name = 'a"; filename="b.exe"\r\nSet-Cookie: a=b\r\n\r\n<script>.csv'
    job = service.upload(FILE, filename=name).json()
    headers = service.get(job["links"]["results"]).headers
    assert "Set-Cookie" not in headers
    assert DISPOSITION.fullmatch(headers["Content-Disposition"])


def test_links_do_not_follow_a_host_that_was_made_up(service: Stack) -> None:
    headers = {
        **CSV,
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Ssl": "off",
        "X-Forwarded-Prefix": "/evil",
        "Forwarded": "host=evil.example",
    }
    answer = service.request("POST", "/api/v1/jobs", content=FILE, headers=headers)
    assert answer.headers["Location"].startswith("/api/v1/jobs/")
    everywhere = answer.text + str(answer.headers)
    for path in ("/", answer.json()["links"]["page"], "/models/income/prediction", "/api/v1/openapi.json"):
        page = service.get(path, headers=headers)
        everywhere += page.text + str(page.headers)
    assert "evil" not in everywhere


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND", "PATCH", "FOO"])
def test_other_methods_are_not_allowed(service: Stack, method: str) -> None:
    for path in ("/api/v1/jobs", "/api/v1/predictions"):
        assert problem_of(service.request(method, path)) == (405, "method_not_allowed")
