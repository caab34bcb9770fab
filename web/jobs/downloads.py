"""Downloads, streamed chunk by chunk: the scored CSV and the rejects."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from urllib.parse import quote

from flask import Response, request

from jobs.csv.dialect import RUNS_OF_SPACES
from jobs.csv.encoding import as_utf8, byte_order_mark, charset_of, encoder
from jobs.messages import decompress
from jobs.state import Job, JobState
from jobs.store.job_store import JobStore
from jobs.store.outputs import output_text
from web.jobs.formula_escaping import formula_escaper
from web.jobs.notifications import JobNotifications
from web.server.limits import ConcurrencyLimit, LimitedResponseBody

REJECT_COLUMNS = ("row", "column", "value", "code", "reason")
_FOLLOW_SECONDS = 5.0
_EXTENSION = re.compile(
    r"(\.(csv|tsv|txt|xlsx|xls|ods|parquet|arrow|arrows|feather|jsonl|ndjson))?(\.gz)?$", re.IGNORECASE
)
_PIECE_BYTES = 64 * 1024

Transform = Callable[[bytes], bytes]


class TransferBroken(Exception):
    """Raised to abort a download, so that a partial file cannot be mistaken for a complete one."""


@dataclass(frozen=True, slots=True)
class CsvForm:
    """How the stored rows of a job are written for a download: as its input was, or in UTF-8.

    ``is_translated``: they stay as they are stored, except bytes that are not UTF-8.
    """

    job: Job
    escapes_formulas: bool = False
    in_utf8: bool = False
    is_translated: bool = False

    @property
    def charset(self) -> str:
        """The charset of the download."""
        return "utf-8" if self.in_utf8 else charset_of(self.job.codec, self.job.dialect.has_byte_order_mark)

    @property
    def begin(self) -> bytes:
        """What precedes the first line: the byte order mark, if the input has one."""
        has_mark = self.job.dialect.has_byte_order_mark and not (self.in_utf8 or self.is_translated)
        return byte_order_mark(self.job.codec) if has_mark else b""

    @property
    def is_as_stored(self) -> bool:
        """Whether rows are downloaded byte for byte as they are stored."""
        changed = self.escapes_formulas or self.in_utf8 or self.is_translated
        return self.job.dialect.is_plain and encoder(self.job.codec) is None and not changed

    def transform(self) -> Transform:
        """Return the function that writes blocks of whole lines."""
        if self.is_as_stored:
            return bytes
        if self.is_translated:
            return as_utf8
        dialect = self.job.dialect
        steps: list[Transform] = [] if dialect.is_plain else [dialect.restore]
        if self.escapes_formulas:
            # Between runs of spaces, a formula shows only once all of them are there again.
            last = len(steps) if dialect.delimiter == RUNS_OF_SPACES else 0
            steps.insert(last, formula_escaper(self.job.delimiter, dialect))
        if self.in_utf8:
            steps.append(as_utf8)
        elif encode := encoder(self.job.codec):
            steps.append(encode)
        return lambda block: reduce(lambda data, step: step(data), steps, block)


def csv_response(
    blocks: Iterator[bytes], filename: str, suffix: str, places: ConcurrencyLimit, charset: str = "utf-8"
) -> Response:
    """Return a CSV download: ``people.csv`` becomes ``people.<suffix>.csv``. Raise ``Busy`` if too many are running."""
    response = file_response(_pieces(blocks), filename, f"{suffix}.csv", "text/csv", places)
    response.headers["Content-Type"] = f"text/csv; charset={charset}"
    return response


def file_response(
    blocks: Iterator[bytes], filename: str, extension: str, media_type: str, places: ConcurrencyLimit
) -> Response:
    """Return a download: the extension of the uploaded file is replaced. Raise ``Busy`` if too many are running."""
    name = f"{stem(filename)}.{extension}"
    plain = re.sub(r'[^\x20-\x7e]|["\\%]', "_", name)
    disposition = f'attachment; filename="{plain}"'
    # The plain name is for clients that do not know the other form (RFC 6266).
    if plain != name:
        disposition += f"; filename*=UTF-8''{quote(name)}"
    body = LimitedResponseBody(places, blocks, request.remote_addr or "")
    response = Response(body, mimetype=media_type, direct_passthrough=True)
    response.headers["Content-Disposition"] = disposition
    return response


def stem(filename: str) -> str:
    """Return the name of an uploaded file without its extension."""
    return _EXTENSION.sub("", filename) or "upload"


def unbuffered(response: Response) -> Response:
    """Ask proxies not to buffer the response, which nginx does by default."""
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _pieces(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Split blocks into small pieces, since the time limit of slow clients applies to each piece."""
    for block in blocks:
        for start in range(0, len(block), _PIECE_BYTES):
            yield block[start : start + _PIECE_BYTES]


def finished_results(store: JobStore, form: CsvForm) -> Iterator[bytes]:
    """Yield the scored file of an ended job; of a canceled one, the leading rows that were scored."""
    job, transform = form.job, form.transform()
    yield form.begin + (transform(job.header + job.line_end.encode()) if job.header else b"")
    for number in range(job.chunks):
        frame = store.output(job.id, number)
        if frame is None:
            # If the job is gone meanwhile, chunks that were scored are missing, too.
            if job.state is JobState.CANCELED and store.get(job.id):
                return
            raise TransferBroken(f"chunk {number} of job {job.id} is gone")
        yield transform(output_text(frame))


def followed_results(store: JobStore, notifications: JobNotifications, form: CsvForm) -> Iterator[bytes]:
    """Yield the scored file as its chunks are recorded, until the job ends.

    Its encoding is the one known at the beginning.
    """
    job, transform = form.job, form.transform()
    number, header = 0, b""
    with notifications.listen(job.id) as changed:
        while True:
            # Before reading: a change from here on sets the event again, and the wait below returns at once.
            changed.clear()
            now = store.get(job.id)
            if now and now.header and not header:  # a file that is converted has none at first
                header = now.header
                yield form.begin + transform(header + now.line_end.encode())
            if now is None or now.state in (JobState.FAILED, JobState.CANCELED):
                raise TransferBroken(f"job {job.id} ended without all its results")
            while (frame := store.output(job.id, number)) is not None:
                yield transform(output_text(frame))
                number += 1
            if now.state is JobState.SUCCEEDED:
                # Its state was read before its chunks, so that all of them must have been there.
                if number != now.chunks:
                    raise TransferBroken(f"chunk {number} of job {job.id} is gone")
                return
            changed.wait(_FOLLOW_SECONDS)


def rejects(store: JobStore, form: CsvForm) -> Iterator[bytes]:
    """Yield the rejects file of an ended job."""
    job, transform = form.job, form.transform()
    names = job.delimiter.join(REJECT_COLUMNS).encode()
    yield form.begin + transform(names + job.delimiter.encode() + job.input_header + job.line_end.encode())
    for number in store.chunks_with_rejects(job.id):
        frame = store.rejects(job.id, number)
        if frame is not None:
            yield transform(decompress(frame))
    # What a job that was deleted meanwhile had in rejects is not known.
    if store.get(job.id) is None:
        raise TransferBroken(f"job {job.id} is gone")
