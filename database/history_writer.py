"""Write ended jobs and answered predictions, each once, and add them to the weekly counts."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from database.tables import Base, JobEntry, JobSummary, PredictionDocument, PredictionEntry, WeeklyCount

Row = Mapping[str, Any]
ModelWeek = tuple[str, str, date]
"""A model, its version, and the Monday of a week."""


@dataclass(frozen=True, slots=True)
class EndedJob:
    """A row of ``jobs``, its summary counts and error, and what it adds to the weekly counts of its models."""

    row: Row
    summary: Mapping[str, int]
    error: str | None
    counts: Mapping[ModelWeek, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class AnsweredRecord:
    """A row of ``predictions``, the record and answer unless they are not kept, and what it adds to the counts."""

    row: Row
    document: Row | None
    counts: Mapping[ModelWeek, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Batch:
    """What is written in one transaction."""

    jobs: Sequence[EndedJob] = field(default_factory=list)
    predictions: Sequence[AnsweredRecord] = field(default_factory=list)


def write_history(connection: Connection, batch: Batch) -> None:
    """Write what the database does not hold yet; the same batch a second time changes nothing."""
    # By id, since what is twice in a batch must count once.
    jobs = {str(job.row["id"]): job for job in batch.jobs}
    predictions = {str(prediction.row["id"]): prediction for prediction in batch.predictions}
    # Only what was inserted just now is counted: the rest was counted when it was.
    new_jobs = [jobs[i] for i in _insert(connection, JobEntry, [job.row for job in jobs.values()])]
    summaries = [{"job_id": job.row["id"], "counts": dict(job.summary), "error": job.error} for job in new_jobs]
    rows = [prediction.row for prediction in predictions.values()]
    new_predictions = [predictions[i] for i in _insert(connection, PredictionEntry, rows)]
    documents = [{"prediction_id": new.row["id"], **new.document} for new in new_predictions if new.document]
    for table, added in ((JobSummary, summaries), (PredictionDocument, documents)):
        if added:
            connection.execute(dialect_insert(connection, table), added)
    add_counts(connection, [*(job.counts for job in new_jobs), *(new.counts for new in new_predictions)])


def _insert(connection: Connection, table: type[JobEntry | PredictionEntry], rows: Sequence[Row]) -> list[str]:
    """Insert the rows whose id is new; return these ids."""
    if not rows:
        return []
    statement = dialect_insert(connection, table).on_conflict_do_nothing().returning(table.id)
    return list(connection.scalars(statement, rows))


def add_counts(connection: Connection, counts: Iterable[Mapping[ModelWeek, Mapping[str, int]]]) -> None:
    """Add to the weekly counts."""
    sums: Counter[tuple[str, str, date, str]] = Counter()
    for by_model in counts:
        for (model, version, week), named in by_model.items():
            for name, count in named.items():
                sums[model, version, week, name] += count
    # In one order, so that two recorders never wait for each other's rows in turn.
    rows = [
        {"model": model, "version": version, "week": week, "name": name, "count": count}
        for (model, version, week, name), count in sorted(sums.items())
        if count
    ]
    if rows:
        insert = dialect_insert(connection, WeeklyCount)
        added = {"count": WeeklyCount.count + insert.excluded.count}
        connection.execute(
            insert.on_conflict_do_update(index_elements=list(WeeklyCount.__table__.primary_key), set_=added), rows
        )


def dialect_insert(connection: Connection, table: type[Base]) -> "postgresql.Insert | sqlite.Insert":
    """Return an INSERT that knows ``ON CONFLICT``, which both databases write alike."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)
