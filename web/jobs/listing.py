"""Pages of the list of jobs, for the API and the web pages."""

from dataclasses import dataclass

from jobs.state import Job, JobState
from jobs.store import keys
from jobs.store.job_store import JobStore
from web.auth.identity import Identity, current_identity


@dataclass(frozen=True, slots=True)
class ListedJob:
    """A job in the list, and the number of jobs ahead of it; None once it has ended."""

    job: Job
    queue_position: int | None


@dataclass(frozen=True, slots=True)
class JobPage:
    """A page of the list of jobs, newest first; ``next_cursor`` leads to the next page."""

    jobs: list[ListedJob]
    next_cursor: str | None


def list_page(store: JobStore, limit: int, cursor: str | None, state: JobState | None) -> JobPage:
    """Return at most ``limit`` jobs, optionally of one state, from ``cursor`` on: those that whoever asks may see."""
    # One more than is shown tells whether there is another page.
    jobs = store.page(limit + 1, decode_cursor(cursor), state, visible_lists(current_identity()))
    listed = [ListedJob(job, store.queue_position(job)) for job in jobs[:limit]]
    return JobPage(listed, encode_cursor(listed[-1].job.created, listed[-1].job.id) if len(jobs) > limit else None)


def visible_lists(identity: Identity) -> tuple[str, ...]:
    """Return the keys of the lists of jobs that somebody may see."""
    return (keys.JOBS,) if identity.sees_all else (keys.jobs_of(identity.owner), keys.TEAM_JOBS)


def encode_cursor(created: float, job_id: str) -> str:
    """Return the cursor of the page after a job: its creation time and id."""
    # ``repr`` keeps every digit, so that the next page begins exactly there.
    return f"{created!r}-{job_id}"


def decode_cursor(cursor: str | None) -> tuple[float, str] | None:
    """Return the creation time and id in a cursor."""
    if cursor is None:
        return None
    created, _, job_id = cursor.partition("-")
    return float(created), job_id
