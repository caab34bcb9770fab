"""The page of a job: its chart, rejected and warned rows by kind, and its first results."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from jobs.csv.records import read_record, unquote
from jobs.messages import decompress
from jobs.state import Job, JobState
from jobs.store.job_store import JobStore
from jobs.store.outputs import output_text
from model.card import Card
from model.catalog import Catalog
from model.schema import Fault, Feature
from web.jobs.summary import cards_of, summary_document
from web.pages.comparison import Comparison, comparison
from web.pages.corrections import corrected_job, corrections_of, grid_texts
from web.pages.drift import DriftChart, drift_charts
from web.pages.error_texts import ROW_SUBJECT, describe_error, describe_fault
from web.pages.formatting import as_sentence
from web.pages.histogram import Chart, chart

MAX_RESULTS = 100
MAX_EXAMPLES = 3
MAX_REPAIRED = 20
# Faults to read in search of examples for each kind.
_MAX_FAULTS_READ = 2000
# Fields of a line of the rejects before the record's own: row, column, value, code, reason.
_REJECT_FIELDS = 5

Features = Mapping[str, Feature]
"""The features of a job's models by name; none of models that are no longer there."""


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A fault of a rejected row; ``reason`` is a sentence."""

    row: str
    column: str
    value: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class RejectKind:
    """The faults of one kind in one column, or of whole rows (column None): their number and the first of them.

    ``title`` names the feature.
    """

    column: str | None
    title: str
    code: str
    count: int
    rows: list[RejectedRow] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class WarningKind:
    """The number of rows scored with a warning of one kind about one column; ``title`` names the feature."""

    column: str
    title: str
    code: str
    count: int


@dataclass(frozen=True, slots=True)
class ResultRow:
    """A row of the results: the fields of the input, those that were added, and the error of a rejected row."""

    fields: list[str]
    added: list[str]
    error: str


@dataclass(frozen=True, slots=True)
class ResultTable:
    """The first rows of the results, with the columns of the input and those that were added."""

    header: list[str]
    added: list[str]
    rows: list[ResultRow]


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as its page shows it; ``default_threshold`` is that of the model.

    ``grid`` holds the texts of the grid that corrects rejected rows, ``corrects`` and ``corrections`` are the jobs that
    this one corrects and is corrected by. ``repaired`` are the numbers of the first repaired rows.
    """

    job: Job
    queue_position: int | None
    chart: Chart | None = None
    rejects: list[RejectKind] = field(default_factory=list)
    results: ResultTable | None = None
    drift: list[DriftChart] = field(default_factory=list)
    comparison: Comparison | None = None
    warnings: list[WarningKind] = field(default_factory=list)
    default_threshold: float | None = None
    corrects: Job | None = None
    corrections: list[Job] = field(default_factory=list)
    grid: dict[str, Any] | None = None
    repaired: list[int] = field(default_factory=list)


def view(store: JobStore, catalog: Catalog, job: Job) -> JobView:
    """Return the job with everything that its page shows; results only once it has ended."""
    position = store.queue_position(job)
    if not job.state.ended or job.state is JobState.FAILED:
        corrects = corrected_job(store, job)
        return JobView(job, position, default_threshold=job.threshold, corrects=corrects)
    cards, counts = cards_of(catalog, job), store.summary(job.id)
    features = _features(cards)
    summary = summary_document(counts, job, cards)
    return JobView(
        job,
        position,
        chart(summary, cards[0], None if job.compared else job.threshold),
        _reject_kinds(store, job, summary["rejects"], features),
        _first_results(store, job, features),
        drift_charts(cards, counts),
        comparison(summary, job),
        [WarningKind(title=_title(features, count["column"]), **count) for count in summary["warnings"]],
        cards[0].threshold if cards[0] else job.threshold,
        corrected_job(store, job),
        corrections_of(store, job),
        grid_texts(job, features),
        [row["row"] for row in summary["repaired"][:MAX_REPAIRED]],
    )


