"""Delete history by filter, in steps that are short enough for others to write in between."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

from sqlalchemy import Connection

from database import history
from database.database import Database
from database.history import HistoryFilter, Place
from web.history.queries import HistoryFilterQuery, ListEntries
from web.problems import Problem
from web.services import services

_ENTRIES_AT_ONCE = 500


class Kind(StrEnum):
    """Which entries."""

    JOBS = "jobs"
    PREDICTIONS = "predictions"


@dataclass(frozen=True, slots=True)
class _Entries:
    list: ListEntries
    delete: Callable[[Connection, Sequence[str]], None]


_ENTRIES: Mapping[Kind, _Entries] = {
    Kind.JOBS: _Entries(history.list_jobs, history.delete_jobs),
    Kind.PREDICTIONS: _Entries(history.list_predictions, history.delete_predictions),
}


def require_filter(query: HistoryFilterQuery) -> None:
    """Raise Problem ``bad_parameter`` if no filter is given."""
    if not query.names_something:
        detail = "name at least one filter; `to` with the date of today deletes all"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_parameter", detail)


def delete_matching(kind: Kind, query: HistoryFilterQuery) -> int:
    """Delete all entries that match; return how many. If it is broken off, a repetition deletes the rest.

    Raises:
        Problem: ``bad_parameter``: no filter is given.
    """
    require_filter(query)
    deleted, place, wanted = 0, None, query.to_filter()
    try:
        while True:
            count, place = _delete_page(services().database, _ENTRIES[kind], wanted, place)
            deleted += count
            if place is None:
                return deleted
    finally:
        # Not the text that was searched for: it may be what the deletion is to make go away.
        filters = {name: value for name, value in query.given.items() if name != "q"}
        services().auth.note_deletion(f"history of {kind}", entries=deleted, **filters)


def count_matching(kind: Kind, query: HistoryFilterQuery, most: int) -> tuple[int, bool]:
    """Return how many entries match, as far as one page of ``most`` entries shows, and whether there may be more."""
    with services().database.reading() as connection:
        page = _ENTRIES[kind].list(connection, query.to_filter(), most, None)
    return len(page.entries), page.next is not None


def _delete_page(
    database: Database, entries: _Entries, wanted: HistoryFilter, place: Place | None
) -> tuple[int, Place | None]:
    with database.writing() as connection:
        page = entries.list(connection, wanted, _ENTRIES_AT_ONCE, place)
        ids = [entry["id"] for entry in page.entries]
        if ids:
            entries.delete(connection, ids)
    return len(ids), page.next
