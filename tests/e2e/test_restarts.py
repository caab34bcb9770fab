"""Rolling restarts: the web and the workers are replaced under load, and no request fails."""

import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import psutil

from tests.e2e.test_jobs_api import FILE
from tests.e2e.test_slow_clients import RECORD, clients, head, last_of, unfinished
from tests.stack import CSV, Stack, wait_until, workers_of


def main_process(service: Stack, *words: str) -> psutil.Process:
    """Return the matching process whose parent does not match."""
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


def browse(client: httpx.Client) -> None:
    client.get("/api/v1/jobs?limit=5").raise_for_status()
    assert client.get("/").status_code == 200


@contextmanager
def running_clients(service: Stack) -> Iterator[Counter[str]]:
    """Run clients that upload, predict and browse; yield a count of what they have done; fail on any error."""
    stopping, done, errors = threading.Event(), Counter[str](), list[str]()

    def repeat(action: Callable[[httpx.Client], None]) -> None:
        with service.client() as client:
            # A pause between requests leaves processor time to the processes that are starting.
            while not stopping.wait(0.05):
                try:
                    action(client)
                    done[action.__name__] += 1
                except Exception as error:  # noqa: BLE001 - any error means that a client was affected
                    errors.append(f"{action.__name__}: {error!r}")

    threads = [threading.Thread(target=repeat, args=[action]) for action in (upload, predict, predict, browse)]
    for thread in threads:
        thread.start()
    try:
        yield done
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
    assert errors == []


def wait_for_progress(done: Counter[str]) -> None:
    """Wait until each kind of client has completed two more actions."""
    before = Counter(done)
    wait_until(lambda: all(done[name] > before[name] + 1 for name in ("upload", "predict", "browse")), 120)


def reload_web(service: Stack) -> None:
    old = main_process(service, "gunicorn", "web.wsgi")
    children = {child.pid for child in workers_of(old)}
    old.send_signal(signal.SIGHUP)
    wait_until(lambda: len({child.pid for child in workers_of(old)} - children) >= len(children))


def replace_workers(service: Stack) -> None:
    old = [main_process(service, f"-m worker {kind}") for kind in ("bulk", "interactive")]
    for worker in old:
        worker.terminate()
    psutil.wait_procs(old, timeout=60)
    wait_until(lambda: len(service.processes("-m worker")) >= 2 * len(old) and service.ready(), 120)


def test_web_and_workers_are_replaced_under_load_and_no_request_fails(service: Stack) -> None:
    with running_clients(service) as done:
        wait_for_progress(done)
        reload_web(service)
        wait_for_progress(done)
        replace_workers(service)
        wait_for_progress(done)


def test_a_reload_answers_long_polls_and_completes_an_upload(service: Stack) -> None:
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
