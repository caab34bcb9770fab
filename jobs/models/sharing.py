"""Bring the folder of this host and the shared models together."""

from dataclasses import dataclass, field

import structlog
from redis import Redis

from jobs.errors import DamagedBlob, NotShared, SharingRefused
from jobs.models.folder import ModelFolder
from jobs.models.manifest import Manifest, check_trust, is_newer
from jobs.models.registry import ModelRegistry, SharedModel
from jobs.settings import Settings

log = structlog.stdlib.get_logger(__name__)


@dataclass(slots=True)
class ModelSharing:
    """Publishes what was made on this host, and fetches what others have published."""

    registry: ModelRegistry
    folder: ModelFolder
    trusted: frozenset[str] = frozenset()
    _refused: dict[tuple[str, str], str] = field(default_factory=dict)

    @classmethod
    def of(cls, redis: Redis, settings: Settings) -> "ModelSharing":
        """Return the sharing of the settings."""
        return cls(ModelRegistry(redis, settings), ModelFolder(settings.models_dir), settings.trusted_type_names)

    def synchronise(self, publishes: bool = True) -> list[str]:
        """Fetch and publish what is missing here and there; return why versions were refused.

        A model that the store does not know is published; of several hosts, the first one wins, and the others take
        over its version. A version that a newer scikit-learn made here, after an upgrade, replaces the shared one.
        Without ``publishes``, nothing is published, and such a version stays the current one here.
        """
        with self.folder.locked():
            shared = self.registry.all()
            self._remove(shared.removed)
            own = [name for name in self.folder.names() if name not in shared.removed]
            ahead = {name for name in own if name in shared.models and self._is_ahead(shared.models[name])}
            if publishes:
                for name in own:
                    if name not in shared.models or name in ahead:
                        self._publish_own(name, only_first=name not in ahead)
                shared, ahead = self.registry.all(), set()
            taken = [model for name, model in shared.models.items() if name not in ahead]
            refusals = [line for model in taken for line in self._take_over(model)]
            if shared.default in shared.models:
                self.folder.set_default(str(shared.default))
            return refusals

    def publish(self, name: str, version: str | None = None) -> None:
        """Make a version of this host (None: the current one) the current one of all hosts."""
        with self.folder.locked():
            wanted = version or self.folder.current(name)
            if wanted is None:
                raise SharingRefused(f"there is no model {name!r} in {self.folder.path}")
            self._publish(name, wanted, only_first=False)

    def fetch(self, name: str, version: str) -> None:
        """Install a version that the store has, if it is not here.

        Raises:
            NotShared: the store has no such version.
            SharingRefused: this host does not trust it.
            DamagedBlob: its files are gone or were altered.
        """
        with self.folder.locked():
            model = self.registry.get(name)
            manifest = model.versions.get(version) if model else None
            if model is None or manifest is None:
                raise NotShared(f"the store has no version {version!r} of model {name!r}")
            self._install(manifest)
            if self.folder.current(name) is None:
                self.folder.set_current(name, model.current if model.current == version else version)

    def _is_ahead(self, shared: SharedModel) -> bool:
        """Return whether a newer library than that of the shared version made the version of this host."""
        version = self.folder.current(shared.name)
        if version is None or version in shared.versions:
            return False
        manifest = Manifest.of(shared.name, version, self.folder.contents(shared.name, version))
        return is_newer(manifest.library, shared.versions[shared.current].library)

    def _publish_own(self, name: str, only_first: bool) -> None:
        version = self.folder.current(name)
        if version is not None:
            self._publish(name, version, only_first)

    def _publish(self, name: str, version: str, only_first: bool) -> None:
        contents = self.folder.contents(name, version)
        manifest = Manifest.of(name, version, contents)
        current = self.registry.publish(manifest, contents, only_first)
        shared = self.registry.get(name)
        if shared and version in shared.versions:
            self.folder.has(shared.versions[version])  # notes that it is published, if it is the same
        if current == version:
            log.info("model published", model=name, version=version)

    def _take_over(self, model: SharedModel) -> list[str]:
        """Fetch the current version of a model; return why it could not be used, if so."""
        try:
            self._install(model.versions[model.current])
        except (SharingRefused, DamagedBlob) as error:
            return [self._refusal(model, str(error))]
        self.folder.set_current(model.name, model.current)
        return []

    def _refusal(self, model: SharedModel, reason: str) -> str:
        """Log a refusal, once."""
        if self._refused.get((model.name, model.current)) != reason:
            self._refused[model.name, model.current] = reason
            log.warning("model refused", model=model.name, version=model.current, reason=reason)
        return reason

    def _install(self, manifest: Manifest) -> None:
        if self.folder.has(manifest):
            return
        contents = {name: self.registry.fetch(manifest, name) for name in manifest.files}
        check_trust(manifest, contents, self.trusted)
        self.folder.install(manifest, contents)
        log.info("model fetched", model=manifest.name, version=manifest.version)

    def _remove(self, removed: frozenset[str]) -> None:
        """Remove what was removed elsewhere; versions that were made here since stay."""
        for name in self.folder.names():
            for version in self.folder.versions(name):
                is_removed = name in removed or f"{name}:{version}" in removed
                if is_removed and self.folder.is_published(name, version):
                    is_last = self.folder.versions(name) == [version]
                    self.folder.remove(name, None if is_last else version)
                    log.info("model removed", model=name, version=version)
