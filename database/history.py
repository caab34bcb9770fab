"""Read and delete history: pages of jobs and predictions, newest first, what belongs to one of them, weekly counts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Text, cast, delete, inspect, or_, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, aliased

from database.tables import (
    JobEntry,
    JobSummary,
    Outcome,
    OutcomeSource,
    PredictionDocument,
    PredictionEntry,
    Visibility,
    WeeklyCount,
)

Place = tuple[datetime, str]
"""Where a page ends: the time and the id of its last entry."""

# A search looks at this many entries per page, so that each page costs the same however rare the matches are.
_SEARCHED_ENTRIES = 20_000
_SEARCHED_DOCUMENTS = 4_000


@dataclass(frozen=True, slots=True)
class HistoryFilter:
    """Which entries to return; a filter that is None allows all.

    ``since`` is included, ``until`` is not. ``text`` is part of a job's name, or of a prediction or its record, or an
    id. ``visible_to`` leaves only what this user owns or the team may see.
    """

    model: str | None = None
    version: str | None = None
    owner: str | None = None
    state: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None
    record_hash: str | None = None
    visible_to: str | None = None


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Entries, newest first, and where the next page begins; None at the end.

    A page may hold fewer entries than asked for though another follows: a search looks at a limited number.
    """

    entries: Sequence[Mapping[str, Any]]
    next: Place | None


def list_jobs(connection: Connection, wanted: HistoryFilter, limit: int, before: Place | None = None) -> HistoryPage:
    """Return ended jobs."""

    def rest(job: Any) -> Iterator[ColumnElement[bool]]:
        if wanted.text:
            yield or_(job.name.icontains(wanted.text, autoescape=True), job.id == wanted.text)
        if wanted.visible_to is not None:
            yield or_(job.owner == wanted.visible_to, job.visibility == Visibility.TEAM)

    entries = _Entries(JobEntry, JobEntry.finished, ("owner", "model", "state"), _SEARCHED_ENTRIES)
    return _page(connection, entries, wanted, rest, limit, before)


def list_predictions(
    connection: Connection, wanted: HistoryFilter, limit: int, before: Place | None = None
) -> HistoryPage:
    """Return single predictions, each with its ``record`` and ``answer`` where they are kept."""

    def rest(prediction: Any) -> Iterator[ColumnElement[bool]]:
        if wanted.text:
            record = cast(PredictionDocument.record, Text).icontains(wanted.text, autoescape=True)
            document = select(PredictionDocument.prediction_id).where(
                PredictionDocument.prediction_id == prediction.id, record
            )
            is_answer = prediction.prediction.icontains(wanted.text, autoescape=True)
            yield or_(prediction.id == wanted.text, is_answer, document.exists())
        if wanted.visible_to is not None:
            yield prediction.owner == wanted.visible_to

    searched = _SEARCHED_DOCUMENTS if wanted.text else _SEARCHED_ENTRIES
    entries = _Entries(PredictionEntry, PredictionEntry.time, ("record_hash", "owner", "model"), searched)
    found = _page(connection, entries, wanted, rest, limit, before)
    return HistoryPage(_with_documents(connection, found.entries), found.next)


@dataclass(frozen=True, slots=True)
class _Entries:
    """A table of entries, the time that they are sorted by, and how many of them a search looks at.

    ``indexed`` are the columns with an index that has time and id too; the more selective come first.
    """

    table: type[JobEntry | PredictionEntry]
    time: InstrumentedAttribute[datetime]
    indexed: tuple[str, ...]
    searched: int


def _page(
    connection: Connection,
    entries: _Entries,
    wanted: HistoryFilter,
    rest: Callable[[Any], Iterator[ColumnElement[bool]]],
    limit: int,
    before: Place | None,
) -> HistoryPage:
    """Return a page of entries: those that an index finds in order, and of these the ones that pass the rest."""
    table, time = entries.table, entries.time
    names = (*entries.indexed, "state", "version")
    given = {name: value for name in names if (value := getattr(wanted, name)) is not None}
    first = next((name for name in entries.indexed if name in given), None)
    # One column by its index, which gives the entries in order; what else is wanted is looked for among these.
    indexed = [getattr(table, first) == given.pop(first)] if first else []
    if wanted.since is not None:
        indexed.append(time >= wanted.since)
    if wanted.until is not None:
        indexed.append(time < wanted.until)
    if before is not None:
        indexed.append(tuple_(time, table.id) < tuple_(*before))
    in_order = select(table.__table__).where(*indexed).order_by(time.desc(), table.id.desc())
    entry: Any = aliased(table, in_order.limit(entries.searched).subquery())
    others = [*(getattr(entry, name) == value for name, value in given.items()), *rest(entry)]
    # The index alone decides, so that no entry is looked at in vain.
    if not others:
        # One more than fits tells whether there is another page.
        rows = connection.execute(in_order.limit(limit + 1)).mappings().all()
        return _cut(rows, time.key, limit, None)
    found = select(inspect(entry).selectable).where(*others)
    newest = (getattr(entry, time.key).desc(), entry.id.desc())
    rows = connection.execute(found.order_by(*newest).limit(limit + 1)).mappings().all()
    last = None
    if len(rows) <= limit:
        # The last entry that was searched: the next page goes on behind it, if there are as many.
        edge = in_order.with_only_columns(time, table.id).offset(entries.searched - 1).limit(1)
        last = next(((row[0], row[1]) for row in connection.execute(edge)), None)
    return _cut(rows, time.key, limit, last)


