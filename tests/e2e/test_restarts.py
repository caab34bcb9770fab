"""The web, then all workers are replaced under load, and nobody notices."""

import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import psutil

from tests.e2e.test_jobs_api import FILE
from tests.e2e.test_slow_clients import RECORD, clients, head, last_of, unfinished
from tests.stack import CSV, Stack, wait_until


def parent(service: Stack, *words: str) -> psutil.Process:
    """The process of a kind that is not the child of another one of the kind."""
    found = service.processes(*words)
    return next(process for process in found if process.ppid() not in {other.pid for other in found})


def upload(client: httpx.Client) -> None:
    answer = client.post("/api/v1/jobs", content=FILE, headers={**CSV, "Prefer": "wait=30"}).raise_for_status()
    job = answer.json()
    while job["state"] in ("queued", "running"):
        # A poll may be answered early.
        answer = client.get(
            job["links"]["self"], headers={"Prefer": "wait=10", "If-None-Match": answer.headers["ETag"]}
        )
        job = answer.json() if answer.status_code == 200 else job
    assert job["state"] == "succeeded", job
    assert client.get(job["links"]["results"]).raise_for_status().content.count(b"\n") == 3


def predict(client: httpx.Client) -> None:
    answer = client.post("/api/v1/predictions", json={"record": RECORD}).raise_for_status()
    if answer.status_code == 202:
        address = answer.headers["Location"]
        answer = wait_until(lambda: (got := client.get(address).raise_for_status()).status_code == 200 and got)
    assert answer.json()["prediction"] == "<=50K"


def look(client: httpx.Client) -> None:
    client.get("/api/v1/jobs?limit=5").raise_for_status()
    assert client.get("/").status_code == 200


@contextmanager
def load(service: Stack) -> Iterator[Counter[str]]:
    """Clients that do what clients do all the time; fails if anything of it failed. What is yielded counts it."""
    over, done, errors = threading.Event(), Counter[str](), list[str]()

    def keep_on(act: Callable[[httpx.Client], None]) -> None:
        with service.client() as client:
            # As people do, not as fast as can be: the processes that start meanwhile need time, too.
            while not over.wait(0.05):
                try:
                    act(client)
                    done[act.__name__] += 1
                except Exception as error:  # noqa: BLE001 - whatever it is, the client has noticed
                    errors.append(f"{act.__name__}: {error!r}")

    threads = [threading.Thread(target=keep_on, args=[act]) for act in (upload, predict, predict, look)]
    for thread in threads:
        thread.start()
    try:
        yield done
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert errors == []


def more(done: Counter[str]) -> None:
    """Wait until each kind of client has got something done again."""
    before = Counter(done)
    wait_until(lambda: all(done[name] > before[name] + 1 for name in ("upload", "predict", "look")), 120)


def reload_web(service: Stack) -> None:
    old = parent(service, "gunicorn", "web.wsgi")
    children = {child.pid for child in old.children()}
    old.send_signal(signal.SIGHUP)
    wait_until(lambda: len({child.pid for child in old.children()} - children) >= len(children))


def replace_workers(service: Stack) -> None:
    old = [parent(service, f"-m worker {kind}") for kind in ("bulk", "interactive")]
    for worker in old:
        worker.terminate()
    psutil.wait_procs(old, timeout=60)
    wait_until(lambda: len(service.processes("-m worker")) >= 2 * len(old) and service.ready(), 120)


def test_web_and_workers_are_replaced_under_load_and_no_request_fails(service: Stack) -> None:
    with load(service) as done:
        more(done)
        reload_web(service)
        more(done)
        replace_workers(service)
        more(done)


def test_a_reload_answers_who_waits_and_finishes_what_is_being_sent(service: Stack) -> None:
    with unfinished(service) as (job, sender):
        poll = head("GET", job["links"]["self"], "Prefer: wait=60")
        events = head("GET", job["links"]["events"])
        with clients(service, 3, poll) as polls, clients(service, 3, events) as streams:
            assert all(stream.recv(20).startswith(b"HTTP/1.1 200") for stream in streams)
            reload_web(service)
            for connection in polls:
                answer = last_of(connection)
                assert answer.startswith(b"HTTP/1.1 200")
                assert b'"state":"running"' in answer
            for stream in streams:
                assert last_of(stream).endswith(b"\r\n0\r\n\r\n")
        sender.sendall(b"0\r\n\r\n")
        assert last_of(sender).endswith(b"\r\n0\r\n\r\n")
        assert service.ended(job)["state"] == "succeeded"
