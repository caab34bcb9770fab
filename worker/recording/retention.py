"""Delete what the history has kept for long enough."""

from datetime import UTC, datetime, timedelta

from database import history
from database.database import Database
from database.history import HistoryFilter

_ENTRIES_AT_ONCE = 500


def delete_expired(database: Database, days: int) -> bool:
    """Delete some of the jobs and predictions older than so many days; return whether none are left.

    Raises:
        DatabaseUnavailable, DatabaseTooNew: as ``Database`` does.
    """
    expired = HistoryFilter(until=datetime.now(UTC) - timedelta(days=days))
    left = False
    for list_entries, delete in (
        (history.list_jobs, history.delete_jobs),
        (history.list_predictions, history.delete_predictions),
    ):
        with database.writing() as connection:
            page = list_entries(connection, expired, _ENTRIES_AT_ONCE)
            if page.entries:
                delete(connection, [entry["id"] for entry in page.entries])
            left = left or page.next is not None
    return not left
