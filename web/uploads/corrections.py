"""Corrections of rejected rows: the given texts go into the records as they were, and become a job of their own."""

import hashlib
import re
import secrets
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Self

import structlog
from flask import Request

from jobs.csv.reader import MAX_FIELD_BYTES
from jobs.csv.records import MAX_RECORD_BYTES, as_field, read_record, unquote
from jobs.csv.rejected import RejectedRecords
from jobs.errors import UploadRefused
from jobs.formats.detection import TITLES, Format
from jobs.messages import CorrectedRows, Rejects
from jobs.state import Job, Owner, Visibility
from jobs.store.chunks import Corrections
from jobs.store.idempotency import IdempotencyKey
from jobs.store.job_store import JobStore
from model.schema import FaultCode
from web.ids import unknown_job
from web.jobs.downloads import TransferBroken
from web.jobs.formula_escaping import formula_escaper
from web.jobs.rejected import RecordColumns, read_chunk, results_layout
from web.request_limits import MAX_CORRECTIONS_BYTES, MAX_SMALL_CORRECTIONS_BYTES
from web.services import Services
from web.uploads.bodies import open_body
from web.uploads.correction_bodies import CorrectedColumns, GivenRows, read_file, read_records, refuse_rows
from web.uploads.json_bodies import has_json, parse_object, read_json
from web.uploads.upload import refusals_logged

log = structlog.stdlib.get_logger(__name__)

_NEEDED = "corrections are needed as CSV or JSON"
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class CorrectionsBody:
    """The body of a request with corrections: JSON, or a CSV file in the encoding that the request names, if any."""

    data: bytes
    is_json: bool
    encoding: str | None = None

    @classmethod
    @contextmanager
    def received(cls, request: Request, services: Services) -> Iterator[Self]:
        """Read the body of a request, in whatever form an upload may have, or as JSON.

        A large one holds a place until the context ends: to read it takes memory and processor time.

        Raises:
            UploadRefused: ``malformed_body``, ``too_large``, ``unsupported_media_type``.
            UploadForgotten: the body arrives too slowly.
            Busy: too many bodies are being received.
        """
        with ExitStack() as place:
            with refusals_logged():
                body = cls._read(request, services, place)
            yield body

    @classmethod
    def _read(cls, request: Request, services: Services, place: ExitStack) -> Self:
        large = services.limits.corrections.held(request.remote_addr or "")
        if has_json(request):
            # A body without a length may be of any size.
            if request.content_length is None or request.content_length > MAX_SMALL_CORRECTIONS_BYTES:
                place.enter_context(large)
            return cls(read_json(request, services.limits.records), is_json=True)
        body = open_body(request, MAX_CORRECTIONS_BYTES, services.limits.uploads)
        if (kind := body.detect_format(_NEEDED)) is not Format.CSV:
            raise UploadRefused("unsupported_media_type", f"this is a file of the format {TITLES[kind]}; {_NEEDED}")
        data, is_small = bytearray(), True
        for block in body.blocks:
            data += block
            # The length of the request says little: the file may be compressed.
            if is_small and len(data) > MAX_SMALL_CORRECTIONS_BYTES:
                is_small = False
                place.enter_context(large)
        return cls(bytes(data), False, body.form.encoding)

    def fingerprint(self, job_id: str) -> str:
        """Return the hash that identifies the corrections of a job."""
        digest = hashlib.sha256(repr(("corrections", job_id, self.is_json, self.encoding)).encode())
        digest.update(self.data)
        return digest.hexdigest()

    def rows(self, columns: CorrectedColumns) -> GivenRows:
        """Return the rows as given. Raises as ``read_file`` and ``read_records`` do."""
        if self.is_json:
            return read_records(parse_object(self.data), columns)
        return read_file(self.data, self.encoding, columns)


