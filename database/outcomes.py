"""Actual outcomes of predictions, and the performance figures computed from them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, select, update

from database.history_writer import dialect_insert
from database.tables import Outcome, OutcomeWeek, PredictionEntry

ModelWeek = tuple[str, str, date]

# Databases limit the number of values in a statement.
_IDS_AT_ONCE = 500
_KEY = ("source", "source_id", "row")


def answered_predictions(connection: Connection, ids: Iterable[str]) -> dict[str, RowMapping]:
    """Return the entries of the predictions with these ids that the history knows."""
    listed = list(dict.fromkeys(ids))
    found: dict[str, RowMapping] = {}
    for start in range(0, len(listed), _IDS_AT_ONCE):
        wanted = listed[start : start + _IDS_AT_ONCE]
        rows = connection.execute(select(PredictionEntry.__table__).where(PredictionEntry.id.in_(wanted)))
        found |= {row["id"]: row for row in rows.mappings()}
    return found


def write_outcomes(connection: Connection, outcomes: Sequence[Mapping[str, Any]]) -> None:
    """Write outcomes; a later one for the same row or prediction takes the place of the former."""
    latest = {tuple(outcome[name] for name in _KEY): outcome for outcome in outcomes}
    if not latest:
        return
    insert = dialect_insert(connection, Outcome)
    replaced = {name: insert.excluded[name] for name in ("value", "recorded", "recorded_by")}
    # Sorted, so that two writers never wait for each other's rows in turn.
    connection.execute(
        insert.on_conflict_do_update(index_elements=list(_KEY), set_=replaced), [latest[key] for key in sorted(latest)]
    )
    weeks = sorted({(outcome["model"], outcome["version"], outcome["week"]) for outcome in latest.values()})
    stale = [{"model": model, "version": version, "week": week} for model, version, week in weeks]
    insert = dialect_insert(connection, OutcomeWeek)
    changed = {"stale": True, "changes": OutcomeWeek.changes + 1}
    connection.execute(insert.on_conflict_do_update(index_elements=["model", "version", "week"], set_=changed), stale)


def stale_weeks(connection: Connection, limit: int) -> list[ModelWeek]:
    """Return weeks whose figures are to be computed anew."""
    columns = (OutcomeWeek.model, OutcomeWeek.version, OutcomeWeek.week)
    return [
        (row[0], row[1], row[2]) for row in connection.execute(select(*columns).where(OutcomeWeek.stale).limit(limit))
    ]


def observed_week(connection: Connection, week: ModelWeek) -> tuple[int, list[tuple[str, str, float | None]]]:
    """Return how often the outcomes of a week have changed, and these: value, prediction, probability."""
    model, version, monday = week
    # Read first: what is added between the two statements then counts as a change after this.
    changes = connection.scalar(select(OutcomeWeek.changes).where(*_key(week))) or 0
    columns = (Outcome.value, Outcome.predicted, Outcome.probability)
    wanted = (Outcome.model == model, Outcome.version == version, Outcome.week == monday)
    return changes, [(row[0], row[1], row[2]) for row in connection.execute(select(*columns).where(*wanted))]


def finish_week(connection: Connection, week: ModelWeek, figures: Mapping[str, Any], changes: int) -> None:
    """Store the figures of a week; it stays stale if its outcomes have changed since they were read."""
    values = {"figures": dict(figures), "computed": datetime.now(UTC), "stale": OutcomeWeek.changes != changes}
    connection.execute(update(OutcomeWeek).where(*_key(week)).values(values))


def _key(week: ModelWeek) -> tuple[ColumnElement[bool], ...]:
    model, version, monday = week
    return (OutcomeWeek.model == model, OutcomeWeek.version == version, OutcomeWeek.week == monday)


def outcome_weeks(connection: Connection, model: str | None = None) -> list[dict[str, Any]]:
    """Return the weeks that have figures, newest first, of one model or of all."""
    statement = select(OutcomeWeek.__table__).where(OutcomeWeek.figures.is_not(None))
    if model is not None:
        statement = statement.where(OutcomeWeek.model == model)
    rows = connection.execute(statement.order_by(OutcomeWeek.week.desc(), OutcomeWeek.version)).mappings()
    return [dict(row) for row in rows]
