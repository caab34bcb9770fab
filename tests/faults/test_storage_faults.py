"""Kills while chunks lie in an object store: no row is lost or repeated, and nothing is left behind."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
from tests.stack import Stack, problem_of, running_stack, wait_until

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


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of its own as the object store."""
    folder = tmp_path_factory.mktemp("disk")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)], check=False).returncode:
        pytest.skip("file systems cannot be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def full(disk: Path) -> Iterator[str]:
    filler = disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(2**20))
    yield "is full"
    filler.unlink()


@contextmanager
def read_only(disk: Path) -> Iterator[str]:
    # While a file is written, the mount is busy.
    wait_until(lambda: subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=False).returncode == 0)
    yield "read-only file system"
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)


@pytest.fixture(scope="module")
def stack_on_disk(disk: Path, tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[Stack]:
    settings = {**QUICK, "SCORELINE_STORAGE_URL": f"file://{disk}", "SCORELINE_UPLOAD_IDLE_SECONDS": "5"}
    with running_stack(tmp_path_factory.mktemp("disks"), models, **settings) as found:
        yield found


@pytest.mark.parametrize("fault", [full, read_only])
def test_a_job_waits_for_a_disk_that_is_full_or_read_only(
    stack_on_disk: Stack, disk: Path, upload: bytes, fault: Any
) -> None:
    stack, log = stack_on_disk, stack_on_disk.folder / "log"
    with stack.frozen("-m worker bulk"):
        job = stack.upload(upload, wait=0).raise_for_status().json()
    with fault(disk) as reason:
        wait_until(lambda: reason in log.read_text())
        refused = stack.upload(upload, wait=0)
        assert problem_of(refused)[1] in ("store_full", "storage_unavailable")
        assert stack.job_when(job, lambda now: True)["state"] in ("queued", "running")
    check_results(stack, job)
    check_results(stack, stack.upload(upload, wait=0).raise_for_status().json())


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
