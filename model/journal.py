"""The journal of a folder of models: who added, chose or removed what and when, one line of JSON for each change.

Lines are only appended. The recorder copies them to the audit log; those of other hosts come to it through the store.
"""

import getpass
import json
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from uuid import uuid4

_FILE = "journal.jsonl"


class Change(StrEnum):
    """What was done to a model."""

    ADDED = "model_added"
    REMOVED = "model_removed"
    MADE_DEFAULT = "model_made_default"


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """A change of a version, or of the whole model (None), by a user of a host."""

    id: str
    time: datetime
    user: str
    host: str
    change: Change
    model: str
    version: str | None


def journal_path(directory: Path) -> Path:
    """Return the path of the journal of a folder of models."""
    return directory / _FILE


def note_change(directory: Path, change: Change, model: str, version: str | None = None) -> None:
    """Append a change to the journal."""
    entry = JournalEntry(uuid4().hex, datetime.now(UTC), _user(), socket.gethostname(), change, model, version)
    line = json.dumps(asdict(entry), default=datetime.isoformat) + "\n"
    # One write in append mode: lines of several processes never mix.
    with journal_path(directory).open("ab", buffering=0) as file:
        file.write(line.encode())


def read_journal(directory: Path) -> Iterator[JournalEntry]:
    """Yield the changes in order; a line of another version of Scoreline, or a broken one, is passed over."""
    path = journal_path(directory)
    for line in path.read_bytes().splitlines() if path.exists() else ():
        with suppress(ValueError, TypeError, KeyError):
            yield parse_entry(line)


def parse_entry(line: bytes | str) -> JournalEntry:
    """Return the change in a line.

    Raises:
        ValueError, TypeError, KeyError: another version of Scoreline has written the line, or it is broken.
    """
    fields = json.loads(line)
    time, change = datetime.fromisoformat(fields["time"]).astimezone(UTC), Change(fields["change"])
    return JournalEntry(**fields | {"time": time, "change": change})


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container, where the user has no name
        return f"uid {os.getuid()}"