def _features(cards: Sequence[Card | None]) -> Features:
    return {feature.name: feature for card in reversed(cards) if card for feature in card.features}


def _title(features: Features, column: str | None) -> str:
    if not column:
        return ROW_SUBJECT
    return features[column].title if column in features else column


def _reject_kinds(store: JobStore, job: Job, counts: Iterable[dict[str, Any]], features: Features) -> list[RejectKind]:
    """Return the kinds of faults, the most frequent first, each with its first rows."""
    kinds = {
        (count["column"] or "", count["code"]): RejectKind(title=_title(features, count["column"]), **count)
        for count in counts
    }
    incomplete = set(kinds)
    for fault in islice(_faults(store, job), _MAX_FAULTS_READ) if kinds else ():
        key = (fault.column, fault.code)
        if key in incomplete:
            kinds[key].rows.append(_with_reason(fault, features.get(fault.column)))
            if len(kinds[key].rows) >= min(MAX_EXAMPLES, kinds[key].count):
                incomplete.remove(key)
        if not incomplete:
            break
    return sorted(kinds.values(), key=lambda kind: (-kind.count, kind.column or "", kind.code))


def _with_reason(row: RejectedRow, feature: Feature | None) -> RejectedRow:
    """Return the row with a reason for people; that of the rejects is for programs."""
    reason = as_sentence(row.reason)
    if feature is not None:
        parsed = feature.parse(row.value)
        suggestion = parsed.suggestion if isinstance(parsed, Fault) else None
        reason = describe_fault(feature, Fault(row.code, row.reason, row.column, row.value, suggestion), in_file=True)
    return RejectedRow(row.row, row.column, row.value, row.code, reason)


def _faults(store: JobStore, job: Job) -> Iterator[RejectedRow]:
    """Yield the faults of a job's rejected rows; lazily, as a chunk may hold many thousands."""
    for number in store.chunks_with_rejects(job.id):
        frame = store.rejects(job.id, number)
        for texts in _records(decompress(frame), job, _REJECT_FIELDS) if frame else ():
            if len(texts) == _REJECT_FIELDS:
                yield RejectedRow(*texts)


def _first_results(store: JobStore, job: Job, features: Features) -> ResultTable | None:
    """Return the first rows of the results, from the leading chunks; None if there are none."""
    rows: list[list[str]] = []
    for number in range(job.chunks):
        frame = store.output(job.id, number) if len(rows) < MAX_RESULTS else None
        if frame is None:
            break
        rows += islice(_records(output_text(frame), job), MAX_RESULTS - len(rows))
    if not rows:
        return None
    own_header = job.header.removeprefix(job.preamble)
    header, input_header = (next(_records(line + b"\n", job), []) for line in (own_header, job.input_header))
    width = len(input_header)
    # After the error column come the explanations, two columns each, and the warnings.
    after_error = 2 * (job.explain or 0) + job.warnings
    titles = {name: feature.title for name, feature in features.items()}

    def split(texts: list[str]) -> ResultRow:
        error = len(texts) - after_error - 1
        added = texts[width:error] + texts[error + 1 :]
        described = describe_error(texts[error], titles, job.format) if texts[error] else ""
        return ResultRow(texts[:width], added, described)

    return ResultTable(input_header, split(header).added, [split(texts) for texts in rows])


def _records(lines: bytes, job: Job, max_fields: int | None = None) -> Iterator[list[str]]:
    """Yield the fields of each record as text."""
    position = 0
    while position < len(lines):
        record = read_record(lines, position, len(lines), ord(job.delimiter), escapes=False)
        texts = (unquote(lines[start:end]).decode("utf-8", "replace") for start, end in record.fields[:max_fields])
        yield list(map(job.dialect.value_of, texts))
        line_end = lines.find(b"\n", record.end)
        position = len(lines) if line_end < 0 else line_end + 1
