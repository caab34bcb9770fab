"""A page of the list of jobs, for programs and for people."""

from dataclasses import dataclass

from jobs.state import Job
from jobs.store import JobStore
from web.schemas import JobsQuery


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


def list_page(store: JobStore, query: JobsQuery) -> JobPage:
    """The page of the list that the query asks for."""
    found = store.page(query.limit + 1, _decode_cursor(query.cursor), query.state)
    listed = [ListedJob(job, store.queue_position(job)) for job in found[: query.limit]]
    return JobPage(listed, _encode_cursor(listed[-1].job) if len(found) > query.limit else None)


def _encode_cursor(job: Job) -> str:
    """The cursor of the page that begins after this job: its time and id."""
    return f"{job.created!r}-{job.id}"


def _decode_cursor(cursor: str | None) -> tuple[float, str] | None:
    """The time and id in a cursor."""
    if cursor is None:
        return None
    created, _, job_id = cursor.partition("-")
    return float(created), job_id
