"""Kills while chunks lie in an object store: no row is lost or repeated, and nothing is left behind."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.settings import Settings
from jobs.store.connection import connect
from jobs.store.sweeper import Sweeper
from tests.faults.test_kills import (
    QUICK,
    begun,
    check_results,
    freeze_the_worker,
    kill_a_worker_child,
    kill_the_server,
    kill_the_web,
    kill_the_worker,
    upload,
)
from tests.object_store import files_in
from tests.stack import Stack, running_stack, wait_until

pytestmark = pytest.mark.stores

__all__ = ["upload"]


@pytest.fixture(scope="module")
def share(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("share")


@pytest.fixture(scope="module")
def stack(share: Path, tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[Stack]:
    settings = {**QUICK, "SCORELINE_STORAGE_URL": f"file://{share}"}
    with running_stack(tmp_path_factory.mktemp("kills"), models, **settings) as found:
        yield found


def lose_the_folder(stack: Stack) -> None:
    """As when a mount is lost for a while."""
    share = Path(stack.environment["SCORELINE_STORAGE_URL"].removeprefix("file://"))
    log, before = stack.folder / "log", (stack.folder / "log").read_text().count("the object store does not answer")
    share.rename(share.with_name("away"))
    try:
        wait_until(lambda: log.read_text().count("the object store does not answer") > before)
    finally:
        share.with_name("away").rename(share)


@pytest.mark.parametrize("fault", [
    kill_a_worker_child, kill_the_worker, kill_the_web, kill_the_server, freeze_the_worker, lose_the_folder,
])  # fmt: skip
def test_a_job_in_an_object_store_outlives_what_is_killed(stack: Stack, upload: bytes, fault: Any) -> None:
    for _ in range(10):
        job = begun(stack, upload)
        if fault(stack) is not False:
            break
    else:
        pytest.fail("every job was done before the fault")
    check_results(stack, job)
    wait_until(stack.ready)


def test_what_the_kills_left_is_swept(stack: Stack, share: Path) -> None:
    settings = Settings(data_dir=stack.folder, storage_url=f"file://{share}")
    with connect(settings) as redis:
        Sweeper(redis, settings, grace_seconds=0).sweep()
    jobs = stack.get("/api/v1/jobs?limit=200").json()["jobs"]
    kept = {path.relative_to(share / "jobs").parts[0] for path in files_in(share / "jobs")}
    assert kept == {job["id"] for job in jobs if job["rows"]["scored"]}
    for job in jobs:
        if job["state"] == "succeeded":
            names = [path.name.rpartition(".")[0] for path in files_in(share / "jobs" / job["id"])]
            assert len(names) == len(set(names))
            assert {name.rpartition(".")[2] for name in names} <= {"output", "rejects"}
            check_results(stack, job)
