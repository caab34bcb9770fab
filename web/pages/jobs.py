"""What the page of a job shows beyond the job itself: its chart, rejected and warned rows by kind, first results."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from jobs.csv.records import read_record, unquote
from jobs.messages import decompress
from jobs.state import Job, JobState
from jobs.store.job_store import JobStore
from model.catalog import Catalog
from web.jobs.summary import cards_of, summary_document
from web.pages.comparison import Comparison, comparison
from web.pages.drift import DriftChart, drift_charts
from web.pages.histogram import Chart, chart

SHOWN_RESULTS = 100
SHOWN_PER_KIND = 3
# So many faults are looked through for examples of each kind.
_MAX_LOOKED_AT = 2000


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """One fault of a rejected row."""

    row: str
    column: str
    value: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class RejectKind:
    """The faults of one kind in one column (None: the whole row): how many, and the first of them."""

    column: str | None
    code: str
    count: int
    rows: list[RejectedRow] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class WarningKind:
    """Values of one column that never occurred in training, of one kind: how many were scored all the same."""

    column: str
    code: str
    count: int


@dataclass(frozen=True, slots=True)
class ResultRow:
    """A row of the results: the record's own fields, and what Scoreline made of them; a rejected one has an error."""

    fields: list[str]
    answers: list[str]
    error: str

    @classmethod
    def of(cls, texts: list[str], width: int, after: int) -> "ResultRow":
        """The row that stands in the results as these texts: ``width`` of its own, and ``after`` the error as many."""
        error = len(texts) - after - 1
        return cls(texts[:width], texts[width:error] + texts[error + 1 :], texts[error])


@dataclass(frozen=True, slots=True)
class ResultTable:
    """The first rows of the results, and the names of the columns of their two parts."""

    header: list[str]
    answers: list[str]
    rows: list[ResultRow]


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as its page shows it; ``own_threshold`` is the model's own, where its card is there."""

    job: Job
    queue_position: int | None
    chart: Chart | None = None
    rejects: list[RejectKind] = field(default_factory=list)
    results: ResultTable | None = None
    drift: list[DriftChart] = field(default_factory=list)
    comparison: Comparison | None = None
    warnings: list[WarningKind] = field(default_factory=list)
    own_threshold: float | None = None


def view(store: JobStore, catalog: Catalog, job: Job) -> JobView:
    """The job with everything that its page shows; of one that has not ended, how far it is."""
    position = store.queue_position(job)
    if not job.state.ended or job.state is JobState.FAILED:
        return JobView(job, position, own_threshold=job.threshold)
    cards, counts = cards_of(catalog, job), store.summary(job.id)
    summary = summary_document(counts, job, cards)
    return JobView(
        job,
        position,
        chart(summary, cards[0], None if job.compared else job.threshold),
        _reject_kinds(store, job, summary["rejects"]),
        _first_results(store, job),
        drift_charts(cards, counts),
        comparison(summary, job),
        [WarningKind(**count) for count in summary["warnings"]],
        cards[0].threshold if cards[0] else job.threshold,
    )


def _reject_kinds(store: JobStore, job: Job, counts: Iterable[dict[str, Any]]) -> list[RejectKind]:
    """The kinds of faults, the most frequent first, each with its first rows."""
    kinds = {
        (count["column"] or "", count["code"]): RejectKind(count["column"], count["code"], count["count"])
        for count in counts
    }
    wanted = set(kinds)
    for fault in islice(_faults(store, job), _MAX_LOOKED_AT) if kinds else ():
        key = (fault.column, fault.code)
        if key in wanted:
            kinds[key].rows.append(fault)
            if len(kinds[key].rows) >= min(SHOWN_PER_KIND, kinds[key].count):
                wanted.remove(key)
        if not wanted:
            break
    return sorted(kinds.values(), key=lambda kind: (-kind.count, kind.column or "", kind.code))


def _faults(store: JobStore, job: Job) -> Iterator[RejectedRow]:
    """The faults of a job's rejected rows, read as they are asked for: a chunk may hold many thousands."""
    for number in store.chunks_with_rejects(job.id):
        frame = store.rejects(job.id, number)
        for texts in _records(decompress(frame), job.delimiter, 5) if frame else ():
            if len(texts) == 5:
                yield RejectedRow(*texts)


def _first_results(store: JobStore, job: Job) -> ResultTable | None:
    """The first rows of the results, from the leading chunks."""
    rows: list[list[str]] = []
    for number in range(job.chunks):
        frame = store.output(job.id, number) if len(rows) < SHOWN_RESULTS else None
        if frame is None:
            break
        rows += islice(_records(decompress(frame), job.delimiter), SHOWN_RESULTS - len(rows))
    header, own = (next(_records(line + b"\n", job.delimiter), []) for line in (job.header, job.input_header))
    width, after = len(own), 2 * (job.explain or 0) + job.warnings
    answers = header[width : len(header) - after - 1] + header[len(header) - after :]
    return ResultTable(own, answers, [ResultRow.of(texts, width, after) for texts in rows]) if rows else None


def _records(lines: bytes, delimiter: str, max_fields: int | None = None) -> Iterator[list[str]]:
    """The fields of each record as texts."""
    position = 0
    while position < len(lines):
        record = read_record(lines, position, len(lines), ord(delimiter))
        yield [unquote(lines[start:end]).decode("utf-8", "replace") for start, end in record.fields[:max_fields]]
        line_end = lines.find(b"\n", record.end)
        position = len(lines) if line_end < 0 else line_end + 1
