"""The rejected records of a job: as a file to edit, and in pages for the grid that corrects them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.csv.reader import Header
from jobs.csv.records import as_field, read_record, unquote
from jobs.csv.rejected import RejectedRecords, RejectLine, ResultsLayout
from jobs.messages import Rejects
from jobs.state import Job
from jobs.store.job_store import JobStore
from jobs.store.outputs import output_text
from model.card import Card
from model.schema import Feature, FeatureKind
from web.jobs.downloads import CsvForm, TransferBroken

ROW, ERRORS = "_row", "_errors"
# Categories offered as choices for one column.
_MAX_CHOICES = 1000
# Bounds of the work for one page: chunks that are read, and bytes of records after which it ends.
_MAX_CHUNKS_READ = 16
_MAX_PAGE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class RecordColumns:
    """The columns of a job's rejected records: those of the input, then the row number and the errors."""

    names: tuple[str, ...]
    row: str
    errors: str

    @classmethod
    def of(cls, job: Job) -> "RecordColumns":
        """Return the columns; the added ones get names that no column of the input has."""
        names = _values(job.input_header, job)
        header = Header(names, job.input_header, job.delimiter, job.line_end.encode(), 0)
        return cls(names, *header.unused_names([ROW, ERRORS]))


def results_layout(job: Job) -> ResultsLayout:
    """Return the layout of a job's results."""
    own_header = job.header.removeprefix(job.preamble)
    width, columns = (len(_values(header, job)) for header in (job.input_header, own_header))
    # Behind ``error`` come ``warnings`` and two columns for each feature that is explained.
    return ResultsLayout(job.delimiter, width, columns - 2 * (job.explain or 0) - job.warnings - 1)


def _values(record: bytes, job: Job) -> tuple[str, ...]:
    read = read_record(record, 0, len(record), ord(job.delimiter), escapes=False)
    texts = (unquote(record[start:end]).decode("utf-8", "replace") for start, end in read.fields)
    return tuple(map(job.dialect.value_of, texts))


def rejected_chunks(store: JobStore, job: Job, first: int = 0) -> Iterator[tuple[int, RejectedRecords]]:
    """Yield each chunk with rejected records, from number ``first`` on.

    Raises:
        TransferBroken: the job was deleted or has expired meanwhile.
    """
    layout = results_layout(job)
    for number in store.chunks_with_rejects(job.id):
        if number >= first:
            yield number, read_chunk(store, job, number, layout)
    # What a job that was deleted meanwhile had in rejects is not known.
    if store.get(job.id) is None:
        raise TransferBroken(f"job {job.id} is gone")


def read_chunk(store: JobStore, job: Job, number: int, layout: ResultsLayout) -> RejectedRecords:
    """Return the rejected records of a chunk; raise ``TransferBroken`` if the job is gone."""
    rejects, output = store.rejects(job.id, number), store.output(job.id, number)
    if rejects is None or output is None:
        raise TransferBroken(f"chunk {number} of job {job.id} is gone")
    return RejectedRecords.read(output_text(output), Rejects.decode(rejects).lines, layout)


def records_file(store: JobStore, form: CsvForm) -> Iterator[bytes]:
    """Yield the rejected records as a file to be edited: a line per record, with its row number and its errors."""
    job, transform = form.job, form.transform()
    columns, separator, line_end = RecordColumns.of(job), job.delimiter.encode(), job.line_end.encode()
    names = (as_field(name, job.delimiter) for name in (columns.row, columns.errors))
    yield form.begin + transform(separator.join([job.input_header, *names]) + line_end)
    for _, chunk in rejected_chunks(store, job):
        lines = (
            separator.join([chunk.record(number), str(row).encode(), chunk.error(number)]) + line_end
            for number, row in enumerate(chunk.rows)
        )
        yield transform(b"".join(lines))


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page of rejected records begins: a chunk, and the number of a rejected record in it, from 0."""

    chunk: int = 0
    record: int = 0

    @classmethod
    def parse(cls, cursor: str | None) -> "Position":
        """Return the position that a valid cursor names."""
        return cls(*map(int, cursor.split("-"))) if cursor else cls()

    def __str__(self) -> str:
        return f"{self.chunk}-{self.record}"


def records_page(
    store: JobStore, job: Job, cards: Sequence[Card | None], begin: Position, limit: int, wanted: tuple[int, str] | None
) -> dict[str, Any]:
    """Return up to ``limit`` rejected records, the members of ``RejectedRecordsDocument``; fewer if they are large.

    ``wanted`` selects the records with a value in a column of the input, given by its index. A page then may hold few
    or none of them although there are more, since the search goes on with the next page.

    Raises:
        TransferBroken: the job was deleted or has expired meanwhile.
    """
    records: list[dict[str, Any]] = []
    size = 0
    next_position: Position | None = None
    for read, (number, chunk) in enumerate(rejected_chunks(store, job, begin.chunk)):
        if read == _MAX_CHUNKS_READ:
            next_position = Position(number)
            break
        first = begin.record if number == begin.chunk else 0
        for at, document in _records_of(chunk, job, first, wanted):
            if len(records) == limit or size > _MAX_PAGE_BYTES:
                # The record that found no place begins the next page.
                next_position = Position(number, at)
                break
            records.append(document)
            size += len(chunk.record(at))
        if next_position:
            break
    return {
        "columns": _columns(RecordColumns.of(job).names, store.columns(job.id), cards),
        "records": records,
        "next_cursor": str(next_position) if next_position else None,
        "total": job.rejected,
    }


def _records_of(
    chunk: RejectedRecords, job: Job, first: int, wanted: tuple[int, str] | None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rejected records of a chunk, from number ``first`` on, with their numbers."""
    for at, faults in enumerate(chunk.faults(job.delimiter)):
        if at < first:
            continue
        values = _values(chunk.record(at), job)
        if wanted is None or values[wanted[0]] == wanted[1]:
            yield at, _document(chunk.rows[at], values, faults, job)


def _document(row: int, values: Sequence[str], faults: Iterable[RejectLine], job: Job) -> dict[str, Any]:
    value_of = job.dialect.value_of
    errors = [
        {
            "column": fault.column or None,
            "code": fault.code,
            "value": value_of(fault.value),
            "detail": value_of(fault.reason),
        }
        for fault in faults
    ]
    return {ROW: row, "values": list(values), "errors": errors}


def _columns(names: Sequence[str], features: Mapping[str, int], cards: Sequence[Card | None]) -> list[dict[str, Any]]:
    """Return the columns of the input with the features that they hold, and the values that these allow."""
    # Reversed, so that the first model's feature is kept.
    known = {feature.name: feature for card in reversed(cards) if card for feature in card.features}
    held: list[list[str]] = [[] for _ in names]
    for name, at in features.items():
        held[at].append(name)
    return [
        {"name": name, "features": own, "choices": _choices(known[own[0]]) if own and own[0] in known else None}
        for name, own in zip(names, held, strict=True)
    ]


def _choices(feature: Feature) -> list[str] | None:
    if feature.kind is FeatureKind.BOOLEAN:
        return ["true", "false"]
    return list(feature.categories[:_MAX_CHOICES]) if feature.kind is FeatureKind.CATEGORY else None
