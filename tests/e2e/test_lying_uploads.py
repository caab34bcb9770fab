"""Uploads that lie about themselves are refused, and cost the web no memory."""

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
# What a web process may grow by in these tests: far less than what is sent or unpacked.
ROOM = 48 * MIB
FORM = {"Content-Type": "multipart/form-data; boundary=x"}
PART = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n'
FILE_PART = b'--x\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n\r\n'


def resident(stack: Stack) -> int:
    return max(int(process.memory_info().rss) for process in stack.processes("gunicorn", "web.wsgi"))


def sent(service: Stack, text: bytes) -> bytes:
    """All that is answered to a request that is over when its bytes have been sent."""
    with clients(service, 1, text) as [connection]:
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize("path", ["/api/v1/jobs", "/api/v1/score", "/api/v1/preflight", "/jobs", "/api/v1/predictions"])
@pytest.mark.parametrize("length", [
    pytest.param(["Content-Length: 99999"], id="too long"),
    pytest.param(["Content-Length: -5"], id="negative"),
    pytest.param(["Content-Length: many"], id="no number"),
    pytest.param(["Content-Length: 5", "Content-Length: 6"], id="twice"),
    pytest.param(["Content-Length: 166", "Transfer-Encoding: chunked"], id="chunked as well"),
    pytest.param(["Transfer-Encoding: chunked"], id="chunked and is not"),
    pytest.param(["Transfer-Encoding: gzip"], id="of an unknown end"),
])  # fmt: skip
def test_a_length_that_is_not_true_is_refused(service: Stack, path: str, length: list[str]) -> None:
    if path == "/api/v1/preflight" and length == ["Content-Length: 99999"]:
        pytest.skip("a preflight takes the beginning of a file")
    kind = "application/json" if path.endswith("predictions") else "text/csv"
    before = service.get("/api/v1/jobs").json()["jobs"]
    answer = sent(service, head("POST", path, f"Content-Type: {kind}", *length) + FILE)
    assert answer[:13] == b"HTTP/1.1 400 "
    assert service.get("/api/v1/jobs").json()["jobs"] == before


def test_a_body_shorter_than_what_is_sent_ends_where_it_says(service: Stack) -> None:
    """What follows is another request, and none at that."""
    lines = f"{HEADER}\n{GOOD}\n".encode()
    begin = head("POST", "/api/v1/jobs", "Content-Type: text/csv", f"Content-Length: {len(lines)}", "Prefer: wait=30")
    answer = sent(service, begin + lines + f"{GOOD}\n".encode())
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b'"total":1,' in answer


def test_a_request_without_any_length_has_no_body(service: Stack) -> None:
    with clients(service, 1, head("POST", "/api/v1/jobs", "Content-Type: text/csv")) as [connection]:
        assert connection.recv(4096).startswith(b"HTTP/1.1 422 ")


def bomb(rows: int) -> bytes:
    """A file that is a thousand times as large when it is unpacked."""
    text = f"{HEADER}\n".encode() + f"{GOOD}\n".encode()
    packed = gzip.compress(text + (b" " * MIB + b"\n") * rows)
    assert MIB * rows > 900 * len(packed)
    return packed


@pytest.mark.parametrize("path", ["/api/v1/jobs", "/api/v1/score", "/api/v1/preflight"])
def test_a_gzip_bomb_is_refused_with_flat_memory(small: Stack, path: str) -> None:
    data, before = bomb(40), resident(small)
    form = small.request("POST", path, files={"file": ("a.csv.gz", data)})
    assert form.status_code in (413, 422, 200 if path.endswith("preflight") else 413)
    try:
        packed = small.request("POST", path, content=data, headers={**CSV, "Content-Encoding": "gzip"})
        assert packed.status_code in (413, 422, 200 if path.endswith("preflight") else 413)
    except httpx.RemoteProtocolError:
        assert path.endswith("score")  # too late for a status: the transfer breaks off
    assert resident(small) - before < ROOM


def endless(block: bytes, first: bytes = b"", mebibytes: int = 60) -> Iterator[bytes]:
    yield first
    for _ in range(mebibytes * MIB // len(block)):
        yield block


@pytest.mark.parametrize("content", [
    pytest.param(((PART % b"n" + b"1\r\n") * 1000,), id="parts without end"),
    pytest.param((b"x" * 65536, PART % b"model"), id="a field without end"),
    pytest.param((b"x" * 65536, PART % b"other"), id="an unknown field without end"),
    pytest.param((b"X-Y: z\r\n" * 1000, PART[:-4] % b"file"), id="headers without end"),
    pytest.param((b"x" * 65536, FILE_PART % b"a.csv"), id="a line without end"),
    pytest.param((b'"' + b"x\n" * 30000, FILE_PART % b"a.csv" + HEADER.encode() + b"\n"), id="a file without end"),
    pytest.param((b"x" * 65536, b"no form"), id="no form at all"),
])  # fmt: skip
def test_forms_without_end_are_refused_with_flat_memory(small: Stack, content: tuple[bytes, ...]) -> None:
    before, jobs = resident(small), small.get("/api/v1/jobs").json()["jobs"]
    answer = small.request("POST", "/api/v1/jobs", content=endless(*content), headers=FORM)
    assert answer.status_code in (400, 413, 422), answer.text
    assert resident(small) - before < ROOM
    assert small.get("/api/v1/jobs").json()["jobs"] == jobs


def test_large_json_is_refused_before_it_is_read(small: Stack) -> None:
    kind, before = {"Content-Type": "application/json"}, resident(small)
    answer = small.request("POST", "/api/v1/predictions", content=endless(b" " * 65536), headers=kind)
    assert problem_of(answer) == (413, "too_large")
    assert resident(small) - before < ROOM


def test_random_bytes_are_no_gzip(service: Stack) -> None:
    headers = {**CSV, "Content-Encoding": "gzip"}
    assert problem_of(service.request("POST", "/api/v1/jobs", content=os.urandom(100_000), headers=headers)) == (
        400,
        "malformed_body",
    )
