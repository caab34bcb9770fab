"""Who waits for the end of a job is not woken at each change, and is told what of the wish was heeded."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.e2e.test_jobs_api import FILE
from tests.e2e.test_slow_clients import unfinished
from tests.stack import CSV, Stack
from web.prefer_header import applied, preferred_wait, prefers_end

OLD = {"If-None-Match": '"0-0"'}


def test_who_waits_for_the_end_is_not_woken_by_a_change(service: Stack) -> None:
    with unfinished(service) as (job, upload), ThreadPoolExecutor(1) as pool:
        service.job_when(job, lambda now: now["rows"]["scored"] > 0)
        woken = service.get(job["links"]["self"], headers={"Prefer": "wait=60"} | OLD)
        assert woken.json()["state"] == "running"
        assert woken.headers["Preference-Applied"] == "wait=60"
        began = time.monotonic()
        patient = service.get(job["links"]["self"], headers={"Prefer": "wait=2, until=ended"} | OLD)
        assert time.monotonic() - began >= 2
        assert (patient.status_code, patient.json()["state"]) == (200, "running")
        assert patient.headers["Preference-Applied"] == "wait=2, until=ended"
        waiting = pool.submit(
            service.get, job["links"]["self"], headers={"Prefer": 'UNTIL="ended"; x=1, wait=60'} | OLD
        )
        upload.sendall(b"0\r\n\r\n")
        assert waiting.result().json()["state"] == "succeeded"


def test_a_job_that_has_ended_is_answered_at_once(service: Stack) -> None:
    job = service.upload(FILE)
    same = {"If-None-Match": job.headers["ETag"]}
    for headers in ({}, same):
        answer = service.get(job.json()["links"]["self"], headers={"Prefer": "wait=60, until=ended"} | headers)
        assert answer.status_code == (304 if headers else 200)


def test_an_upload_may_wait_for_the_end_in_the_same_words(service: Stack) -> None:
    headers = CSV | {"Prefer": "wait=60, until=ended"}
    answer = service.request("POST", "/api/v1/jobs", content=FILE, headers=headers)
    assert (answer.status_code, answer.json()["state"]) == (200, "succeeded")
    assert answer.headers["Preference-Applied"] == "wait=60, until=ended"


def test_a_proxy_is_told_to_pass_on_what_is_streamed(service: Stack) -> None:
    job = service.upload(FILE).json()
    streams = [service.get(job["links"]["events"]), service.get(job["links"]["results"], params={"follow": "true"})]
    streams += [service.request("POST", "/api/v1/score", content=FILE, headers=CSV)]
    assert [stream.headers["X-Accel-Buffering"] for stream in streams] == ["no"] * 3


@pytest.mark.parametrize(
    ("header", "seconds", "end", "heeded"),
    [
        (None, None, False, None),
        ("wait=5", 5, False, "wait=5"),
        ("wait=5, until=ended", 5, True, "wait=5, until=ended"),
        ("until=ended,wait=100", 60, True, "wait=60, until=ended"),
        ('Wait="7" ;x, Until = "Ended"', 7, True, "wait=7, until=ended"),
        ("until=ended", None, True, None),
        ("wait=5, until=endedness", 5, False, "wait=5"),
        ("wait=5, xuntil=ended", 5, False, "wait=5"),
        ("wait=5, until=changed", 5, False, "wait=5"),
        ("wait=-1", None, False, None),
        ("wait=1e9", None, False, None),
    ],
)
def test_reading_the_header(header: str | None, seconds: float | None, end: bool, heeded: str | None) -> None:
    assert (preferred_wait(header), prefers_end(header), applied(header)) == (seconds, end, heeded)
