"""Downloads, streamed chunk by chunk: the scored CSV, the rejects, and formulas made harmless for spreadsheets."""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import cache
from urllib.parse import quote

from flask import Response

from jobs.messages import decompress
from jobs.records import index_records
from jobs.state import Job, JobState
from jobs.store import JobStore
from web.watch import Watcher

REJECT_COLUMNS = ("row", "column", "value", "code", "reason")
_FOLLOW_SECONDS = 5.0

Transform = Callable[[bytes], bytes]


class TransferBroken(Exception):
    """Raised within a download to break it off, so that a short file cannot pass for a whole one."""


def csv_response(blocks: Iterator[bytes], filename: str, suffix: str) -> Response:
    """A CSV download; ``people.csv`` becomes ``people.<suffix>.csv``."""
    stem = re.sub(r"(\.(csv|tsv|txt))?(\.gz)?$", "", filename, flags=re.IGNORECASE) or "upload"
    name = f"{stem}.{suffix}.csv"
    plain = re.sub(r'[^\x20-\x7e]|["\\%]', "_", name)
    disposition = f'attachment; filename="{plain}"'
    if plain != name:
        disposition += f"; filename*=UTF-8''{quote(name)}"
    response = Response(blocks, mimetype="text/csv", direct_passthrough=True)
    response.headers["Content-Disposition"] = disposition
    response.headers["Content-Type"] = "text/csv; charset=utf-8"
    return response


def finished_results(store: JobStore, job: Job, transform: Transform) -> Iterator[bytes]:
    """The scored file of an ended job: of a canceled one, the finished leading rows."""
    yield transform(job.header + job.line_end.encode())
    for number in range(job.chunks):
        frame = store.output(job.id, number)
        if frame is None:
            if job.state is JobState.CANCELED:
                return
            raise TransferBroken(f"chunk {number} of job {job.id} is gone")
        yield transform(decompress(frame))


def followed_results(store: JobStore, watcher: Watcher, job: Job, transform: Transform) -> Iterator[bytes]:
    """The scored file as its chunks are done; ends when the job does."""
    yield transform(job.header + job.line_end.encode())
    number = 0
    with watcher.listen(job.id) as changed:
        while True:
            changed.clear()
            now = store.get(job.id)
            if now is None or now.state in (JobState.FAILED, JobState.CANCELED):
                raise TransferBroken(f"job {job.id} ended without all its results")
            while (frame := store.output(job.id, number)) is not None:
                yield transform(decompress(frame))
                number += 1
            if now.state is JobState.SUCCEEDED:
                if number != now.chunks:
                    raise TransferBroken(f"chunk {number} of job {job.id} is gone")
                return
            changed.wait(_FOLLOW_SECONDS)


def rejects(store: JobStore, job: Job, transform: Transform) -> Iterator[bytes]:
    """The rejects file of an ended job."""
    names = job.delimiter.join(REJECT_COLUMNS).encode()
    yield transform(names + job.delimiter.encode() + job.input_header + job.line_end.encode())
    for number in store.chunks_with_rejects(job.id):
        frame = store.rejects(job.id, number)
        if frame is not None:
            yield transform(decompress(frame))


def as_it_is(block: bytes) -> bytes:
    """The block unchanged: what programs get."""
    return block


def formula_escaper(delimiter: str) -> Transform:
    """A transform that puts an apostrophe before each text field that a spreadsheet would run as a formula."""

    def escape(block: bytes) -> bytes:
        candidates = [match.start() for match in _formula(delimiter).finditer(block)]
        return _escape_records(block, delimiter, candidates) if candidates else block

    return escape


@cache
def _formula(delimiter: str) -> re.Pattern[bytes]:
    """Where a field may begin with ``=``, ``+``, ``-``, ``@`` or a tab and is not a number."""
    stop = re.escape(delimiter.encode())
    number = rb'[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"?(?=' + stop + rb"|\r?\n|\Z)"
    starts = rb"[=+\-@]" if delimiter == "\t" else rb"[=+\-@\t]"
    return re.compile(rb'(?:(?<=[\n"])|(?<=' + stop + rb")|\A)(?=" + starts + rb")(?!" + number + rb")")


def _escape_records(block: bytes, delimiter: str, candidates: list[int]) -> bytes:
    """Escape the fields at fault, reading only the records that hold a candidate; a quoted field stays quoted."""
    index = index_records(block, ord(delimiter), final=True)
    starts, ends = index.starts.tolist(), index.ends.tolist()
    parts, done = [], 0
    for number in dict.fromkeys(max(0, bisect_right(starts, at) - 1) for at in candidates):
        fields = (_escaped(text, delimiter) for text in index.fields(number))
        parts += [block[done : starts[number]], delimiter.encode().join(fields)]
        done = ends[number]
    return b"".join([*parts, block[done:]])


def _escaped(text: bytes, delimiter: str) -> bytes:
    lead = text[:1] if text.startswith(b'"') else b""
    content = text[len(lead) :]
    if _formula(delimiter).match(content) is None:
        return text
    return lead + b"'" + content
