"""Failures that a chunk did not cause reject none of its rows: killed processes, lost hosts, missing models, clocks."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from jobs.settings import Settings
from jobs.store.connection import connect
from jobs.store.heartbeat import living
from jobs.store.keys import JobKeys
from model.catalog import Catalog
from tests.chaos.injected_faults import InjectedFaults
from tests.stack import ROOT, Stack, running_stack, wait_until

pytestmark = pytest.mark.slow

HEADER = "id,age,workclass,education,marital_status,race,sex,hours_per_week"
RECORD = "State-gov,Bachelors,Never-married,White,Male,40"
WAITING = Path(__file__).parent / "waiting"
ROWS = 3_000
OTHER = "other"
SETTINGS = {
    "SCORELINE_LEASE_SECONDS": "2",
    "SCORELINE_BULK_PROCESSES": "1",
    "SCORELINE_WEB_PROCESSES": "1",
    "SCORELINE_MODEL_WAIT_SECONDS": "3",
}


@pytest.fixture(scope="module")
def own_models(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Path:
    """The default model, and the same again under another name."""
    own = Path(shutil.copytree(models, tmp_path_factory.mktemp("blameless") / "models"))
    catalog = Catalog(own)
    catalog.publish(catalog.card("income").model_copy(update={"name": OTHER}), catalog.artifact_path("income"))
    return own


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, own_models: Path) -> Iterator[Stack]:
    path = os.pathsep.join(filter(None, [str(WAITING), os.environ.get("PYTHONPATH")]))
    with running_stack(tmp_path_factory.mktemp("stack"), own_models, PYTHONPATH=path, **SETTINGS) as found:
        yield found


def csv_of(rows: int) -> bytes:
    """Rows that are all scored."""
    return "\n".join([HEADER, *(f"{n},{17 + n % 70},{RECORD}" for n in range(1, rows + 1)), ""]).encode()


def children(stack: Stack) -> list[psutil.Process]:
    found = stack.processes("-m worker bulk")
    return [process for process in found if process.ppid() in {other.pid for other in found}]


def kill_the_child(stack: Stack) -> None:
    for process in children(stack):
        process.kill()


def kill_the_host(stack: Stack) -> None:
    """The worker with all its processes, so that nobody can tell what became of the chunk."""
    for process in stack.processes("-m worker bulk"):
        process.kill()


def kill_at_work(stack: Stack, job: dict[str, Any], kill: Callable[[Stack], None], times: int) -> None:
    """Kill whoever works on the job's chunk, time and again."""
    redis: Any = connect(Settings(data_dir=stack.folder))
    leases, seen = JobKeys.of(job["id"]).leases, set[bytes]()
    for _ in range(times):
        seen.add(wait_until(lambda: next((hold for hold in redis.hvals(leases) if hold not in seen), None)))
        kill(stack)


@pytest.mark.parametrize(("kill", "times"), [(kill_the_child, 4), (kill_the_host, 3)])
def test_no_row_is_blamed_for_processes_that_were_killed(
    stack: Stack, kill: Callable[[Stack], None], times: int
) -> None:
    closed = stack.folder / "closed"
    closed.touch()
    job = stack.upload(csv_of(ROWS), wait=0).json()
    kill_at_work(stack, job, kill, times)
    closed.unlink()
    ended = stack.ended(job)
    assert (ended["state"], ended["rows"]) == (
        "succeeded",
        {"total": ROWS, "scored": ROWS, "rejected": 0, "warned": 0, "repaired": 0},
    )


@contextmanager
def another_worker(stack: Stack, folder: Path, models: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """One more bulk worker, as on another host, that has the default model."""
    shutil.copytree(models / "income", folder / "models" / "income")
    environment = {
        **stack.environment,
        "SCORELINE_DATA_DIR": str(folder),
        "SCORELINE_REDIS_URL": Settings(data_dir=stack.folder).store_url,
        **environment,
    }
    with (stack.folder / "log").open("ab") as log:
        command = [sys.executable, "-m", "worker", "bulk"]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def test_a_job_is_done_by_the_worker_that_has_its_model(stack: Stack, own_models: Path, tmp_path: Path) -> None:
    redis = connect(Settings(data_dir=stack.folder))
    with another_worker(stack, tmp_path, own_models) as worker:
        wait_until(lambda: worker.pid in {node.pid for node in living(redis, "bulk")})
        with stack.frozen("-m worker bulk"):
            job = stack.upload(csv_of(20), wait=0, model=OTHER).json()
            wait_until(lambda: "there is no model 'other'" in (stack.folder / "log").read_text())
        ended = stack.ended(job)
    assert (ended["state"], ended["rows"]["scored"]) == ("succeeded", 20)


def test_hosts_whose_clocks_are_hours_apart_score_a_job_together(
    stack: Stack, own_models: Path, tmp_path: Path
) -> None:
    """The store's clock alone decides who holds a chunk, who lives and what is late."""
    redis, before = connect(Settings(data_dir=stack.folder)), datetime.now(UTC)
    with ExitStack() as workers:
        for name, seconds in (("ahead", 3600), ("behind", -3600)):
            (folder := tmp_path / name).mkdir()
            clock, why_not = InjectedFaults.if_there(folder)
            if clock is None:
                pytest.skip(why_not)
            clock.set_clock_on(seconds)
            found = workers.enter_context(another_worker(stack, folder, own_models, **clock.environment))
            wait_until(lambda found=found: found.pid in {node.pid for node in living(redis, "bulk")})
        with stack.frozen("-m worker bulk"):
            job, results = stack.score(csv_of(200_000))
    assert job["rows"]["scored"] == 200_000
    assert [int(line.partition(b",")[0]) for line in results.splitlines()[1:]] == list(range(1, 200_001))
    times = [datetime.fromisoformat(job[name]) for name in ("created_at", "started_at", "finished_at")]
    moments = [before, *times, datetime.now(UTC)]
    assert moments == sorted(moments)


def test_a_job_whose_model_no_worker_can_load_fails_and_says_why(stack: Stack, own_models: Path) -> None:
    with stack.frozen("-m worker bulk"):
        job = stack.upload(csv_of(20), wait=0, model=OTHER).json()
        shutil.rmtree(own_models / OTHER)
    ended = stack.ended(job)
    assert ended["state"] == "failed"
    reason = f"the model cannot be used on any worker: {socket.gethostname()}: there is no model 'other'"
    assert reason in ended["error"]["detail"]
