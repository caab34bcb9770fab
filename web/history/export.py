"""History as CSV, page by page, so that an export of any size takes little memory and no long transaction."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any

import orjson

from database.database import Database
from database.history import HistoryFilter
from web.history.documents import Emails, time_text, with_owners
from web.history.queries import ListEntries

_ENTRIES_AT_ONCE = 1000
JOB_COLUMNS = (
    *("id", "state", "owner", "visibility", "name", "model", "version", "compared_model", "compared_version"),
    *("bytes", "rows", "scored", "rejected", "warned", "repaired", "threshold"),
    *("created", "started", "finished"),
)
PREDICTION_COLUMNS = (
    *("id", "state", "owner", "model", "version", "time", "prediction", "probability", "threshold"),
    *("record", "answer"),
)
_TIMES = ("created", "started", "finished", "time")
_DOCUMENTS = ("record", "answer")


def export(
    database: Database,
    emails: Emails,
    list_entries: ListEntries,
    wanted: HistoryFilter,
    columns: tuple[str, ...],
    transform: Callable[[bytes], bytes],
) -> Iterator[bytes]:
    """Return the blocks of a CSV file of all entries, newest first.

    Raises:
        DatabaseUnavailable: before the first block is taken, if the database is away.
    """
    blocks = _blocks(database, emails, list_entries, wanted, columns)
    # The first page is read here, where an error still gets a response of its own.
    return map(transform, chain([next(blocks)], blocks))


def _blocks(
    database: Database, emails: Emails, list_entries: ListEntries, wanted: HistoryFilter, columns: tuple[str, ...]
) -> Iterator[bytes]:
    header, place = [list(columns)], None
    while True:
        with database.reading() as connection:
            page = list_entries(connection, wanted, _ENTRIES_AT_ONCE, place)
        entries = with_owners(page.entries, emails)
        yield _to_csv([*header, *([_cell(entry, name) for name in columns] for entry in entries)])
        header, place = [], page.next
        if place is None:
            return


def _cell(entry: Mapping[str, Any], name: str) -> Any:
    value = entry[name]
    if value is None:
        return ""
    if name in _TIMES:
        return time_text(value)
    return orjson.dumps(value).decode() if name in _DOCUMENTS else value


def _to_csv(rows: list[list[Any]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
