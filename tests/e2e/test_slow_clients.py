"""Clients that are slow, silent or many hold up nobody else."""

import gzip
import json
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from tests.e2e.test_jobs_api import FILE, GOOD, HEADER, LARGE
from tests.stack import CSV, Stack, problem_of, taken, wait_until

# More than the service has threads for at once, were each of these clients to keep one.
SLOW = 300
POLLS = 1000
RECORD = dict(zip(HEADER.split(","), GOOD.split(","), strict=True))
# A file of more than one chunk: scoring begins before all of it has come.
BEGINNING = LARGE[: len(HEADER) + 1 + 100_000 * (len(GOOD) + 1)]


@contextmanager
def clients(service: Stack, count: int, *texts: bytes, address: str = "127.0.0.1") -> Iterator[list[socket.socket]]:
    """Connections from a loopback address on which each of the texts has been sent, and nothing more."""
    with ExitStack() as stack:
        found = []
        for _ in range(count):
            connection = stack.enter_context(socket.socket())
            # Little that is not read fits in here, so that the service itself has to wait.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            connection.settimeout(60)
            connection.bind((address, 0))
            connection.connect(("127.0.0.1", service.port))
            found.append(connection)
            for text in texts:
                found[-1].sendall(text)
        yield found


def serves_others(service: Stack) -> None:
    with service.client() as client:
        client.timeout = 30
        # Workers may be late with their heartbeats while all the clients connect.
        assert taken(lambda: client.get("/readyz"), seconds=30).status_code == 200
        assert client.post("/api/v1/predictions", json={"record": RECORD}).status_code == 200
        sample = client.get("/api/v1/models/income/sample.csv").content
        job = client.post("/api/v1/jobs", content=sample, headers={**CSV, "Prefer": "wait=30"}).json()
        assert job["state"] == "succeeded"
        assert client.get(job["links"]["results"]).content.count(b"\n") == sample.count(b"\n")


