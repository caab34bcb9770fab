"""Uploads with wrong lengths, endless bodies or gzip bombs are refused without growing the web's memory."""

import gzip
import os
import socket
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.test_jobs_api import FILE, GOOD, HEADER
from tests.e2e.test_slow_clients import clients, head
from tests.stack import CSV, Stack, problem_of

MIB = 1024 * 1024
# How much a web process may grow in these tests; far less than what is sent or decompressed.
MAX_GROWTH = 48 * MIB
FORM = {"Content-Type": "multipart/form-data; boundary=x"}
PART = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n'
FILE_PART = b'--x\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n\r\n'


def web_memory(stack: Stack) -> int:
    return max(int(process.memory_info().rss) for process in stack.processes("gunicorn", "web.wsgi"))


def response_to(service: Stack, text: bytes) -> bytes:
    """Send a request, close the sending side, and return the whole response."""
    with clients(service, 1, text) as [connection]:
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize("path", ["/api/v1/jobs", "/api/v1/score", "/api/v1/preflight", "/jobs", "/api/v1/predictions"])
@pytest.mark.parametrize("length", [
    pytest.param(["Content-Length: 99999"], id="too long"),
    pytest.param(["Content-Length: -5"], id="negative"),
    pytest.param(["Content-Length: many"], id="not a number"),
    pytest.param(["Content-Length: 5", "Content-Length: 6"], id="twice"),
    pytest.param(["Content-Length: 166", "Transfer-Encoding: chunked"], id="with chunked"),
    pytest.param(["Transfer-Encoding: chunked"], id="not really chunked"),
    pytest.param(["Transfer-Encoding: gzip"], id="unsupported transfer coding"),
])  # fmt: skip
def test_a_wrong_length_is_refused(service: Stack, path: str, length: list[str]) -> None:
    if path == "/api/v1/preflight" and length == ["Content-Length: 99999"]:
        pytest.skip("a preflight accepts the beginning of a file")
    kind = "application/json" if path.endswith("predictions") else "text/csv"
    before = service.get("/api/v1/jobs").json()["jobs"]
    answer = response_to(service, head("POST", path, f"Content-Type: {kind}", *length) + FILE)
    assert answer[:13] == b"HTTP/1.1 400 "
    assert service.get("/api/v1/jobs").json()["jobs"] == before


def test_bytes_after_the_content_length_are_not_part_of_the_body(service: Stack) -> None:
    """They would be the next request, and are not a valid one."""
    lines = f"{HEADER}\n{GOOD}\n".encode()
    begin = head("POST", "/api/v1/jobs", "Content-Type: text/csv", f"Content-Length: {len(lines)}", "Prefer: wait=30")
    answer = response_to(service, begin + lines + f"{GOOD}\n".encode())
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b'"total":1,' in answer


def test_a_request_without_a_length_has_no_body(service: Stack) -> None:
    with clients(service, 1, head("POST", "/api/v1/jobs", "Content-Type: text/csv")) as [connection]:
        assert connection.recv(4096).startswith(b"HTTP/1.1 422 ")


def gzip_bomb(rows: int) -> bytes:
    """Return a gzip file that decompresses to about a thousand times its size."""
    text = f"{HEADER}\n".encode() + f"{GOOD}\n".encode()
    packed = gzip.compress(text + (b" " * MIB + b"\n") * rows)
    assert MIB * rows > 900 * len(packed)
    return packed


@pytest.mark.parametrize("path", ["/api/v1/jobs", "/api/v1/score", "/api/v1/preflight"])
def test_a_gzip_bomb_is_refused_with_flat_memory(small: Stack, path: str) -> None:
    data, before = gzip_bomb(40), web_memory(small)
    form = small.request("POST", path, files={"file": ("a.csv.gz", data)})
    assert form.status_code in (413, 422, 200 if path.endswith("preflight") else 413)
    try:
        packed = small.request("POST", path, content=data, headers={**CSV, "Content-Encoding": "gzip"})
        assert packed.status_code in (413, 422, 200 if path.endswith("preflight") else 413)
    except (httpx.RemoteProtocolError, httpx.ReadError):
        assert path.endswith("score")  # the response has begun, so the connection is reset
    assert web_memory(small) - before < MAX_GROWTH


def endless_body(block: bytes, first: bytes = b"", mebibytes: int = 60) -> Iterator[bytes]:
    yield first
    for _ in range(mebibytes * MIB // len(block)):
        yield block


@pytest.mark.parametrize("content", [
    pytest.param(((PART % b"n" + b"1\r\n") * 1000,), id="endless parts"),
    pytest.param((b"x" * 65536, PART % b"model"), id="an endless field"),
    pytest.param((b"x" * 65536, PART % b"other"), id="an endless unknown field"),
    pytest.param((b"X-Y: z\r\n" * 1000, PART[:-4] % b"file"), id="endless headers"),
    pytest.param((b"x" * 65536, FILE_PART % b"a.csv"), id="an endless line"),
    pytest.param((b'"' + b"x\n" * 30000, FILE_PART % b"a.csv" + HEADER.encode() + b"\n"), id="an endless file"),
    pytest.param((b"x" * 65536, b"not a form"), id="not a form"),
])  # fmt: skip
def test_endless_forms_are_refused_with_flat_memory(small: Stack, content: tuple[bytes, ...]) -> None:
    before, jobs = web_memory(small), small.get("/api/v1/jobs").json()["jobs"]
    answer = small.request("POST", "/api/v1/jobs", content=endless_body(*content), headers=FORM)
    assert answer.status_code in (400, 413, 422), answer.text
    assert web_memory(small) - before < MAX_GROWTH
    assert small.get("/api/v1/jobs").json()["jobs"] == jobs


def test_large_json_is_refused_before_it_is_read_whole(small: Stack) -> None:
    kind, before = {"Content-Type": "application/json"}, web_memory(small)
    answer = small.request("POST", "/api/v1/predictions", content=endless_body(b" " * 65536), headers=kind)
    assert problem_of(answer) == (413, "too_large")
    assert web_memory(small) - before < MAX_GROWTH


def test_random_bytes_are_not_gzip(service: Stack) -> None:
    headers = {**CSV, "Content-Encoding": "gzip"}
    assert problem_of(service.request("POST", "/api/v1/jobs", content=os.urandom(100_000), headers=headers)) == (
        400,
        "malformed_body",
    )
