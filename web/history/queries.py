"""What a request asks of the history: its parameters, as a filter of the database."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from pydantic import ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError
from sqlalchemy import Connection

from database.column_types import plain_text
from database.history import HistoryFilter, HistoryPage, Place
from web.auth.identity import current_identity
from web.request_limits import MAX_PAGE_SIZE
from web.schemas import Described
from web.services import services

ListEntries = Callable[[Connection, HistoryFilter, int, Place | None], HistoryPage]

# Or nothing, as forms send it.
_CURSOR = r"^([0-9]{1,16}-[0-9a-f.]{1,64})?$"
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_TIME_TEXT = "a date or an RFC 3339 time, UTC where it names no offset"
_FORM = {"limit", "cursor", "format", "escape"}
"""Parameters that say how entries are shown, not which."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class HistoryFilterQuery(Described):
    """Which entries of the history."""

    model: str | None = Field(None, description="only of this model")
    version: str | None = Field(None, description="only of this version of a model")
    owner: str | None = Field(None, description="only those of the user with this id or e-mail address")
    state: Literal["succeeded", "failed", "canceled"] | None = Field(None, description="only in this state")
    since: str | None = Field(None, alias="from", description=f"only from then on: {_TIME_TEXT}")
    until: str | None = Field(
        None, alias="to", description=f"only before that time, or up to and including that date: {_TIME_TEXT}"
    )
    q: str | None = Field(
        None, max_length=1000, description="only those that contain this text: a job's file name, a record, an answer"
    )

    @field_validator("since", "until")
    @classmethod
    def _check_time(cls, text: str | None) -> str | None:
        if text:
            _parse_time(text)
        return text

    @property
    def given(self) -> dict[str, str]:
        """The filters that are given, by the names of their parameters."""
        return self.model_dump(by_alias=True, exclude_none=True, exclude=_FORM)

    @property
    def names_something(self) -> bool:
        """Whether any filter is given."""
        return bool(self.given)

    def to_filter(self) -> HistoryFilter:
        """Return the filter for the database: of what whoever asks may see."""
        identity = current_identity()
        until = _parse_time(self.until) if self.until else None
        if until and _DATE.fullmatch(self.until or ""):
            until += timedelta(days=1)
        return HistoryFilter(
            model=plain_text(self.model or None),
            version=plain_text(self.version or None),
            owner=_user_id(plain_text(self.owner or None)),
            state=self.state,
            since=_parse_time(self.since) if self.since else None,
            until=until,
            text=plain_text(self.q or None),
            visible_to=None if identity.sees_all else identity.owner,
        )


class DeletionQuery(HistoryFilterQuery):
    """Which entries to delete. A mistyped filter is refused, since without it more would match."""

    model_config = ConfigDict(extra="forbid")


class HistoryQuery(HistoryFilterQuery):
    """Which entries of the history, how many, and in which form."""

    limit: int = Field(50, ge=1, le=MAX_PAGE_SIZE, description="maximum number of entries on the page")
    cursor: str | None = Field(None, pattern=_CURSOR, description="`next_cursor` of the page before")
    format: Literal["json", "csv"] = Field("json", description="`csv`: all entries as a CSV file, streamed")
    escape: Literal["formulas"] | None = Field(
        None, description="in CSV: prefix fields that a spreadsheet would run as formulas with an apostrophe"
    )

    @property
    def place(self) -> Place | None:
        """Where the page begins."""
        return decode_cursor(self.cursor)


class RecordQuery(HistoryQuery):
    """Which predictions; ``record`` is the hash of the record that was asked about."""

    record: str | None = Field(None, pattern=r"^[0-9a-f]{64}$", description="only those of the record with this hash")

    def to_filter(self) -> HistoryFilter:
        """Return the filter for the database."""
        return replace(super().to_filter(), record_hash=self.record or None)


def encode_cursor(place: Place | None) -> str | None:
    """Return the cursor of a page: microseconds since the epoch, and the id of the entry before it."""
    return None if place is None else f"{(place[0] - _EPOCH) // timedelta(microseconds=1)}-{place[1]}"


def decode_cursor(cursor: str | None) -> Place | None:
    """Return the place in a cursor that matches the pattern."""
    if not cursor:
        return None
    microseconds, _, entry_id = cursor.partition("-")
    return _EPOCH + timedelta(microseconds=int(microseconds)), entry_id


def _user_id(owner: str | None) -> str | None:
    """Return the id of the user with an e-mail address; what is no address of a user is taken as an id."""
    if owner is None or "@" not in owner:
        return owner
    account = services().auth.users.by_email(owner)
    return account.id if account else owner


def _parse_time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
        in_utc = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise PydanticCustomError("time", "{text} is not a date or an RFC 3339 time", {"text": repr(text)}) from None
    # Room for the day that a date includes.
    return min(in_utc, datetime.combine(date.max - timedelta(days=1), datetime.min.time(), UTC))
