"""Searching and sorting jobs, for people who have hundreds. Looks only at jobs that whoever asks may see."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from math import inf

from jobs.state import Job, JobState
from jobs.store.job_store import JobStore

MAX_SCANNED = 5000
"""How many jobs one request looks at; a search goes on from there with the next page."""
MAX_SORTED = 1000
"""How many of the newest matching jobs are sorted by something else than time."""


class Sort(StrEnum):
    """What a list is sorted by; each starts where most people want it to."""

    NEWEST = "newest"
    OLDEST = "oldest"
    NAME = "name"
    MODEL = "model"
    OWNER = "owner"
    ROWS = "rows"
    DURATION = "duration"


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs; what is empty does not count. ``name`` and ``owner`` may be parts, days are in UTC, both included."""

    state: JobState | None = None
    name: str = ""
    model: str = ""
    owner: str = ""
    start: date | None = None
    end: date | None = None

    @property
    def begin(self) -> float:
        """Time from which jobs count, in seconds since the epoch."""
        return -inf if self.start is None else _midnight(self.start)

    @property
    def stop(self) -> float:
        """Time up to which jobs count."""
        return inf if self.end in (None, date.max) else _midnight(self.end + timedelta(days=1))

    def matches(self, job: Job) -> bool:
        """Return whether a job is wanted."""
        return (
            self.state in (None, job.state)
            and self.begin <= job.created < self.stop
            and self.name.casefold() in job.filename.casefold()
            and self.owner.casefold() in job.owner.name.casefold()
            and (not self.model or any(name == self.model for name, _ in job.models))
        )


@dataclass(frozen=True, slots=True)
class Found:
    """Jobs that match, and the last one that was looked at if there may be more (time, id)."""

    jobs: list[Job]
    rest: tuple[float, str] | None


def find_jobs(
    store: JobStore, lists: Sequence[str], wanted: JobFilter, limit: int, before: tuple[float, str] | None = None
) -> Found:
    """Return up to ``limit`` matching jobs, newest first, created before (time, id)."""
    if before is None and wanted.stop < inf:
        # Newer jobs need not be looked at.
        before = (wanted.stop, "")
    found: list[Job] = []
    for position, (key, job) in enumerate(store.scan(before, lists)):
        if position >= MAX_SCANNED or len(found) >= limit:
            return Found(found, before)
        before = key
        # All that follow are older still.
        if key[0] < wanted.begin:
            break
        if job is not None and wanted.matches(job):
            found.append(job)
    return Found(found, None)


def sorted_jobs(store: JobStore, lists: Sequence[str], wanted: JobFilter, sort: Sort) -> Found:
    """Return the newest ``MAX_SORTED`` matching jobs in another order."""
    found = find_jobs(store, lists, wanted, MAX_SORTED)
    if sort is Sort.OLDEST:
        return Found(found.jobs[::-1], found.rest)
    return Found(sorted(found.jobs, key=_KEYS[sort]), found.rest)


_KEYS: dict[Sort, Callable[[Job], tuple[float | str, ...]]] = {
    Sort.NEWEST: lambda job: (-job.created,),
    Sort.NAME: lambda job: (job.filename.casefold(), -job.created),
    Sort.MODEL: lambda job: (job.model, job.version, -job.created),
    Sort.OWNER: lambda job: (job.owner.name, -job.created),
    Sort.ROWS: lambda job: (-(job.total or 0), -job.created),
    Sort.DURATION: lambda job: (-(job.duration or 0), -job.created),
}


def _midnight(day: date) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
