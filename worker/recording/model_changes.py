"""Copy the changes of models, which are made at the command line, from their journal to the audit log.

The journal of this host is read from its folder, and those of others come through the outbox.
"""

from collections.abc import Iterable, Iterator

from database.audit import AuditLog, CopiedEvent
from database.database import Database
from jobs.store.outbox import EntryKind, OutboxEntry
from model.catalog import Catalog
from model.journal import JournalEntry, journal_path, parse_entry, read_journal


class ModelChanges:
    """Copies what is new in the journal; after a restart all of it, of which the database knows the most."""

    def __init__(self, catalog: Catalog, database: Database) -> None:
        self._directory, self._audit = catalog.directory, AuditLog(database)
        self._copied_bytes = 0

    def copy(self) -> None:
        """Copy new changes.

        Raises:
            DatabaseUnavailable, DatabaseTooNew: as ``Database`` does.
        """
        path = journal_path(self._directory)
        size = path.stat().st_size if path.exists() else 0
        # Lines are only appended, so that the size tells whether any are new.
        if size != self._copied_bytes:
            self._audit.copy(_event(entry) for entry in read_journal(self._directory))
            self._copied_bytes = size


def told_changes(entries: Iterable[OutboxEntry]) -> Iterator[CopiedEvent]:
    """Yield the changes among entries of the outbox.

    Raises:
        ValueError, TypeError, KeyError: a line is broken, or another version of Scoreline has written it.
    """
    for entry in entries:
        if entry.fields["kind"] == EntryKind.MODEL_CHANGE:
            yield _event(parse_entry(entry.fields["line"]))


def _event(entry: JournalEntry) -> CopiedEvent:
    changed = f"{entry.model}/{entry.version}" if entry.version else entry.model
    return CopiedEvent(entry.id, entry.time, f"{entry.user} on {entry.host}", entry.change.value, changed)
