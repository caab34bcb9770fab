"""A server that would lose jobs is refused by launcher, web, workers and reconciler."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from jobs.errors import UnsuitableStore
from jobs.settings import Settings
from jobs.store import keys
from jobs.store.connection import connect
from jobs.store.job_store import JobStore
from jobs.store.prediction_store import PredictionStore
from jobs.store.server_check import StoreCheck, find_faults
from model.catalog import Catalog
from ops.embedded import server_binary
from tests.stack import CSV, ROOT, free_port, wait_until
from web import create_app
from web.services import create_services

GOOD = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}


@contextmanager
def running_server(folder: Path, **options: str) -> Iterator[Settings]:
    """A server of one's own, with these settings."""
    given = {**GOOD, **options, "port": "0", "unixsocket": str(folder / "s"), "dir": str(folder), "save": ""}
    words = [word for name, value in given.items() for word in (f"--{name}", value)]
    process = subprocess.Popen([server_binary(), *words], stdout=subprocess.DEVNULL)
    try:
        wait_until((folder / "s").exists)
        yield Settings(redis_url=f"unix://{folder / 's'}", data_dir=folder)
    finally:
        process.kill()  # one that has just been told to keep a log would finish writing it first
        process.wait(30)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with running_server(tmp_path_factory.mktemp("own")) as settings:
        yield settings


@pytest.fixture
def redis(own: Settings) -> Iterator[Any]:
    with connect(own) as redis:
        yield redis
        for name, value in GOOD.items():
            redis.config_set(name, value)


@pytest.fixture
def lossy(redis: Any, own: Settings) -> Settings:
    """A server that keeps its jobs in memory alone."""
    redis.config_set("appendonly", "no")
    return own


RISKS = [
    ("appendonly", "no", "appendonly is no, so that a restart loses jobs"),
    ("appendfsync", "everysec", "appendfsync is everysec, not always, so that a crash loses the last jobs"),
    ("maxmemory-policy", "allkeys-lru", "maxmemory-policy is allkeys-lru, not noeviction, so that jobs vanish when"),
    ("maxmemory-policy", "volatile-ttl", "maxmemory-policy is volatile-ttl, not noeviction, so that jobs vanish when"),
]


@pytest.mark.parametrize(("name", "value", "reason"), RISKS)
def test_risks_are_reported_until_they_are_fixed(redis: Any, own: Settings, name: str, value: str, reason: str) -> None:
    check = StoreCheck(redis, own)
    redis.config_set(name, value)
    [found] = check.faults()
    assert found.startswith(reason)
    redis.config_set(name, GOOD[name])
    assert check.faults() == []


def test_a_server_without_config_is_judged_by_info(redis: Any, own: Settings) -> None:
    redis.acl_setuser("guest", enabled=True, nopass=True, keys=["*"], channels=["*"], commands=["+@all", "-config"])
    guest = own.model_copy(update={"redis_url": own.store_url.replace("unix://", "unix://guest:x@")})
    with connect(guest) as limited:
        assert StoreCheck(limited, guest).faults() == []
        redis.config_set("appendonly", "no")
        assert len(StoreCheck(limited, guest).faults()) == 1


def as_guest(redis: Any, own: Settings, password: str = "x", **rights: Any) -> Settings:
    """Settings of a user of the server with these rights."""
    redis.acl_setuser("guest", enabled=True, reset=True, passwords=["+x"], **rights)
    return own.model_copy(update={"redis_url": own.store_url.replace("unix://", f"unix://guest:{password}@")})


OWN_KEYS = {"keys": ["{scoreline}:*"], "channels": ["{scoreline}:*"]}


@pytest.mark.parametrize(("rights", "reason"), [
    ({"commands": ["-@all", "+ping"], **OWN_KEYS}, r"its user lacks a right: .*'info'.*"),
    ({"commands": ["+@all", "-publish"], **OWN_KEYS}, r"its user lacks a right: .*"),
    ({"commands": ["+@all"], "keys": ["other:*"], "channels": ["*"]}, r"its user lacks a right: .*"),
    ({"commands": ["+@all"], "keys": ["*"], "channels": ["other:*"]}, r"its user lacks a right: .*"),
])  # fmt: skip
def test_a_user_without_the_rights_is_refused(redis: Any, own: Settings, rights: dict[str, Any], reason: str) -> None:
    guest = as_guest(redis, own, **rights)
    with connect(guest) as limited:
        [found] = StoreCheck(limited, guest).faults()
    assert re.fullmatch(reason, found), found


def test_a_wrong_password_is_refused(redis: Any, own: Settings) -> None:
    guest = as_guest(redis, own, password="y", commands=["+@all"], **OWN_KEYS)
    with connect(guest) as nobody:
        assert StoreCheck(nobody, guest).faults() == ["it refuses the user name or the password"]


def test_a_cluster_is_refused_even_where_risks_are_accepted(tmp_path: Path) -> None:
    with running_server(tmp_path, **{"cluster-enabled": "yes"}) as settings, connect(settings) as redis:
        accepting = settings.model_copy(update={"store_risks": "accept"})
        assert StoreCheck(redis, accepting).faults() == [
            "it is part of a cluster, whose address begins with cluster:// instead of redis://"
        ]


@pytest.mark.parametrize(("info", "reason"), [
    ({"redis_version": "6.2.14", "role": "master"}, "it speaks as Redis 6.2.14, and at least 7.0 is needed"),
    ({"redis_version": "7.2.4", "role": "slave"}, "it is a replica, which takes no writes"),
])  # fmt: skip
def test_other_unsuitable_servers_are_refused_too(info: dict[str, str], reason: str) -> None:
    assert find_faults(info) == [reason]


def test_risks_can_be_accepted_with_a_warning(lossy: Settings) -> None:
    accepting = lossy.model_copy(update={"store_risks": "accept"})
    with connect(accepting) as redis, capture_logs() as lines:
        JobStore(redis, accepting).check_room()
    assert [line["event"] for line in lines] == ["the store may lose jobs"]


def test_no_upload_or_prediction_is_accepted(lossy: Settings) -> None:
    with connect(lossy) as redis:
        with pytest.raises(UnsuitableStore):
            JobStore(redis, lossy).check_room()
        with pytest.raises(UnsuitableStore):
            PredictionStore(redis, lossy).submit({"id": {}})
        assert set(redis.keys()) <= {keys.PROTOCOL.encode()}


def test_the_web_reports_it(lossy: Settings, models: Path) -> None:
    services = replace(create_services(lossy), catalog=Catalog(models, "income"))
    client = create_app(lossy, services).test_client()
    missing = client.get("/readyz").get_json()["missing"]
    assert f"a suitable store: {RISKS[0][2]}" in missing
    sample = client.get("/api/v1/models/income/sample.csv").data
    refused = client.post("/api/v1/jobs", data=sample, headers=CSV)
    assert (refused.status_code, refused.get_json()["code"]) == (503, "store_unsuitable")


@pytest.mark.parametrize("module", ["ops.launch", "worker bulk", "worker.reconcile", "worker.recording.recorder"])
def test_nothing_starts(lossy: Settings, models: Path, tmp_path: Path, module: str) -> None:
    (tmp_path / "models").symlink_to(models)
    environment = {
        **os.environ,
        "SCORELINE_DATA_DIR": str(tmp_path),
        "SCORELINE_REDIS_URL": lossy.store_url,
        "PORT": str(free_port()),
    }
    command = [sys.executable, "-m", *module.split()]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert RISKS[0][2] in ended.stderr
