"""Find what was predicted for the outcomes of a file, in the history and in the results of jobs."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from database import outcomes
from database.column_types import plain_text, week_of
from database.database import Database
from database.tables import OutcomeSource
from jobs.csv.records import RecordIndex, index_records, unquote
from jobs.errors import Detail
from jobs.state import Job
from jobs.store.job_store import JobStore
from jobs.store.outputs import output_text
from model.card import Card, ModelKind
from model.parsing import NumberFormat
from web.auth.identity import current_identity
from web.outcomes.reading import GivenOutcome

Row = dict[str, Any]
"""A row of the table of outcomes."""

_PROBABILITY = "probability"


def match_predictions(database: Database, given: Sequence[GivenOutcome], model: str) -> Iterator[Row | Detail]:
    """Yield the row of each outcome of a single prediction, or its fault."""
    with database.reading() as connection:
        known = outcomes.answered_predictions(connection, (outcome.source_id for outcome in given))
    for outcome in given:
        entry, at = known.get(outcome.source_id), ("prediction", outcome.line, outcome.source_id)
        if entry is None or not current_identity().sees_entry({str(name): value for name, value in entry.items()}):
            yield Detail("unknown_prediction", "the history has no such prediction", *at)
        elif entry["model"] != model:
            yield Detail("other_model", f"the prediction is of the model {entry['model']}", *at)
        elif entry["prediction"] is None:
            yield Detail("no_prediction", "there is no answer, or it was not kept", *at)
        else:
            predicted = (entry["prediction"], entry["probability"])
            yield _row(outcome, OutcomeSource.PREDICTION, (model, entry["version"]), predicted, entry["time"])


def match_jobs(store: JobStore, given: Sequence[GivenOutcome], card: Card) -> Iterator[Row | Detail]:
    """Yield the row of each outcome of a job's row, or its fault. Reads each job's results once."""
    by_job: dict[str, list[GivenOutcome]] = defaultdict(list)
    for outcome in given:
        by_job[outcome.source_id].append(outcome)
    for job_id, rows in by_job.items():
        job = store.get(job_id)
        if job is not None and not current_identity().sees(job):
            job = None
        places = [("job", outcome.line, outcome.source_id) for outcome in rows]
        if job is None or not job.state.ended:
            reason = "there is no such job: unknown, expired or deleted" if job is None else "the job has not ended"
            yield from (Detail("unknown_job", reason, *at) for at in places)
        elif job.model != card.name:
            yield from (Detail("other_model", f"the job is of the model {job.model}", *at) for at in places)
        else:
            numbers = NumberFormat(job.dialect.decimal) if card.kind is ModelKind.REGRESSOR else None
            yield from _match_job(store, job, rows, numbers)


def _match_job(
    store: JobStore, job: Job, given: Sequence[GivenOutcome], numbers: NumberFormat | None
) -> Iterator[Row | Detail]:
    """Yield as ``match_jobs``; ``numbers`` is how the results write predictions, if these are numbers."""
    wanted = {outcome.row for outcome in given}
    predicted = dict(_predictions(store, job, wanted))
    finished = datetime.fromtimestamp(job.finished or job.created, UTC)
    for outcome in given:
        found, at = predicted.get(outcome.row), ("row", outcome.line, str(outcome.row))
        if found is None:
            yield Detail(
                "unknown_row", "the results of the job have no such row", "row", outcome.line, str(outcome.row)
            )
        elif not found[0]:
            yield Detail("no_prediction", "the row was rejected", *at)
        else:
            text = numbers.plain(found[0]) if numbers else found[0]
            yield _row(outcome, OutcomeSource.JOB, (job.model, job.version), (text, found[1]), finished)


def _predictions(store: JobStore, job: Job, wanted: Iterable[int]) -> Iterator[tuple[int, tuple[str, float | None]]]:
    """Yield row, prediction and probability of the wanted rows, chunk by chunk."""
    delimiter = ord(job.delimiter)
    headers = (job.input_header, job.header.removeprefix(job.preamble))
    own, names = (index_records(header + b"\n", delimiter, final=True).fields(0) for header in headers)
    width = len(own)
    with_probability = len(names) > width + 1 and unquote(names[width + 1]).decode().startswith(_PROBABILITY)
    left, before = sorted(wanted), 0
    for chunk in range(job.chunks):
        if not left:
            return
        frame = store.output(job.id, chunk)
        if frame is None:
            return
        index = index_records(output_text(frame), delimiter, final=True)
        end = before + len(index)
        here = [row for row in left if row <= end]
        left = left[len(here) :]
        yield from ((row, _predicted(index, row - before - 1, width, with_probability)) for row in here if row > before)
        before = end


def _predicted(index: RecordIndex, number: int, width: int, with_probability: bool) -> tuple[str, float | None]:
    fields = index.fields(number)
    text = unquote(fields[width]).decode("utf-8", "replace")
    probability = unquote(fields[width + 1]).decode("ascii", "replace") if with_probability else ""
    return text, float(probability.replace(",", ".")) if probability else None


def _row(
    outcome: GivenOutcome,
    source: OutcomeSource,
    model: tuple[str, str],
    predicted: tuple[str, float | None],
    time: datetime,
) -> Row:
    return {
        "source": source,
        "source_id": outcome.source_id,
        "row": outcome.row,
        "model": model[0],
        "version": model[1],
        "value": plain_text(outcome.value),
        "predicted": plain_text(predicted[0]),
        "probability": predicted[1],
        "week": week_of(time),
        "recorded": datetime.now(UTC),
        "recorded_by": current_identity().owner or None,
    }
