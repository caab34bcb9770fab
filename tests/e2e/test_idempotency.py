"""The same upload sent twice becomes one job, however the two meet."""

import concurrent.futures
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from jobs.settings import Settings
from jobs.store import keys
from jobs.store.connection import connect
from tests.e2e.test_jobs_api import FILE, GOOD
from tests.stack import CSV, Stack, problem_of, wait_until


def with_key(service: Stack, key: str, data: bytes = FILE, wait: int = 60, **query: Any) -> httpx.Response:
    headers = {**CSV, "Idempotency-Key": key, "Prefer": f"wait={wait}"}
    return service.request("POST", "/api/v1/jobs", content=data, headers=headers, params=query)


def test_the_same_upload_sent_twice_is_one_job(service: Stack) -> None:
    first, again = (with_key(service, "twice", filename="a.csv") for _ in range(2))
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.json()["id"] == first.json()["id"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Location"] == first.headers["Location"]
    assert "Idempotent-Replayed" not in first.headers


def test_a_repeated_upload_waits_for_the_job_as_the_first_does(service: Stack) -> None:
    with service.frozen("-m worker bulk"), concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = with_key(service, "waits", wait=0)
        at_once = with_key(service, "waits", wait=0)
        assert (at_once.status_code, at_once.json()["state"]) == (200, first.json()["state"])
        headers = {**CSV, "Idempotency-Key": "waits", "Prefer": "wait=60, until=ended"}
        later = pool.submit(service.request, "POST", "/api/v1/jobs", content=FILE, headers=headers)
        for process in service.processes("-m worker bulk"):
            process.resume()
        again = later.result()
    assert (again.status_code, again.json()["state"]) == (200, "succeeded")
    assert again.json()["id"] == first.json()["id"]
    assert again.headers["Preference-Applied"] == "wait=60, until=ended"
    assert again.headers["Idempotent-Replayed"] == "true"
    assert at_once.headers["Preference-Applied"] == "wait=0"


@pytest.mark.parametrize(
    "other", [{"data": FILE + FILE}, {"threshold": "0.4"}, {"filename": "b.csv"}, {"explain": "1"}]
)
def test_a_key_is_for_one_body_and_its_parameters(service: Stack, other: dict[str, Any]) -> None:
    key = f"reused {sorted(other)}"
    with_key(service, key).raise_for_status()
    assert problem_of(with_key(service, key, **other)) == (422, "idempotency_key_reused")
    assert with_key(service, key).headers["Idempotent-Replayed"] == "true"


def test_a_refused_upload_leaves_its_key_free(service: Stack) -> None:
    assert problem_of(with_key(service, "refused", data=b"a,b\n1,2\n")) == (422, "missing_columns")
    assert problem_of(with_key(service, "refused", model="nobody")) == (422, "unknown_model")
    assert "Idempotent-Replayed" not in with_key(service, "refused").raise_for_status().headers


def test_a_key_of_a_deleted_job_is_free_again(service: Stack) -> None:
    first = with_key(service, "deleted").json()
    service.request("DELETE", first["links"]["self"])
    assert with_key(service, "deleted").raise_for_status().json()["id"] != first["id"]


def test_two_at_the_same_instant_become_one_job(service: Stack) -> None:
    """While one uploads, the others are told to come again; nobody makes a second job."""

    def slowly() -> Iterator[bytes]:
        yield FILE
        wait_until(lambda: service.knows_key("instant"))
        early = [with_key(service, "instant") for _ in range(3)]
        assert [problem_of(response) for response in early] == [(409, "still_uploading")] * 3
        assert all("Retry-After" in response.headers for response in early)
        yield f"{GOOD}\n".encode()

    headers = {**CSV, "Idempotency-Key": "instant"}
    first = service.request("POST", "/api/v1/jobs", content=slowly(), headers=headers).raise_for_status()
    whole = FILE + f"{GOOD}\n".encode()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        ids = {response.json()["id"] for response in pool.map(lambda _: with_key(service, "instant", whole), range(8))}
    assert ids == {first.json()["id"]}


def test_many_of_the_very_same_upload_become_one_job(service: Stack) -> None:
    together = threading.Barrier(8)

    def send(_: int) -> httpx.Response:
        together.wait()
        return with_key(service, "together")

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(send, range(8)))
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 200}) == 1
    assert {problem_of(answer) for answer in answers if answer.status_code != 200} <= {(409, "still_uploading")}
    firsts = [answer for answer in answers if answer.status_code == 200 and "Idempotent-Replayed" not in answer.headers]
    assert len(firsts) == 1


@pytest.mark.parametrize("key", [b"*", b"{}:..//%00", b"\xe2\x98\xa0 \xff", b'"quoted"', b"a:b\tc", b"$(id)`;--"])
def test_a_key_may_hold_any_character(service: Stack, key: bytes) -> None:
    headers = {**{name: value.encode() for name, value in CSV.items()}, "Idempotency-Key": key, "Prefer": b"wait=60"}
    first, again = (service.request("POST", "/api/v1/jobs", content=FILE, headers=headers) for _ in range(2))
    assert again.raise_for_status().json()["id"] == first.json()["id"]
    assert again.headers["Idempotent-Replayed"] == "true"


def test_a_key_of_no_or_too_many_characters_is_refused(service: Stack) -> None:
    assert problem_of(with_key(service, "x" * 256)) == (400, "bad_idempotency_key")
    assert with_key(service, "x" * 255).status_code == 200


def lose_key(service: Stack, key: str) -> None:
    """As it happens to an upload that takes very long, so that others can begin under its key."""
    with connect(Settings(data_dir=service.folder)) as redis:
        redis.delete(keys.idempotency(key))


@pytest.mark.parametrize("same", [True, False])
def test_of_two_uploads_under_a_key_the_one_that_is_whole_first_has_it(service: Stack, same: bool) -> None:
    """Nobody holds up another's upload for long by beginning one under its key, and still there is one job."""
    key, whole = f"overtaken {same}", FILE + f"{GOOD}\n".encode()
    found: dict[str, Any] = {}

    def slowly() -> Iterator[bytes]:
        yield FILE
        wait_until(lambda: service.knows_key(key))
        lose_key(service, key)
        found.update(with_key(service, key, whole if same else FILE).raise_for_status().json())
        yield f"{GOOD}\n".encode()

    before = [job["id"] for job in service.get("/api/v1/jobs?limit=200").json()["jobs"]]
    answer = service.request("POST", "/api/v1/jobs", content=slowly(), headers={**CSV, "Idempotency-Key": key})
    if same:
        assert (answer.status_code, answer.json()["id"]) == (200, found["id"])
        assert answer.headers["Idempotent-Replayed"] == "true"
    else:
        assert problem_of(answer) == (422, "idempotency_key_reused")
    assert [job["id"] for job in service.get("/api/v1/jobs?limit=200").json()["jobs"]] == [found["id"], *before][:200]
