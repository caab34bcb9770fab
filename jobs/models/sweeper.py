"""Deletes objects of models that no version consists of: of attempts to publish one that were broken off."""

import time

import structlog
from redis import Redis

from jobs.models.manifest import FOLDER, folder_of, is_of_attempt
from jobs.models.registry import ModelRegistry
from jobs.settings import Settings
from jobs.store.payloads import Payloads
from jobs.store.storage_check import StorageCheck
from jobs.store.sweeper import GRACE_SECONDS

log = structlog.stdlib.get_logger(__name__)

_UNMARKED_SECONDS = 86400.0


class ModelSweeper:
    """Sweeps the models in Redis or in the object store of the settings.

    An object is deleted if no version has consisted of it and nobody has been publishing it for ``grace_seconds``, by
    the clock of this process. Nobody can publish it after that: the mark of its attempt is gone for good.

    Hosts of a version from before there were attempts mark nothing: their objects are spared for ``unmarked_seconds``.
    """

    def __init__(
        self,
        redis: Redis,
        settings: Settings,
        grace_seconds: float = GRACE_SECONDS,
        unmarked_seconds: float = _UNMARKED_SECONDS,
    ) -> None:
        self._registry = ModelRegistry(redis, settings)
        self._check = StorageCheck(redis, Payloads(settings))
        self._grace_seconds, self._unmarked_seconds = grace_seconds, unmarked_seconds
        self._orphan_since: dict[str, float] = {}

    def sweep(self) -> int:
        """Delete what has been an orphan for long enough; return the number of objects deleted.

        Raises:
            StorageUnavailable: the object store does not answer, or belongs to another Redis.
        """
        self._check.require()
        now = time.monotonic()
        self._orphan_since = {orphan: self._orphan_since.get(orphan, now) for orphan in self._orphans()}
        due = [orphan for orphan, since in self._orphan_since.items() if now - since >= self._grace_of(orphan)]
        if due:
            self._registry.blobs.delete(due)
            log.info("objects of models swept", objects=len(due))
        return len(due)

    def _grace_of(self, block: str) -> float:
        return self._grace_seconds if is_of_attempt(block) else self._unmarked_seconds

    def _orphans(self) -> set[str]:
        # In this order: the mark of an attempt is there before its objects, and goes when the version is there.
        found = set(self._registry.blobs.keys_in(FOLDER))
        folders = sorted({folder_of(block) for block in found})
        published_now = {
            folder for folder, live in zip(folders, self._registry.is_being_published(folders), strict=True) if live
        }
        for model in self._registry.all().models.values():
            for manifest in model.versions.values():
                found.difference_update(manifest.all_blocks())
        return {block for block in found if folder_of(block) not in published_now}
