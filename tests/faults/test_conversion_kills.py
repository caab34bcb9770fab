"""Whatever is killed while a file is converted, every row is there once, in its place, and the job finishes."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest

from jobs.settings import Settings
from jobs.store.connection import connect
from tests.faults.test_kills import (
    HEADER,
    QUICK,
    RECORD,
    ROWS,
    check_results,
    kill_a_worker_child,
    kill_the_server,
    kill_the_web,
    kill_the_worker,
)
from tests.jobs.formats.files import json_lines, parquet
from tests.slow import slow
from tests.stack import Stack, problem_of, running_stack, wait_until

NAMES = HEADER.split(",")


@pytest.fixture(scope="module")
def records() -> list[dict[str, Any]]:
    fields = RECORD.split(",")
    return [dict(zip(NAMES, (n, 17 + n % 75, *fields), strict=True)) for n in range(1, ROWS + 1)]


@pytest.fixture(scope="module")
def files(records: list[dict[str, Any]]) -> dict[str, bytes]:
    # Small row groups and pages take the time that a large file would.
    table = pa.Table.from_pylist(records)
    return {"a.jsonl": json_lines(records), "a.parquet": parquet(table, row_group_size=500)}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[Stack]:
    settings = {"SCORELINE_CHUNK_BYTES": "200000", **QUICK}
    with running_stack(tmp_path_factory.mktemp("conversions"), models, **settings) as found:
        yield found


def kill_the_reader(stack: Stack) -> None:
    for process in stack.forks():
        with suppress(psutil.NoSuchProcess):
            process.kill()


def kill_the_fork_servers(stack: Stack) -> None:
    """Those of the web and of the worker, and what they have forked."""
    for process in stack.processes("jobs.fork_server"):
        with suppress(psutil.NoSuchProcess):
            process.kill()


def converting(stack: Stack, name: str, data: bytes) -> dict[str, Any]:
    """A job of which a part is converted; another one, where all of it was before anybody looked."""
    for _ in range(10):
        response = stack.request("POST", "/api/v1/jobs", files={"file": (name, data)})
        job = stack.job_when(
            response.raise_for_status().json(), lambda now: now["converting"] is None or now["converting"]["rows"] > 0
        )
        assert job["error"] is None
        if job["converting"]:
            return job
    pytest.fail("every file was converted at once")


@pytest.mark.parametrize(("fault", "name"), [
    (kill_the_fork_servers, "a.parquet"),
    (kill_the_server, "a.jsonl"),
    *slow(
        (kill_the_reader, "a.jsonl"), (kill_the_reader, "a.parquet"),
        (kill_the_fork_servers, "a.jsonl"), (kill_the_server, "a.parquet"),
        *product((kill_a_worker_child, kill_the_worker, kill_the_web), ("a.jsonl", "a.parquet")),
    ),
])  # fmt: skip
def test_a_conversion_outlives_what_is_killed(stack: Stack, files: dict[str, bytes], fault: Any, name: str) -> None:
    job = converting(stack, name, files[name])
    before = job["progress"]
    fault(stack)
    wait_until(stack.ready)
    assert stack.job_when(job, lambda now: now["progress"] >= before)["progress"] >= before
    check_results(stack, job)


def test_a_conversion_that_is_killed_again_and_again_ends_with_an_error(stack: Stack, files: dict[str, bytes]) -> None:
    job = converting(stack, "a.jsonl", files["a.jsonl"])

    def ended() -> bool:
        kill_the_reader(stack)
        now: dict[str, Any] = stack.get(job["links"]["self"]).json()
        return now["state"] not in ("queued", "running")

    wait_until(ended)
    assert "could not be converted" in stack.get(job["links"]["self"]).json()["error"]["detail"]


def test_a_canceled_conversion_stops_and_leaves_nothing_behind(stack: Stack, files: dict[str, bytes]) -> None:
    job = converting(stack, "a.jsonl", files["a.jsonl"])
    ended = stack.request("DELETE", job["links"]["self"]).json()
    assert (ended["state"], ended["converting"]) == ("canceled", None)
    wait_until(lambda: not stack.forks())


def test_a_conversion_waits_while_the_store_is_full(stack: Stack, files: dict[str, bytes]) -> None:
    with connect(Settings(data_dir=stack.folder)) as redis:
        before = redis.config_get("maxmemory")["maxmemory"]
        job = converting(stack, "a.jsonl", files["a.jsonl"])
        redis.config_set("maxmemory", int(redis.info("memory")["used_memory"] / 0.9))
        try:
            wait_until(lambda: "conversion waits for room" in (stack.folder / "log").read_text())
            # Whoever comes now has to wait, too.
            assert problem_of(stack.upload(f"{HEADER}\n1,39,{RECORD}\n".encode())) == (503, "store_full")
            assert stack.get(job["links"]["self"]).json()["state"] == "running"
        finally:
            redis.config_set("maxmemory", before)
    check_results(stack, stack.ended(job))