def _cut(rows: Sequence[RowMapping], time: str, limit: int, last: Place | None) -> HistoryPage:
    if len(rows) > limit:
        last = (rows[limit - 1][time], rows[limit - 1]["id"])
    return HistoryPage([dict(row) for row in rows[:limit]], last)


def _with_documents(connection: Connection, entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    ids = [entry["id"] for entry in entries]
    columns = (PredictionDocument.prediction_id, PredictionDocument.record, PredictionDocument.answer)
    found = connection.execute(select(*columns).where(PredictionDocument.prediction_id.in_(ids))) if ids else ()
    documents = {row.prediction_id: {"record": row.record, "answer": row.answer} for row in found}
    return [{**entry, **documents.get(entry["id"], {"record": None, "answer": None})} for entry in entries]


def find_job(connection: Connection, job_id: str) -> dict[str, Any] | None:
    """Return an ended job with its summary ``counts`` and ``error``; None if it is not known."""
    columns = (JobEntry.__table__, JobSummary.counts, JobSummary.error)
    statement = select(*columns).outerjoin(JobSummary, JobSummary.job_id == JobEntry.id).where(JobEntry.id == job_id)
    row = connection.execute(statement).mappings().one_or_none()
    return None if row is None else dict(row)


def find_prediction(connection: Connection, prediction_id: str) -> dict[str, Any] | None:
    """Return a prediction with its ``record`` and ``answer`` where they are kept; None if it is not known."""
    statement = select(PredictionEntry.__table__).where(PredictionEntry.id == prediction_id)
    found = [dict(row) for row in connection.execute(statement).mappings()]
    return next(iter(_with_documents(connection, found)), None)


def delete_jobs(connection: Connection, ids: Sequence[str]) -> None:
    """Delete jobs with what belongs to them: summaries and outcomes. The weekly counts stay."""
    # An outcome belongs to one of two tables, so that no foreign key can delete it.
    connection.execute(delete(Outcome).where(Outcome.source == OutcomeSource.JOB, Outcome.source_id.in_(ids)))
    connection.execute(delete(JobEntry).where(JobEntry.id.in_(ids)))


def delete_predictions(connection: Connection, ids: Sequence[str]) -> None:
    """Delete predictions with what belongs to them: records, answers and outcomes. The weekly counts stay."""
    connection.execute(delete(Outcome).where(Outcome.source == OutcomeSource.PREDICTION, Outcome.source_id.in_(ids)))
    connection.execute(delete(PredictionEntry).where(PredictionEntry.id.in_(ids)))


def weekly_counts(
    connection: Connection, model: str, since: date, version: str | None = None, with_values: bool = True
) -> dict[tuple[date, str], dict[str, int]]:
    """Return the counts of a model by (week, version), oldest first.

    ``with_values``: also those of the features' values, which drift is computed from.
    """
    statement = select(WeeklyCount.week, WeeklyCount.version, WeeklyCount.name, WeeklyCount.count).where(
        WeeklyCount.model == model, WeeklyCount.week >= since
    )
    if version is not None:
        statement = statement.where(WeeklyCount.version == version)
    if not with_values:
        statement = statement.where(WeeklyCount.name.not_like("drift:%"))
    counts: dict[tuple[date, str], dict[str, int]] = {}
    for week, of_version, name, count in connection.execute(statement.order_by(WeeklyCount.week)):
        counts.setdefault((week, of_version), {})[name] = count
    return counts


def known_models(connection: Connection) -> list[str]:
    """Return the names of all models that have a history."""
    return sorted(
        connection.scalars(select(WeeklyCount.model).where(WeeklyCount.name.in_(("jobs", "single"))).distinct())
    )
