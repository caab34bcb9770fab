"""A version is published as a whole or not at all, and reaches hosts that do nothing but run."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from redis import Redis

from jobs.blobs.storage import BlobStorage
from jobs.errors import StorageUnavailable
from jobs.models.sweeper import ModelSweeper
from jobs.models.watcher import POLL_SECONDS, keep_models_in_sync
from jobs.settings import Settings
from jobs.store import keys
from tests.jobs.models.conftest import Host
from tests.stack import ROOT, wait_until

# The second block of a file is where the process of a host dies.
_DIES = """
import os, signal, sys
from pathlib import Path
from jobs.models.folder import ModelFolder
from jobs.models.registry import ModelRegistry
from jobs.models.sharing import ModelSharing
from jobs.settings import get_settings
from jobs.store.connection import connect

settings = get_settings()
registry = ModelRegistry(connect(settings), settings)
blobs, put = registry.blobs, type(registry.blobs).put

def dying(self, key, content):
    if key.endswith("/1"):
        os.kill(os.getpid(), signal.SIGKILL)
    put(self, key, content)

type(blobs).put = dying
ModelSharing(registry, ModelFolder(Path(sys.argv[1]))).publish("iris", "1b")
"""


def publish_and_die(host: Host, settings: Settings) -> None:
    """Publish ``iris 1b``; the process is killed in the middle."""
    host.make("iris", "1b", artifact=bytes(20_000_000))
    words = [sys.executable, "-c", _DIES, str(host.folder.path)]
    environment = {**os.environ, "SCORELINE_DATA_DIR": str(settings.data_dir)}
    if settings.storage_url:
        environment["SCORELINE_STORAGE_URL"] = settings.storage_url
    assert subprocess.run(words, cwd=ROOT, env=environment, timeout=120, check=False).returncode == -signal.SIGKILL


def forget_marks(redis: Redis) -> None:
    """As when the time of all attempts is over."""
    for key in redis.scan_iter(keys.publishing("*")):
        redis.delete(key)


def objects(host: Host) -> set[str]:
    return set(host.sharing.registry.blobs.keys_in("models/"))


def test_a_host_that_dies_while_it_publishes_has_published_nothing(hosts: list[Host], settings: Settings) -> None:
    one, two, _ = hosts
    one.add("iris", "1a")
    two.sharing.synchronise()
    publish_and_die(one, settings)
    assert two.sharing.synchronise() == []
    assert two.has("iris", "1a")
    assert two.folder.versions("iris") == ["1a"]
    one.sharing.publish("iris", "1b")
    assert two.sharing.synchronise() == []
    assert two.folder.contents("iris", "1b") == one.folder.contents("iris", "1b")


def test_what_a_broken_off_attempt_has_left_is_swept(hosts: list[Host], redis: Redis, settings: Settings) -> None:
    one, two, _ = hosts
    one.add("iris", "1a")
    before = objects(one)
    publish_and_die(one, settings)
    left = objects(one) - before
    assert left
    sweeper = ModelSweeper(redis, settings, grace_seconds=0)
    assert sweeper.sweep() == 0  # it may only be slow
    forget_marks(redis)
    assert ModelSweeper(redis, settings, grace_seconds=3600).sweep() == 0
    assert sweeper.sweep() == len(left)
    assert objects(one) == before
    assert two.sharing.synchronise() == []
    assert two.has("iris", "1a")


def test_what_a_host_of_the_version_before_may_be_publishing_is_spared(
    hosts: list[Host], redis: Redis, settings: Settings
) -> None:
    """It has no mark, and no folder of its own attempt."""
    hosts[0].sharing.registry.blobs.put(f"models/iris/1a/{'0' * 64}/0", b"a block")
    assert ModelSweeper(redis, settings, grace_seconds=0).sweep() == 0
    assert ModelSweeper(redis, settings, grace_seconds=0, unmarked_seconds=0).sweep() == 1


def test_what_is_being_published_is_not_swept(hosts: list[Host], redis: Redis, settings: Settings) -> None:
    """However slow it is, and whatever an earlier attempt at the same version has left."""
    one, two, _ = hosts
    publish_and_die(one, settings)
    left = objects(one)
    forget_marks(redis)
    sweeper, swept = ModelSweeper(redis, settings, grace_seconds=0), []
    storage = type(one.sharing.registry.blobs)
    put = storage.put

    def put_slowly(blobs: BlobStorage, key: str, content: bytes) -> None:
        put(blobs, key, content)  # type: ignore[arg-type]
        if key.startswith("models/"):
            swept.append(sweeper.sweep())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "put", put_slowly)
        one.sharing.publish("iris", "1b")
    assert sum(swept) == len(left)
    assert sweeper.sweep() == 0
    assert two.sharing.synchronise() == []
    assert two.folder.contents("iris", "1b") == one.folder.contents("iris", "1b")


def test_an_attempt_that_stood_still_for_too_long_publishes_nothing(
    hosts: list[Host], redis: Redis, settings: Settings
) -> None:
    one, two, _ = hosts
    one.make("iris", "1b")
    storage = type(one.sharing.registry.blobs)
    put = storage.put

    def put_and_sleep(blobs: BlobStorage, key: str, content: bytes) -> None:
        put(blobs, key, content)  # type: ignore[arg-type]
        forget_marks(redis)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "put", put_and_sleep)
        with pytest.raises(StorageUnavailable, match=r"^publishing iris 1b was broken off; try again$"):
            one.sharing.publish("iris", "1b")
    assert two.sharing.synchronise() == []
    assert objects(one) == set()
    one.sharing.publish("iris", "1b")
    assert two.sharing.synchronise() == []
    assert two.has("iris", "1b")


def test_hosts_that_come_second_leave_nothing(hosts: list[Host], redis: Redis, settings: Settings) -> None:
    one, two, _ = hosts
    one.add("iris", "1a")
    before = objects(one)
    two.make("iris", "1a", trained_at="another time")
    two.sharing.publish("iris", "1a")
    assert objects(one) == before
    assert ModelSweeper(redis, settings, grace_seconds=0).sweep() == 0


def test_publishing_again_brings_back_what_has_vanished(hosts: list[Host]) -> None:
    one, two, _ = hosts
    one.add("iris", "1a")
    registry = one.sharing.registry
    registry.blobs.delete(list(objects(one))[:1])
    assert len(two.sharing.synchronise()) == 1
    one.sharing.publish("iris", "1a")
    assert two.sharing.synchronise() == []
    assert two.folder.contents("iris", "1a") == one.folder.contents("iris", "1a")


def test_hosts_that_run_have_what_another_one_adds_within_seconds(
    redis: Redis, settings: Settings, tmp_path: Path
) -> None:
    """Nobody tells them: they ask, often enough that five seconds are plenty."""
    assert POLL_SECONDS <= 2.5
    shared = settings.model_copy(update={"redis_url": settings.store_url})
    machines = [shared.model_copy(update={"data_dir": tmp_path / name}) for name in ("one", "two")]
    one, two = (Host(machine.models_dir, redis, machine) for machine in machines)
    stop = threading.Event()
    try:
        for machine in machines:
            keep_models_in_sync(machine, stop)
        one.add("iris", "1a")
        wait_until(lambda: two.has("iris", "1a"), 60)
        two.add("iris", "1b")
        wait_until(lambda: one.has("iris", "1b"), 60)
    finally:
        stop.set()


def test_the_recorder_on_a_host_of_its_own_has_the_cards_of_all_models(
    hosts: list[Host], redis: Redis, settings: Settings, tmp_path: Path
) -> None:
    """Live figures of a model are made from its card."""
    hosts[0].add("iris", "1a")
    environment = {
        **os.environ, "SCORELINE_REDIS_URL": settings.store_url, "SCORELINE_DATA_DIR": str(tmp_path / "recorder"),
        **({"SCORELINE_STORAGE_URL": settings.storage_url} if settings.storage_url else {}),
    }  # fmt: skip
    own = Host(tmp_path / "recorder" / "models", redis, settings)
    own.make("shipped", "1a")
    process = subprocess.Popen([sys.executable, "-m", "worker.recording.recorder"], cwd=ROOT, env=environment)
    try:
        wait_until(lambda: own.has("iris", "1a"), 120)
        assert hosts[0].sharing.registry.get("shipped") is None  # that is for workers to publish
    finally:
        process.terminate()
        process.wait(timeout=60)