def head(method: str, path: str, *lines: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


POST_CSV = head("POST", "/api/v1/jobs", "Content-Type: text/csv", "Content-Length: 100000000")
POST_JSON = head("POST", "/api/v1/predictions", "Content-Type: application/json", "Content-Length: 1000")
POST_CHUNKS = head("POST", "/api/v1/predictions", "Content-Type: application/json", "Transfer-Encoding: chunked")
POST_FORM = head("POST", "/jobs", "Content-Type: multipart/form-data; boundary=x", "Content-Length: 15000")
POST_GZIP = head("POST", "/api/v1/jobs", "Content-Type: text/csv", "Content-Encoding: gzip", "Content-Length: 15000")
POST_BOOK = head("POST", "/api/v1/jobs", "Content-Type: application/octet-stream", "Content-Length: 15000000")
HEALTHZ = head("GET", "/healthz")


@pytest.mark.parametrize(
    "texts",
    [
        pytest.param([], id="nothing"),
        pytest.param([b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Half: a li"], id="half a header line"),
        pytest.param([HEALTHZ + b"GET /heal"], id="one request and a half"),
        pytest.param([POST_JSON + b'{"rec'], id="half a record"),
        pytest.param([POST_CSV + FILE], id="the beginning of a file"),
        pytest.param([head("GET", "/healthz", "Connection: close")], id="a connection that it does not close"),
        pytest.param([b"\x16\x03\x01\x02\x00\x01"], id="the beginning of a handshake"),
        pytest.param([POST_CHUNKS + b"ffff"], id="half the length of a chunk"),
        pytest.param([POST_CHUNKS + b"5\r\nage"], id="half a chunk"),
        pytest.param([POST_CHUNKS + b"0\r\n"], id="no end behind the last chunk"),
        pytest.param([POST_FORM + b"--x\r\nContent-Disposition: form-data; na"], id="half the head of a part"),
        pytest.param([POST_GZIP + gzip.compress(FILE)[:20]], id="half a packed file"),
        pytest.param([POST_BOOK + b"PK\x03\x04[Content_Types].xml"], id="the beginning of a workbook"),
        pytest.param([HEALTHZ * 100], id="a hundred requests whose answers are not read"),
    ],
)
def test_clients_that_send_too_little_hold_up_nobody(service: Stack, texts: list[bytes]) -> None:
    with clients(service, SLOW, *texts):
        serves_others(service)


LARGE_JSON = head("POST", "/api/v1/predictions", "Content-Type: application/json", "Content-Length: 1000000")
WAITING_JSON = head(
    "POST", "/api/v1/predictions", "Content-Type: application/json", "Content-Length: 9", "Expect: 100-continue"
)


@pytest.mark.parametrize(
    "texts",
    [
        pytest.param([LARGE_JSON + b"{"], id="the beginning of many records"),
        pytest.param([WAITING_JSON], id="a small body that waits to be asked for"),
        pytest.param([POST_CSV + b"a"], id="one byte of a file"),
    ],
)
def test_slow_bodies_at_one_address_leave_the_rest_to_others(service: Stack, texts: list[bytes]) -> None:
    """What is small needs no place of a large one; and a large one of somebody else gets a place."""
    with clients(service, 600, *texts, address="127.0.0.2"):
        serves_others(service)
        large = {"records": [RECORD] * 200}
        many = [service.request("POST", "/api/v1/predictions", json=large) for _ in range(10)]
        assert {answer.status_code for answer in many} == {200}
        assert service.upload(FILE + b"\n" * 20_000).json()["state"] == "succeeded"
        small = [service.request("POST", "/api/v1/predictions", json={"record": RECORD}) for _ in range(10)]
        assert {answer.status_code for answer in small} == {200}


def test_small_bodies_are_served_whoever_else_is_at_their_address(service: Stack) -> None:
    with clients(service, 600, LARGE_JSON + b"{"), clients(service, 600, POST_CSV + b"a"):
        serves_others(service)


def test_clients_that_do_not_read_hold_up_nobody(service: Stack) -> None:
    job = service.upload(BEGINNING[: len(BEGINNING) // 3]).json()
    with clients(service, SLOW, head("GET", job["links"]["results"])):
        serves_others(service)


@contextmanager
def unfinished(service: Stack) -> Iterator[tuple[dict[str, Any], socket.socket]]:
    """A job whose upload goes on until the connection is told that it is over."""
    begin = head("POST", "/api/v1/score", "Content-Type: text/csv", "Transfer-Encoding: chunked")
    with clients(service, 1, begin + b"%x\r\n" % len(BEGINNING) + BEGINNING + b"\r\n") as [connection]:
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += connection.recv(4096)
        found = re.search(rb"Location: (\S+)", answer)
        assert found, answer
        yield service.get(found.group(1).decode()).json(), connection


def last_of(connection: socket.socket) -> bytes:
    """The rest of what is sent on a connection until it is closed or long silent."""
    text = b""
    while block := connection.recv(65536):
        text += block
    return text


def test_a_thousand_long_polls_really_wait_and_leave_the_service_answering(service: Stack) -> None:
    with unfinished(service) as (job, upload):
        poll = head("GET", job["links"]["self"], "Prefer: wait=60", "Connection: close")
        events = head("GET", job["links"]["events"], "Connection: close")
        with clients(service, POLLS, poll) as polls, clients(service, 50, events) as streams:
            serves_others(service)
            upload.sendall(b"0\r\n\r\n")
            answers = [json.loads(last_of(poll).partition(b"\r\n\r\n")[2]) for poll in polls]
            assert [answer["state"] for answer in answers] == ["succeeded"] * POLLS
            for stream in streams:
                assert last_of(stream).count(b'"state":"succeeded"') == 1
    wait_until(service.ready)


def test_exports_that_one_address_follows_leave_places_to_others(service: Stack) -> None:
    """An export is a process, so that few can run at once."""
    ended = service.upload(FILE).json()
    with unfinished(service) as (job, upload):
        follow = head("GET", f"{job['links']['results']}?format=jsonl&follow=true", "Connection: close")
        with clients(service, 20, follow, address="127.0.0.2") as followers:
            answers = [follower.recv(12) for follower in followers]
            assert set(answers) == {b"HTTP/1.1 200", b"HTTP/1.1 503"}
            for _ in range(6):  # of whichever process
                answer = service.get(ended["links"]["results"], params={"format": "jsonl"})
                assert (answer.status_code, answer.content.count(b"\n")) == (200, 2)
        upload.sendall(b"0\r\n\r\n")
        service.ended(job)


def test_large_corrections_of_one_address_are_read_one_after_the_other(service: Stack) -> None:
    """To read them takes memory and processor time, and packed they are small; small ones are read at once."""
    job = service.upload(FILE).json()
    path, large = f"{job['links']['self']}/corrections", b"_row,age\n" + b"2,39\n" * 100_000
    lines = ("Content-Type: text/csv", f"Content-Length: {len(large)}", "Connection: close")
    with clients(service, 12, head("POST", path, *lines) + large[:-5], address="127.0.0.2") as connections:
        waiting = {connection for connection in connections if not refused_as_busy(connection)}
        assert 1 <= len(waiting) <= 2, "one of each web process"
        bomb = gzip.compress(large)
        assert len(bomb) < 16 * 1024, "all of it is there before it is read"
        packed = (
            "Content-Type: text/csv",
            "Content-Encoding: gzip",
            f"Content-Length: {len(bomb)}",
            "Connection: close",
        )
        with clients(service, 4, head("POST", path, *packed) + bomb, address="127.0.0.2") as bombs:
            assert all(refused_as_busy(connection) for connection in bombs) or len(waiting) == 1
        small = service.request("POST", path, json={"records": [{"_row": 2, "age": 39}]})
        assert small.status_code == 202
        assert problem_of(service.request("POST", path, content=large, headers=CSV)) == (422, "duplicate_row")


def refused_as_busy(connection: socket.socket) -> bool:
    """Whether a request is refused since there are too many; false if it is still read."""
    connection.settimeout(3)
    try:
        return b'"code":"busy"' in last_of(connection)
    except TimeoutError:
        return False