def create_job(
    services: Services, job: Job, body: CorrectionsBody, owner: Owner, key: IdempotencyKey | None = None
) -> str:
    """Create a job that corrects rows of one that has succeeded, and return its id. The job is durable then.

    It belongs to ``owner``. Who corrects a job of their own shows the new one to whom they show that one; who corrects
    another's, to nobody.

    Raises:
        UploadRefused: the corrections cannot be read or do not fit the job's rejected rows.
        UnknownModel, BrokenModel: a model of the job is gone or cannot be used, so no row could be scored.
        TooManyJobs, StoreFull, NotDurable, UnsuitableStore, RateLimited: nothing was stored.
        Overtaken: another request under the idempotency key was complete before.
        Problem: ``unknown_job``, if the job is deleted or expires meanwhile.
    """
    store = services.store
    with refusals_logged():
        store.check_room()
        store.check_copy(job.id)
        store.user_limits.check_jobs(owner.id)
        cards = [services.catalog.usable_card(name, version) for name, version in job.models]
        columns = CorrectedColumns(RecordColumns.of(job), store.columns(job.id), cards, job.dialect.decimal, job.codec)
        try:
            corrections = corrections_of(store, job, body.rows(columns))
        except TransferBroken as error:
            raise unknown_job(job.id) from error
        store.user_limits.reserve_rows(owner.id, corrections.rows)
    visibility = job.visibility if owner.id == job.owner.id else Visibility.PRIVATE
    corrections = replace(corrections, owner=owner, visibility=visibility)
    job_id = secrets.token_hex(16)
    sent = store.correct(job_id, corrections, key.key if key else None, body.fingerprint(job.id))
    if sent is None:
        raise unknown_job(job.id)
    store.confirm_or_remove(job_id)
    log.info("corrections accepted", job_id=job_id, corrects=job.id, rows=corrections.rows)
    services.sender.score_chunks(job_id, sent)
    return job_id


def corrections_of(store: JobStore, job: Job, given: GivenRows) -> Corrections:
    """Return the corrected records, by chunk.

    Raises:
        UploadRefused: ``unknown_row``, ``not_rejected``, ``no_corrections``, or a record cannot be written.
        TransferBroken: the job is deleted or expires meanwhile.
    """
    rows = sorted(given.places)
    refuse_rows("unknown_row", f"it does not exist: the file has {job.total} rows", _outside(rows, job.total or 0))
    chunks: dict[int, CorrectedRows] = {}
    fine: list[int] = []
    scoring_failed = 0
    for number, in_chunk in _by_chunk(store, job, rows):
        if number is None:
            fine += in_chunk
            continue
        chunk = read_chunk(store, job, number, results_layout(job))
        places = {row: place for place, row in enumerate(chunk.rows)}
        fine += [row for row in in_chunk if row not in places]
        wanted = {row: places[row] for row in in_chunk if row in places}
        corrected = _corrected(chunk, wanted, given, job)
        if corrected:
            chunks[number] = CorrectedRows(tuple(corrected), b"".join(corrected.values()))
            scoring_failed += _count_failed(chunk, corrected, job.delimiter)
    refuse_rows("not_rejected", "it was not rejected, so there is nothing to correct", fine)
    if not chunks:
        raise UploadRefused("no_corrections", "no row differs from what it was")
    return Corrections(job.id, chunks, scoring_failed)


def _outside(rows: Iterable[int], total: int) -> list[int]:
    return [row for row in rows if not 1 <= row <= total]


