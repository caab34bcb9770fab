"""What the pages of jobs show beyond the job itself: a page of the list, and the first rejected rows."""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus

from jobs.messages import decompress
from jobs.records import read_record, unquote
from jobs.state import Job
from jobs.store import JobStore
from web.problems import Problem
from web.schemas import JobsQuery

SHOWN_REJECTS = 20


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """One fault of a rejected row."""

    row: str
    column: str
    value: str
    code: str
    reason: str


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
    found = store.page(query.limit + 1, decode_cursor(query.cursor), query.state)
    listed = [ListedJob(job, store.queue_position(job)) for job in found[: query.limit]]
    return JobPage(listed, encode_cursor(listed[-1].job) if len(found) > query.limit else None)


def encode_cursor(job: Job) -> str:
    """The cursor of the page that begins after this job."""
    return base64.urlsafe_b64encode(f"{job.created!r} {job.id}".encode()).decode().rstrip("=")


def decode_cursor(cursor: str | None) -> tuple[float, str] | None:
    """The time and id in a cursor. Raises Problem ``bad_parameter``."""
    if cursor is None:
        return None
    try:
        created, job_id = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().split(" ")
        return float(created), job_id
    except (ValueError, binascii.Error) as error:
        detail = "cursor: give the next_cursor of the page before, unchanged"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_parameter", detail) from error


def first_rejects(store: JobStore, job: Job, most: int = SHOWN_REJECTS) -> list[RejectedRow]:
    """The first faults of an ended job's rejected rows."""
    found: list[RejectedRow] = []
    if not (job.state.ended and job.rejected):
        return found
    for number in range(job.chunks):
        frame = store.rejects(job.id, number)
        if frame is not None:
            found += _faults(decompress(frame), ord(job.delimiter), most - len(found))
        if len(found) >= most:
            break
    return found


def _faults(lines: bytes, delimiter: int, most: int) -> Iterator[RejectedRow]:
    """The first faults of one chunk's lines of the rejects file, read one by one: a chunk may hold many thousands."""
    position = 0
    while most > 0 and position < len(lines):
        record = read_record(lines, position, len(lines), delimiter)
        texts = [unquote(lines[start:end]).decode("utf-8", "replace") for start, end in record.fields[:5]]
        if len(texts) == 5:
            yield RejectedRow(*texts)
            most -= 1
        line_end = lines.find(b"\n", record.end)
        position = len(lines) if line_end < 0 else line_end + 1
