"""The audit log: who did what to what, from where. Rows are only added."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Select, insert, select

from database.column_types import plain_text
from database.database import Database
from database.history_writer import dialect_insert
from database.tables import AuditEvent

_MAX_ACTOR, _MAX_ADDRESS, _MAX_OBJECT = 255, 64, 512
_EXPORT_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Event:
    """An entry of the log."""

    id: int
    time: datetime
    actor: str
    action: str
    object: str
    address: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CopiedEvent:
    """An entry that was noted elsewhere, where ``source`` identifies it."""

    source: str
    time: datetime
    actor: str
    action: str
    object: str


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries; those without a value count. ``end`` is exclusive."""

    actor: str = ""
    action: str = ""
    object: str = ""
    start: datetime | None = None
    end: datetime | None = None


def copy_events(connection: Connection, events: Iterable[CopiedEvent]) -> None:
    """Add entries that were noted elsewhere, within a transaction; those that are there already are left out."""
    rows = [
        {**_values(event.time, event.actor, event.action, event.object, "", {}), "source": event.source}
        for event in events
    ]
    if rows:
        connection.execute(dialect_insert(connection, AuditEvent).on_conflict_do_nothing(), rows)


class AuditLog:
    """The table of the audit log."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, actor: str, action: str, object_: str = "", address: str = "", **details: Any) -> None:
        """Add an entry.

        Raises:
            DatabaseUnavailable: nothing was added.
        """
        values = _values(datetime.now(UTC), actor, action, object_, address, details)
        with self._database.writing() as connection:
            connection.execute(insert(AuditEvent).values(values))

    def copy(self, events: Iterable[CopiedEvent]) -> None:
        """Add entries that were noted elsewhere; those that are there already are left out.

        Raises:
            DatabaseUnavailable: nothing was added.
        """
        rows = list(events)
        if rows:
            with self._database.writing() as connection:
                copy_events(connection, rows)

    def page(self, wanted: AuditFilter, limit: int, before: int | None = None) -> list[Event]:
        """Return up to ``limit`` entries, newest first, older than the one with the id ``before``."""
        query = _filtered(wanted).order_by(AuditEvent.id.desc()).limit(limit)
        if before is not None:
            query = query.where(AuditEvent.id < before)
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return [
            Event(row.id, row.time, row.actor or "", row.action, row.object or "", row.address or "", row.details or {})
            for row in rows
        ]

    def export(self, wanted: AuditFilter) -> Iterator[dict[str, Any]]:
        """Yield all entries, newest first, a page at a time."""
        before: int | None = None
        while events := self.page(wanted, _EXPORT_PAGE, before):
            yield from (asdict(event) for event in events)
            # By id and not by offset, so that entries that are added meanwhile shift nothing.
            before = events[-1].id


def _values(
    time: datetime, actor: str, action: str, object_: str, address: str, details: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "time": time,
        "actor": (plain_text(actor) or "")[:_MAX_ACTOR],
        "action": action,
        "object": (plain_text(object_) or "")[:_MAX_OBJECT],
        "address": address[:_MAX_ADDRESS],
        "details": dict(details) or None,
    }


def _filtered(wanted: AuditFilter) -> Select[Any]:
    query = select(AuditEvent.__table__)
    if wanted.actor:
        query = query.where(AuditEvent.actor == wanted.actor)
    if wanted.action:
        query = query.where(AuditEvent.action == wanted.action)
    if wanted.object:
        query = query.where(AuditEvent.object == wanted.object)
    if wanted.start:
        query = query.where(AuditEvent.time >= wanted.start)
    if wanted.end:
        query = query.where(AuditEvent.time < wanted.end)
    return query
