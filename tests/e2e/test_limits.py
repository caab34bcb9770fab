"""A service that is full says so, and when to come again; what it has accepted goes through."""

import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from jobs.settings import Settings
from jobs.store.connection import connect
from tests.e2e.test_jobs_api import FILE, LARGE
from tests.e2e.test_slow_clients import RECORD, clients, head
from tests.stack import CSV, Stack, problem_of, wait_until

MIB = 1024 * 1024


def test_too_many_jobs_are_turned_away_and_those_accepted_go_through(small: Stack) -> None:
    with small.frozen("-m worker bulk"):
        accepted = [small.upload(FILE, wait=0).raise_for_status().json() for _ in range(3)]
        for path in ("/api/v1/jobs", "/api/v1/score"):
            refused = small.request("POST", path, content=FILE, headers=CSV)
            assert problem_of(refused) == (429, "too_many_jobs")
            assert int(refused.headers["Retry-After"]) >= 1
        assert small.request("POST", "/jobs", files={"file": ("a.csv", FILE)}).status_code == 429
    assert {small.ended(job)["state"] for job in accepted} == {"succeeded"}
    assert small.upload(FILE).json()["state"] == "succeeded"


def test_too_many_predictions_are_turned_away_and_those_accepted_go_through(small: Stack) -> None:
    def ask() -> tuple[int, str]:
        later = {"Prefer": "respond-async"}
        response = small.request("POST", "/api/v1/predictions", json={"record": RECORD}, headers=later)
        return response.status_code, response.headers.get("Location") or response.headers["Retry-After"]

    wait_until(small.ready)
    with small.frozen("-m worker interactive"):
        accepted = [ask() for _ in range(4)]
        assert [status for status, _ in accepted] == [202] * 4
        status, seconds = ask()
        assert status == 429
        assert 1 <= int(seconds) <= 60
        refused = small.request("POST", "/api/v1/preflight", content=FILE, headers=CSV)
        assert problem_of(refused) == (429, "too_many_predictions")
        query = {name: RECORD[name] for name in ("age", "education", "race", "sex")}
        page = small.get(
            "/probability",
            params={**query, "work": "Private", "status": RECORD["marital_status"], "hours": "40"},
        )
        assert (page.status_code, page.headers["Content-Type"]) == (429, "text/html; charset=utf-8")
    for _, address in accepted:
        assert wait_until(lambda address=address: (got := small.get(address)).status_code == 200 and got.json())
    assert small.request("POST", "/api/v1/predictions", json={"record": RECORD}).status_code == 200


@contextmanager
def full_store(stack: Stack) -> Iterator[None]:
    redis = connect(Settings(data_dir=stack.folder))
    before = redis.config_get("maxmemory")["maxmemory"]
    redis.config_set("maxmemory", int(redis.info("memory")["used_memory"] * 1.1))
    try:
        yield
    finally:
        redis.config_set("maxmemory", before)
        redis.close()


def test_a_full_store_takes_no_upload_and_finishes_what_it_has(small: Stack) -> None:
    with small.frozen("-m worker bulk"):
        accepted = small.upload(LARGE[: 2 * MIB].rpartition(b"\n")[0], wait=0).raise_for_status().json()
    with full_store(small):
        for path in ("/api/v1/jobs", "/api/v1/score"):
            refused = small.request("POST", path, content=FILE, headers=CSV)
            assert problem_of(refused) == (503, "store_full")
            assert int(refused.headers["Retry-After"]) >= 1
        assert small.ended(accepted)["state"] == "succeeded"
        assert small.get(accepted["links"]["results"]).status_code == 200
    assert small.upload(FILE).json()["state"] == "succeeded"


def test_more_uploads_than_have_a_place_are_told_to_come_again(small: Stack) -> None:
    """Of 32 threads, four of each process are for uploads."""
    begin = head("POST", "/api/v1/jobs", "Content-Type: text/csv", "Content-Length: 1000000")
    with clients(small, 40, begin + b"age,") as connections:
        answers = [connection.recv(4096) for connection in connections]
        assert small.ready()
    refused = [answer for answer in answers if b" 503 " in answer]
    assert refused
    assert all(b"Retry-After: 5" in answer for answer in refused)
    # The others had a place, and lost it when they sent no more.
    assert {answer[:12] for answer in answers} == {b"HTTP/1.1 503", b"HTTP/1.1 408"}
    wait_until(lambda: small.upload(FILE).status_code == 200)


