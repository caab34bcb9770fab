"""Hosts with a folder of models each, on one store."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from jobs.models.folder import ModelFolder
from jobs.models.registry import ModelRegistry
from jobs.models.sharing import ModelSharing
from jobs.settings import Settings
from jobs.store.connection import connect

LARGE = bytes(range(256)) * 50_000  # more than one block


@pytest.fixture(params=["redis", "objects"])
def settings(request: pytest.FixtureRequest, server: Settings, tmp_path: Path) -> Settings:
    share = tmp_path / "share"
    share.mkdir()
    return server.model_copy(update={"storage_url": f"file://{share}"} if request.param == "objects" else {})


@pytest.fixture
def redis(settings: Settings) -> Iterator[Redis]:
    redis = connect(settings)
    redis.flushall()
    yield redis
    redis.close()


class Host:
    """A machine with a folder of models of its own."""

    def __init__(self, folder: Path, redis: Redis, settings: Settings, *trusted: str) -> None:
        self.folder = ModelFolder(folder)
        self.sharing = ModelSharing(ModelRegistry(redis, settings), self.folder, frozenset(trusted))

    def make(self, name: str, version: str, artifact: bytes = LARGE, made_with: str = "1.9.1", **card: Any) -> None:
        """Make a version as training does, which publishes nothing."""
        folder = self.folder.path / name / version
        folder.mkdir(parents=True, exist_ok=True)
        document = {"name": name, "version": version, "libraries": {"scikit-learn": made_with}, **card}
        (folder / "card.json").write_text(json.dumps(document))
        (folder / "model.skops").write_bytes(artifact)
        self.folder.set_current(name, version)

    def add(self, name: str, version: str, **card: Any) -> None:
        """Make a version and publish it, as ``model add`` does."""
        self.make(name, version, **card)
        self.sharing.publish(name, version)

    def has(self, name: str, version: str) -> bool:
        return self.folder.current(name) == version and bool(self.folder.contents(name, version))


@pytest.fixture
def hosts(redis: Redis, settings: Settings, tmp_path: Path) -> list[Host]:
    return [Host(tmp_path / name / "models", redis, settings) for name in ("one", "two", "three")]
