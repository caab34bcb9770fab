"""The shared models in Redis: which there are, which version of each is current, and the bytes of their files."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from redis import Redis

from jobs.blobs.redis_blobs import RedisBlobs
from jobs.blobs.storage import BlobStorage
from jobs.errors import DamagedBlob, StorageUnavailable
from jobs.models.manifest import BLOCK_BYTES, Manifest, SharedFile, check_name
from jobs.settings import Settings
from jobs.store import keys
from jobs.store.payloads import Payloads
from jobs.store.scripts import register_script

_VERSION, _MODEL, _REMOVED = "version:", "model:", "removed:"
_CURRENT, _DEFAULT, _REVISION = "current", "default", "revision"


@dataclass(frozen=True, slots=True)
class SharedModel:
    """A model in the store: its current version, and all of them."""

    name: str
    current: str
    versions: Mapping[str, Manifest]


@dataclass(frozen=True, slots=True)
class SharedModels:
    """All models in the store, the default one if one was chosen, and the number of the last change.

    ``removed`` holds names of models, and ``name:version`` of single versions.
    """

    revision: int = 0
    default: str | None = None
    models: Mapping[str, SharedModel] = field(default_factory=dict)
    removed: frozenset[str] = frozenset()


class ModelRegistry:
    """The models of all hosts. Versions are immutable: the first to publish one decides what it consists of."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis: Any = redis
        self._payloads = Payloads(settings)
        self._publish = register_script(redis, "publish_model")
        self._remove = register_script(redis, "remove_model")

    @property
    def blobs(self) -> BlobStorage:
        """Where the bytes of models lie."""
        return self._payloads.blobs if self._payloads.external else RedisBlobs(self._redis)

    def revision(self) -> int:
        """Return the number of the last change; one round trip."""
        return int(self._redis.hget(keys.MODELS, _REVISION) or 0)

    def all(self) -> SharedModels:
        """Return all models; a round trip for their names, and one for the models."""
        found = {name.decode(): value.decode() for name, value in self._redis.hgetall(keys.MODELS).items()}
        names = sorted(name.removeprefix(_MODEL) for name in found if name.startswith(_MODEL))
        with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hgetall(keys.model(name))
            raws = pipe.execute()
        models = {name: _decode(name, raw) for name, raw in zip(names, raws, strict=True) if raw}
        removed = frozenset(name.removeprefix(_REMOVED) for name in found if name.startswith(_REMOVED))
        return SharedModels(int(found.get(_REVISION, 0)), found.get(_DEFAULT), models, removed)

    def get(self, name: str) -> SharedModel | None:
        """Return a model, or None if the store has none of that name."""
        raw = self._redis.hgetall(keys.model(name))
        return _decode(name, raw) if raw else None

    def publish(self, manifest: Manifest, contents: Mapping[str, bytes], only_first: bool = False) -> str:
        """Make a version the current one of its model; return the version that is current then.

        With ``only_first``, a model that has a version keeps it. A version that is there already stays as it is; what
        has vanished of it is stored again.

        Raises:
            StorageUnavailable: this took so long, or the store has lost so much, that the objects may have been swept.
        """
        known = self._known(manifest)
        attempt = known or replace(manifest, attempt=secrets.token_hex(8))
        mark = keys.publishing(attempt.folder)
        if not known:
            self._redis.set(mark, b"", ex=keys.PUBLISHING_SECONDS)
        for name in attempt.files:
            for number, block in enumerate(attempt.blocks(name)):
                self.blobs.put(block, contents[name][number * BLOCK_BYTES : (number + 1) * BLOCK_BYTES])
                self._redis.expire(mark, keys.PUBLISHING_SECONDS)
        hashes = [keys.MODELS, keys.model(attempt.name), mark]
        arguments: list[str | bytes | int] = [attempt.name, attempt.version, attempt.encode(), int(only_first)]
        current: Any = self._publish(keys=hashes, args=arguments)
        if self._known(manifest) != attempt and not known:
            self.blobs.delete(attempt.all_blocks())
        if current is None:
            raise StorageUnavailable(f"publishing {attempt.name} {attempt.version} was broken off; try again")
        return str(current.decode())

    def is_being_published(self, folders: Sequence[str]) -> list[bool]:
        """Return of each folder of a version whether somebody may still publish what is in it; one round trip."""
        with self._redis.pipeline(transaction=False) as pipe:
            for folder in folders:
                pipe.exists(keys.publishing(folder))
            return [bool(found) for found in pipe.execute()]

    def fetch(self, manifest: Manifest, name: str) -> bytes:
        """Return a file of a version, verified.

        Raises:
            DamagedBlob: it is gone or was altered.
        """
        content = b"".join(map(self.blobs.get, manifest.blocks(name)))
        if SharedFile.of(content) != manifest.files[name]:
            raise DamagedBlob(f"{name} of {manifest.name} {manifest.version} was altered in the storage")
        return content

    def set_default(self, name: str) -> None:
        """Choose the default model of all hosts."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(keys.MODELS, _DEFAULT, check_name(name))
            pipe.hincrby(keys.MODELS, _REVISION, 1)
            pipe.execute()

    def remove(self, name: str, version: str | None = None) -> None:
        """Remove a version that is not current, or a model; hosts remove it too."""
        model = self.get(check_name(name))
        if model and self._remove(keys=[keys.MODELS, keys.model(name)], args=[name, version or ""]):
            removed = [found for found in model.versions.values() if version in (None, found.version)]
            self.blobs.delete([block for manifest in removed for block in manifest.all_blocks()])

    def _known(self, manifest: Manifest) -> Manifest | None:
        """Return the manifest by which the store has a version, if it consists of the same files."""
        model = self.get(manifest.name)
        known = model.versions.get(manifest.version) if model else None
        return known if known and known.files == manifest.files else None


def _decode(name: str, raw: Mapping[bytes, bytes]) -> SharedModel:
    stored = {field_name.decode(): value for field_name, value in raw.items()}
    versions = {
        field_name.removeprefix(_VERSION): Manifest.decode(name, field_name.removeprefix(_VERSION), value)
        for field_name, value in stored.items()
        if field_name.startswith(_VERSION)
    }
    return SharedModel(check_name(name), stored[_CURRENT].decode(), versions)