def test_forms_that_stop_in_the_middle_leave_threads_to_others(small: Stack) -> None:
    """Of 32 threads of each process, two are for forms and records that come slowly."""
    page = small.upload(FILE).json()["links"]["page"]
    begin = head("POST", f"{page}/again", "Content-Type: application/x-www-form-urlencoded", "Content-Length: 20000")
    with clients(small, 80, begin + b"m") as connections:
        assert small.ready()
        answers = [connection.recv(4096) for connection in connections]
    assert {answer[:12] for answer in answers} == {b"HTTP/1.1 503", b"HTTP/1.1 408"}
    assert all(b"Retry-After: 5" in answer for answer in answers if b" 503 " in answer)


def test_downloads_of_one_address_leave_places_to_others(small: Stack) -> None:
    """Of 32 threads, four of each process are for downloads, and two of those for one address."""
    ended = small.upload(FILE).json()
    with small.frozen("-m worker bulk"):
        job = small.upload(FILE, wait=0).json()
        follow = head("GET", f"{job['links']['results']}?follow=true")
        with clients(small, 40, follow, address="127.0.0.2") as downloads:
            answers = [connection.recv(4096) for connection in downloads]
            assert {answer[:12] for answer in answers} == {b"HTTP/1.1 200", b"HTTP/1.1 503"}
            assert all(b"Retry-After: 5" in answer for answer in answers if b" 503 " in answer)
            for _ in range(10):  # of whichever process
                assert small.get(ended["links"]["results"]).status_code == 200
            with small.client() as client, client.stream("POST", "/api/v1/score", content=FILE, headers=CSV) as scored:
                assert scored.status_code == 200
    small.ended(job)


def dribble(connection: socket.socket) -> bytes:
    """What is answered to a byte now and then."""
    connection.settimeout(0.2)
    for _ in range(100):
        with suppress(TimeoutError):
            return connection.recv(4096)
        connection.sendall(b" ")
    return b"still read"


def holds(stack: Stack, connection: socket.socket) -> bool:
    """Whether the web still has its end of a connection."""
    port = connection.getsockname()[1]
    open_ones = [one for web in stack.processes("gunicorn", "web.wsgi") for one in web.net_connections()]
    return any(one.raddr and one.raddr.port == port for one in open_ones)


def test_who_sends_or_reads_too_slowly_is_let_go(small: Stack) -> None:
    key = {"Idempotency-Key": "stopped"}
    job = small.upload(LARGE[: 8 * MIB].rpartition(b"\n")[0]).json()
    upload = head("POST", "/api/v1/jobs", "Content-Type: text/csv", "Content-Length: 99999", "Idempotency-Key: stopped")
    record = head("POST", "/api/v1/predictions", "Content-Type: application/json", "Content-Length: 99999")
    with clients(small, 1, head("GET", job["links"]["results"])) as [reader], clients(small, 2) as writers:
        for writer, text in zip(writers, (upload, record), strict=True):
            writer.sendall(text)
        wait_until(lambda: small.knows_key(key["Idempotency-Key"]))
        assert problem_of(small.request("POST", "/api/v1/jobs", content=FILE, headers={**CSV, **key}))[0] == 409
        assert [dribble(writer)[:12] for writer in writers] == [b"HTTP/1.1 408", b"HTTP/1.1 400"]
        wait_until(lambda: not holds(small, reader))
    assert small.request("POST", "/api/v1/jobs", content=FILE, headers={**CSV, **key}).status_code == 202


def test_a_key_of_an_upload_whose_web_was_killed_is_free_after_a_while(small: Stack) -> None:
    headers = {**CSV, "Idempotency-Key": "killed ☠ \"'; DROP"}
    name = "Idempotency-Key: " + headers["Idempotency-Key"]
    begin = head("POST", "/api/v1/jobs", "Content-Type: text/csv", "Content-Length: 99999", name)

    def again() -> int:
        encoded = {key: value.encode() for key, value in headers.items()}
        return small.request("POST", "/api/v1/jobs", content=FILE, headers=encoded).status_code

    with clients(small, 1, begin + FILE):
        wait_until(lambda: small.knows_key(headers["Idempotency-Key"].encode().decode("latin-1")))
        assert again() == 409
        web = small.processes("gunicorn", "web.wsgi")
        for process in web:
            with suppress(psutil.NoSuchProcess):  # whoever looks after the first of them may be quicker
                process.kill()
        psutil.wait_procs(web)
    wait_until(small.ready)
    wait_until(lambda: again() == 202)
    assert again() == 200


def test_what_a_running_service_keeps_is_for_its_owner_only(small: Stack) -> None:
    found = [path for path in small.folder.rglob("*") if not path.is_symlink() and path.name != "log"]
    assert any(stat.S_ISSOCK(path.lstat().st_mode) for path in found)
    assert {path.suffix for path in found} >= {".aof", ".sock"}
    assert [path for path in found if path.lstat().st_mode & 0o077] == []
    for server in small.processes("valkey-server"):
        assert [one for one in server.net_connections("inet") if one.status == psutil.CONN_LISTEN] == []
