"""What the page of a job shows beyond the job itself: its first rejected rows."""

from collections.abc import Iterator
from dataclasses import dataclass

from jobs.messages import decompress
from jobs.records import read_record, unquote
from jobs.state import Job
from jobs.store import JobStore

SHOWN_REJECTS = 20


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """One fault of a rejected row."""

    row: str
    column: str
    value: str
    code: str
    reason: str


def first_rejects(store: JobStore, job: Job, most: int = SHOWN_REJECTS) -> list[RejectedRow]:
    """The first faults of an ended job's rejected rows."""
    found: list[RejectedRow] = []
    if not (job.state.ended and job.rejected):
        return found
    for number in store.chunks_with_rejects(job.id):
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
