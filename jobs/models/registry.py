"""The shared models in Redis: which there are, which version of each is current, and the bytes of their files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from redis import Redis

from jobs.blobs.redis_blobs import RedisBlobs
from jobs.blobs.storage import BlobStorage
from jobs.errors import DamagedBlob
from jobs.models.manifest import Manifest, SharedFile, check_name, version_folder
from jobs.settings import MIB, Settings
from jobs.store import keys
from jobs.store.payloads import Payloads
from jobs.store.scripts import register_script

_BLOCK_BYTES = 8 * MIB
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
    def _blobs(self) -> BlobStorage:
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

        With ``only_first``, a model that has a version keeps it. A version that is there already stays as it is.
        """
        for name, file in manifest.files.items():
            for number, start in enumerate(range(0, max(file.size, 1), _BLOCK_BYTES)):
                self._blobs.put(_block(manifest, file, number), contents[name][start : start + _BLOCK_BYTES])
        hashes = [keys.MODELS, keys.model(manifest.name)]
        arguments: list[str | bytes | int] = [manifest.name, manifest.version, manifest.encode(), int(only_first)]
        current: Any = self._publish(keys=hashes, args=arguments)
        return str(current.decode())

    def fetch(self, manifest: Manifest, name: str) -> bytes:
        """Return a file of a version, verified.

        Raises:
            DamagedBlob: it is gone or was altered.
        """
        file = manifest.files[name]
        blocks = -(-max(file.size, 1) // _BLOCK_BYTES)
        content = b"".join(self._blobs.get(_block(manifest, file, number)) for number in range(blocks))
        if SharedFile.of(content) != file:
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
        if self._remove(keys=[keys.MODELS, keys.model(name)], args=[name, version or ""]):
            self._blobs.delete_folder(version_folder(check_name(name), version and check_name(version)))


def _block(manifest: Manifest, file: SharedFile, number: int) -> str:
    # Named by their content: of two hosts that publish one version with different cards, neither harms the other.
    return f"{manifest.folder}{file.sha256}/{number}"


def _decode(name: str, raw: Mapping[bytes, bytes]) -> SharedModel:
    stored = {field_name.decode(): value for field_name, value in raw.items()}
    versions = {
        field_name.removeprefix(_VERSION): Manifest.decode(name, field_name.removeprefix(_VERSION), value)
        for field_name, value in stored.items()
        if field_name.startswith(_VERSION)
    }
    return SharedModel(check_name(name), stored[_CURRENT].decode(), versions)
