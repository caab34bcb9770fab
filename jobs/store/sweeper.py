"""Deletes objects that no job refers to: of jobs that are gone, and of workers that lost a chunk to another one."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import structlog
from redis import Redis

from jobs.blobs.reference import Reference
from jobs.settings import Settings
from jobs.state import JobState
from jobs.store import keys
from jobs.store.job_record import JobField
from jobs.store.keys import JobKeys
from jobs.store.payloads import FOLDER, Payloads
from jobs.store.storage_check import StorageCheck

log = structlog.stdlib.get_logger(__name__)

GRACE_SECONDS = 600.0
"""An object is written before anything refers to it. Far longer than that takes."""
_PAGE = 500


@dataclass(frozen=True, slots=True)
class _Holder:
    """A job that may refer to the objects in a folder."""

    job_id: str
    has_ended: bool


class Sweeper:
    """Sweeps the object store of the settings; does nothing without one.

    A job's objects lie in a folder of its own. Corrections refer to those of the job that they correct, too: a folder
    is needed as long as one of its holders lives. An object is deleted if nothing has referred to it for
    ``grace_seconds``, by the clock of this process: those of other hosts do not matter.
    """

    def __init__(self, redis: Redis, settings: Settings, grace_seconds: float = GRACE_SECONDS) -> None:
        self._redis: Any = redis
        self._payloads = Payloads(settings)
        self._grace_seconds = grace_seconds
        self._orphan_since: dict[str, float] = {}
        # Folders without orphans, by their holders, which all have ended: nothing can be added to them.
        self._clean: dict[str, Sequence[_Holder]] = {}

    def sweep(self) -> int:
        """Delete what has been an orphan for long enough; return the number of objects and folders deleted.

        Raises:
            StorageUnavailable: the object store does not answer, or belongs to another Redis.
        """
        if not self._payloads.external:
            return 0
        # Each time: a Redis that has lost its jobs knows nothing of the storage either, and nothing may be swept.
        StorageCheck(self._redis, self._payloads).require()
        folders = self._payloads.blobs.folders_in(FOLDER)
        holders = self._holders()  # after the folders: each job is there before its first object
        orphans = [orphan for folder in folders for orphan in self._orphans(folder, holders.get(folder, ()))]
        self._clean = {folder: self._clean[folder] for folder in folders if folder in self._clean}
        now = time.monotonic()
        self._orphan_since = {orphan: self._orphan_since.get(orphan, now) for orphan in orphans}
        due = [orphan for orphan, since in self._orphan_since.items() if now - since >= self._grace_seconds]
        self._delete(due)
        return len(due)

    def _delete(self, orphans: Sequence[str]) -> None:
        if not orphans:
            return
        self._payloads.blobs.delete([orphan for orphan in orphans if not orphan.endswith("/")])
        for folder in (orphan for orphan in orphans if orphan.endswith("/")):
            self._payloads.blobs.delete_folder(folder)
        log.info("objects swept", objects=len(orphans))

    def _orphans(self, folder: str, holders: Sequence[_Holder]) -> list[str]:
        """Return the keys of the orphans in a folder; the folder itself, with a slash, if nobody needs it."""
        if not holders:
            return [f"{FOLDER}{folder}/"]
        if not all(holder.has_ended for holder in holders) or self._clean.get(folder) == holders:
            return []
        found = set(self._payloads.blobs.keys_in(f"{FOLDER}{folder}/"))
        for holder in holders:
            found.difference_update(self._references(holder.job_id))
        if not found:
            self._clean[folder] = holders
        return sorted(found)

    def _references(self, job_id: str) -> Iterator[str]:
        """Yield the keys of the objects to which an ended job refers."""
        job_keys = JobKeys.of(job_id)
        for key in (job_keys.output, job_keys.rejects):
            for _, stored in self._redis.hscan_iter(key, count=_PAGE):
                if Reference.is_encoded(stored):
                    yield FOLDER + Reference.decode(stored).name

    def _holders(self) -> dict[str, list[_Holder]]:
        """Return the living holders of each folder."""
        holders: dict[str, list[_Holder]] = {}
        ids = {raw.decode() for key in (keys.JOBS, keys.UNFINISHED) for raw in self._redis.zrange(key, 0, -1)}
        names = (JobField.STATE.value, JobField.BLOBS.value)
        for page in _pages(sorted(ids)):
            with self._redis.pipeline(transaction=False) as pipe:
                for job_id in page:
                    pipe.hmget(JobKeys.of(job_id).job, *names)
                found = pipe.execute()
            for job_id, (state, others) in zip(page, found, strict=True):
                if state is not None:
                    holder = _Holder(job_id, JobState(state.decode()).ended)
                    for folder in {job_id, *(others or b"").decode().split()}:
                        holders.setdefault(folder, []).append(holder)
        return holders


def _pages(ids: Iterable[str]) -> Iterator[list[str]]:
    remaining = iter(ids)
    while page := list(islice(remaining, _PAGE)):
        yield page
