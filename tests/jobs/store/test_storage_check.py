"""The object store is checked at the start: a wrong one is refused in one line, before anything is lost in it."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from jobs.errors import UnsuitableStorage
from jobs.settings import Settings
from jobs.store.connection import connect
from jobs.store.payloads import Payloads
from jobs.store.storage_check import StorageCheck
from tests.object_store import files_in, refusing_server
from tests.stack import ROOT


@pytest.fixture
def shares(tmp_path: Path, server: Settings) -> list[Path]:
    with connect(server) as redis:
        redis.flushall()
    folders = [tmp_path / name for name in ("share", "other")]
    for folder in folders:
        folder.mkdir()
    return folders


def check(server: Settings, folder: Path) -> None:
    settings = server.model_copy(update={"storage_url": f"file://{folder}"})
    with connect(settings) as redis:
        StorageCheck(redis, Payloads(settings)).require()


def test_the_first_process_marks_the_storage_and_the_others_find_the_mark(shares: list[Path], server: Settings) -> None:
    for _ in range(3):
        check(server, shares[0])
    assert len(files_in(shares[0])) == 1


def test_a_host_with_another_storage_is_refused(shares: list[Path], server: Settings) -> None:
    check(server, shares[0])
    with pytest.raises(UnsuitableStorage, match=r"/other is not the storage that this Redis refers to: all hosts need"):
        check(server, shares[1])
    assert files_in(shares[1]) == []


def test_a_second_service_does_not_take_the_storage_of_another(shares: list[Path], server: Settings) -> None:
    check(server, shares[0])
    with connect(server) as redis:
        redis.flushall()
    with pytest.raises(
        UnsuitableStorage, match=r"/share holds the jobs of another Redis: .* delete scoreline/\w+ there$"
    ):
        check(server, shares[0])
    assert len(files_in(shares[0])) == 1


@pytest.mark.parametrize(("url", "said"), [
    ("s4://bucket", "'s4://bucket' is not an address of blob storage: s3://bucket/folder, gs://"),
    ("file:///no/such/folder", "there is no folder /no/such/folder; create it, or mount it"),
])  # fmt: skip
def test_processes_do_not_start_with_a_wrong_storage(server: Settings, url: str, said: str) -> None:
    check_refusal(server, {"SCORELINE_STORAGE_URL": url}, said)


def test_processes_do_not_start_without_rights(server: Settings) -> None:
    """The first thing that a new service asks for is a list."""
    with connect(server) as redis:
        redis.flushall()
    with refusing_server(403, "InvalidAccessKeyId") as environment:
        given = {**environment, "SCORELINE_STORAGE_URL": "s3://bucket/data"}
        check_refusal(server, given, "s3://bucket/data refuses access: check the credentials and their rights (403 For")


def check_refusal(server: Settings, given: Mapping[str, str], said: str) -> None:
    """Check that the reconciler ends with one line."""
    own = {"SCORELINE_REDIS_URL": server.store_url, "SCORELINE_DATA_DIR": str(server.data_dir)}
    environment = {**os.environ, **own, **given}
    command = [sys.executable, "-m", "worker.reconcile"]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 1
    assert said in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
