"""A page of the list of jobs, for programs and for people."""

from dataclasses import dataclass

from jobs.state import Job, JobState
from jobs.store.job_store import JobStore


@dataclass(frozen=True, slots=True)
class ListedJob:
    """A job of the list, and how many jobs are before it; None once it has ended."""

    job: Job
    queue_position: int | None


@dataclass(frozen=True, slots=True)
class JobPage:
    """A page of the list of jobs, newest first; ``next_cursor`` asks for the page after it."""

    jobs: list[ListedJob]
    next_cursor: str | None


def list_page(store: JobStore, limit: int, cursor: str | None, state: JobState | None) -> JobPage:
    """Return at most ``limit`` jobs, of one state or of all, from the place on that ``cursor`` names."""
    found = store.page(limit + 1, _decode_cursor(cursor), state)
    listed = [ListedJob(job, store.queue_position(job)) for job in found[:limit]]
    return JobPage(listed, _encode_cursor(listed[-1].job) if len(found) > limit else None)


def _encode_cursor(job: Job) -> str:
    """The cursor of the page that begins after this job: its time and id."""
    return f"{job.created!r}-{job.id}"


def _decode_cursor(cursor: str | None) -> tuple[float, str] | None:
    """The time and id in a cursor."""
    if cursor is None:
        return None
    created, _, job_id = cursor.partition("-")
    return float(created), job_id
