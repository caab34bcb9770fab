"""Column types that behave alike in SQLite and PostgreSQL."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import DateTime, Dialect, String
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """A time with time zone, in UTC with microseconds; SQLite stores it as text that sorts by time."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC. A time without time zone is an error of the caller."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time needs a time zone")
        in_utc = value.astimezone(UTC)
        return in_utc.replace(tzinfo=None) if dialect.name == "sqlite" else in_utc

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Return the time in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class EmailAddress(TypeDecorator[str]):
    """An e-mail address, stored and compared without regard to case and surrounding spaces."""

    impl = String(320)
    cache_ok = True

    def process_bind_param(self, value: str | None, _dialect: Dialect) -> str | None:
        """Fold the case."""
        return None if value is None else value.strip().casefold()


def week_of(time: datetime) -> date:
    """Return the Monday of the week of a time, in UTC."""
    day = time.astimezone(UTC).date()
    return day - timedelta(days=day.weekday())


def from_epoch(seconds: float | None) -> datetime | None:
    """Return the time of seconds since the epoch; None stays None."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def plain_text(value: Any) -> str | None:
    """Return a value as a text without NUL characters, which PostgreSQL cannot store; None stays None."""
    return None if value is None else str(value).replace("\x00", "\ufffd")
