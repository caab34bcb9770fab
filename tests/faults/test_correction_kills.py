"""Whatever is killed while corrections are scored, each row is there once, in its place, corrected if it was to be."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.test_kills import (
    HEADER,
    QUICK,
    RECORD,
    download,
    freeze_the_worker,
    kill_a_worker_child,
    kill_the_server,
    kill_the_web,
    kill_the_worker,
    struck,
)
from tests.stack import Stack, running_stack, wait_until

pytestmark = pytest.mark.slow

ROWS = 150_000
# Every row of which the age is 91 is rejected.
FAULTY = [n for n in range(1, ROWS + 1) if n % 15 == 14]
CORRECTED = FAULTY[::2]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("kills"), models, **QUICK, SCORELINE_CHUNK_BYTES="131072") as found:
        yield found


@pytest.fixture(scope="module")
def job(stack: Stack) -> Any:
    lines = (f"{n},{77 + n % 15},{RECORD}" for n in range(1, ROWS + 1))
    found, _ = stack.score("\n".join([HEADER, *lines, ""]).encode())
    assert found["rows"]["rejected"] == len(FAULTY)
    return found


def correct(stack: Stack, job: dict[str, Any], key: str) -> httpx.Response | None:
    records = [{"_row": row, "age": 39} for row in CORRECTED]
    try:
        return stack.request(
            "POST", f"{job['links']['self']}/corrections", json={"records": records}, headers={"Idempotency-Key": key}
        )
    except httpx.HTTPError:
        return None


def begun(stack: Stack, job: dict[str, Any]) -> dict[str, Any]:
    """Corrections of which a part is done; others, where all of it was done before anybody looked."""
    for attempt in range(10):
        response = correct(stack, job, f"{job['id']} {attempt}")
        assert response is not None
        sent = response.raise_for_status().json()
        found = stack.job_when(sent, lambda now: now["rows"]["scored"] > ROWS - len(FAULTY))
        if found["state"] == "running":
            return found
    pytest.fail("all corrections were done at once")


def check_results(stack: Stack, corrections: dict[str, Any]) -> None:
    ended = stack.ended(corrections)
    assert ended["state"] == "succeeded"
    left = len(FAULTY) - len(CORRECTED)
    assert ended["rows"] == {"total": ROWS, "scored": ROWS - left, "rejected": left, "warned": 0, "repaired": 0}
    lines = wait_until(lambda: download(stack, ended, "results")).splitlines()[1:]
    assert [int(line.partition(b",")[0]) for line in lines] == list(range(1, ROWS + 1))
    assert [n for n, line in enumerate(lines, 1) if b"out_of_range" in line] == sorted(set(FAULTY) - set(CORRECTED))
    assert [n for n, line in enumerate(lines, 1) if line.split(b",")[1] == b"39"] == CORRECTED
    rejects = wait_until(lambda: download(stack, ended, "rejects")).splitlines()[1:]
    assert [int(line.partition(b",")[0]) for line in rejects] == sorted(set(FAULTY) - set(CORRECTED))
    summary = stack.get(ended["links"]["summary"]).json()
    assert sum(summary["predictions"].values()) == ROWS - left
    assert summary["rejects"] == [{"column": "age", "code": "out_of_range", "count": left}]


@pytest.mark.parametrize("fault", [
    kill_a_worker_child, kill_the_worker, kill_the_web, kill_the_server, freeze_the_worker,
])  # fmt: skip
def test_corrections_outlive_what_is_killed(stack: Stack, job: Any, fault: Any) -> None:
    check_results(stack, struck(stack, fault, lambda: begun(stack, job)))
    wait_until(stack.ready)


def test_corrections_sent_while_the_web_is_killed_are_there_wholly_or_not_at_all(stack: Stack, job: Any) -> None:
    """Who sends them again under the same key gets the one job that there is."""
    key = f"{job['id']} killed"
    before = {found["id"] for found in stack.get("/api/v1/jobs?limit=200").json()["jobs"]}
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(correct, stack, job, key)
        wait_until(lambda: stack.knows_key(key))
        kill_the_web(stack)
        sending.result()
    wait_until(stack.ready)

    def sent() -> dict[str, Any] | None:
        response = correct(stack, job, key)
        return response.json() if response is not None and response.is_success else None

    found = wait_until(sent)
    check_results(stack, found)
    again = wait_until(sent)
    assert again["id"] == found["id"]
    after = {listed["id"] for listed in stack.get("/api/v1/jobs?limit=200").json()["jobs"]}
    assert after - before == {found["id"]}
