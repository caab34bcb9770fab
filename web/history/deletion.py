"""Delete history by filter, in steps that are short enough for others to write in between."""

from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from database.database import Database
from database.history import HistoryFilter, Place
from web.history.queries import ListEntries

_ENTRIES_AT_ONCE = 500


def delete_matching(
    database: Database,
    list_entries: ListEntries,
    delete: Callable[[Connection, Sequence[str]], None],
    wanted: HistoryFilter,
) -> int:
    """Delete all entries that match; return how many. If it is broken off, a repetition deletes the rest."""
    deleted, place = 0, None
    while True:
        ids, place = _delete_page(database, list_entries, delete, wanted, place)
        deleted += len(ids)
        if place is None:
            return deleted


def _delete_page(
    database: Database,
    list_entries: ListEntries,
    delete: Callable[[Connection, Sequence[str]], None],
    wanted: HistoryFilter,
    place: Place | None,
) -> tuple[list[str], Place | None]:
    with database.writing() as connection:
        page = list_entries(connection, wanted, _ENTRIES_AT_ONCE, place)
        ids = [entry["id"] for entry in page.entries]
        if ids:
            delete(connection, ids)
    return ids, page.next