def _by_chunk(store: JobStore, job: Job, rows: Iterable[int]) -> Iterator[tuple[int | None, list[int]]]:
    """Group ascending rows by the chunk that holds them if they were rejected; None: they were not."""
    numbers = store.chunks_with_rejects(job.id)
    first_rows: dict[int, int] = {}

    def first_row(number: int) -> int:
        if number not in first_rows:
            frame = store.rejects(job.id, number)
            if frame is None:
                raise TransferBroken(f"chunk {number} of job {job.id} is gone")
            first_rows[number] = int(Rejects.decode(frame).lines.partition(job.delimiter.encode())[0])
        return first_rows[number]

    def chunk_of(row: int) -> int | None:
        # The last chunk whose first rejected row is not behind this one; bisecting reads the rejects of few chunks.
        # A row that was not rejected gets a chunk, too, in which it is not found.
        place = bisect_right(numbers, row, key=first_row) - 1
        return numbers[place] if place >= 0 else None

    for number, group in groupby(rows, chunk_of):
        yield number, list(group)


def _corrected(chunk: RejectedRecords, places: Mapping[int, int], given: GivenRows, job: Job) -> dict[int, bytes]:
    """Return the corrected records of a chunk by row, each with a line end, without those that were not edited."""
    escape = formula_escaper(job.delimiter, job.dialect)
    corrected = {}
    for row, place in places.items():
        record, texts = chunk.record(place), given.texts_at(given.places[row])
        fields = _fields(record, job.delimiter)
        if given.named or not _is_unchanged(texts, job, fields, _fields(escape(record), job.delimiter)):
            corrected[row] = _written(fields, texts, row, job) + job.line_end.encode()
    return corrected


def _fields(record: bytes, delimiter: str) -> list[bytes]:
    return [
        record[start:end] for start, end in read_record(record, 0, len(record), ord(delimiter), escapes=False).fields
    ]


def _is_unchanged(texts: Mapping[int, str], job: Job, *versions: list[bytes]) -> bool:
    """Return whether each text is that of the field: as it was, or as a download escapes it for spreadsheets."""
    value_of = job.dialect.value_of
    return all(
        any(text == value_of(unquote(fields[column]).decode("utf-8", "surrogateescape")) for fields in versions)
        for column, text in texts.items()
    )


def _written(fields: list[bytes], texts: Mapping[int, str], row: int, job: Job) -> bytes:
    """Return a record with some of its fields replaced.

    Raises:
        UploadRefused: ``too_wide``, ``undecodable``, ``bad_correction``.
    """
    delimiter = job.delimiter
    # Bytes that did not decode, as ``read_file`` says.
    if any(_SURROGATE.search(text) for text in texts.values()):
        detail = f"row {row} still holds bytes that do not decode as {job.encoding}"
        raise UploadRefused("undecodable", detail, row=row)
    new = {column: as_field(job.dialect.text_of(text), delimiter) for column, text in texts.items()}
    if any(len(field) > MAX_FIELD_BYTES for field in new.values()):
        raise UploadRefused("too_wide", f"row {row} has a field longer than {MAX_FIELD_BYTES} bytes", row=row)
    if any(b"\0" in field for field in new.values()):
        raise UploadRefused("undecodable", f"row {row} contains a NUL, which CSV cannot contain", row=row)
    # An empty line would be no record.
    record = delimiter.encode().join([new.get(column, field) for column, field in enumerate(fields)]) or b'""'
    if len(record) > MAX_RECORD_BYTES:
        raise UploadRefused("too_wide", f"row {row} is longer than {MAX_RECORD_BYTES} bytes", row=row)
    # As a worker will read it, to which ``\""`` at the end of a field may be an escaped quote and a closing one.
    read = read_record(record, 0, len(record), ord(delimiter))
    if read.malformed or read.count != len(fields) or read.end != len(record):
        detail = f"row {row} cannot be written as CSV: a backslash stands before a quotation mark in one of its values"
        raise UploadRefused("bad_correction", detail, row=row)
    return record


def _count_failed(chunk: RejectedRecords, rows: Mapping[int, bytes], delimiter: str) -> int:
    """Return on how many of the rows the model had failed."""
    return sum(
        of_row[0].row in rows and any(line.code == FaultCode.SCORING_FAILED for line in of_row)
        for of_row in chunk.faults(delimiter)
    )
