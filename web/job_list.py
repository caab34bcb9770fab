"""A page of the list of jobs, for programs and for people."""

import base64
import binascii
import math
from dataclasses import dataclass
from http import HTTPStatus

from jobs.state import Job
from jobs.store import JobStore
from web.problems import Problem
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
    """The page of the list that the query asks for. Raises Problem ``bad_parameter`` where its cursor is not one."""
    found = store.page(query.limit + 1, _decode_cursor(query.cursor), query.state)
    listed = [ListedJob(job, store.queue_position(job)) for job in found[: query.limit]]
    return JobPage(listed, _encode_cursor(listed[-1].job) if len(found) > query.limit else None)


def _encode_cursor(job: Job) -> str:
    """The cursor of the page that begins after this job."""
    return base64.urlsafe_b64encode(f"{job.created!r} {job.id}".encode()).decode().rstrip("=")


def _decode_cursor(cursor: str | None) -> tuple[float, str] | None:
    """The time and id in a cursor. Raises Problem ``bad_parameter``."""
    if cursor is None:
        return None
    try:
        text, job_id = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().split(" ")
        created = float(text)
    except (ValueError, binascii.Error):
        created, job_id = math.nan, ""
    if not math.isfinite(created):
        detail = "cursor: give the next_cursor of the page before, unchanged"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_parameter", detail)
    return created, job_id
