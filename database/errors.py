"""What can be wrong with the database."""

from typing import ClassVar


class DatabaseError(Exception):
    """Base class of this package's errors. ``loggable``: the message never contains a record's value."""

    loggable: ClassVar[bool] = True


class DatabaseUnavailable(DatabaseError):
    """Raised when the database is away, full, read-only or not upgraded yet. The same call may succeed later."""


class DatabaseTooNew(DatabaseError):
    """Raised when a newer version of Scoreline has upgraded the database."""


class UnsuitableDatabase(DatabaseError):
    """Raised when a URL names a database that Scoreline cannot use."""
