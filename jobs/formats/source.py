"""What is read of a file: its columns, then its rows as CSV. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from jobs.csv.reader import MAX_COLUMNS, MAX_FIELD_BYTES
from jobs.csv.records import MAX_RECORD_BYTES
from jobs.errors import UploadRefused


class Kind(StrEnum):
    """Kinds of values in a column whose cells have types of their own."""

    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"
    TIME = "time"
    JSON = "json"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows as CSV, each with its line end; ``progress`` is the part of the file that is read with them, 0..1.

    ``size`` is that of the unpacked values. ``is_typed``: the rows are a packed batch (``typed``) instead.
    """

    text: bytes | memoryview
    rows: int
    progress: float
    size: int = 0
    is_typed: bool = False


@dataclass(slots=True)
class Source:
    """An opened file: the names of its columns and its rows, which can be iterated once.

    ``sheets`` are those of a workbook, ``sheet`` is the one that is read, and ``preamble`` holds its rows above the
    header as lines of CSV. ``schema`` is the Arrow schema in which the
    columns come back; without one, ``kinds`` lists the kinds of values found so far, per column.
    """

    names: Sequence[str]
    rows: Iterator[Rows]
    sheets: Sequence[str] = ()
    sheet: str | None = None
    preamble: str = ""
    schema: Any = None
    kinds: list[set[Kind]] = field(default_factory=list)


def check_names(names: Sequence[str]) -> None:
    """Raise UploadRefused ``no_header`` without columns, or ``too_wide`` with too many or too long names."""
    if not names:
        raise UploadRefused("no_header", "the file has no columns")
    if len(names) > MAX_COLUMNS:
        raise UploadRefused("too_wide", f"the file has {len(names)} columns; the limit is {MAX_COLUMNS}")
    sizes = [len(name.encode("utf-8", "replace")) for name in names]
    if max(sizes) > MAX_FIELD_BYTES or sum(sizes) > MAX_RECORD_BYTES:
        detail = f"a name is longer than {MAX_FIELD_BYTES} bytes, or all of them are longer than {MAX_RECORD_BYTES}"
        raise UploadRefused("too_wide", detail)


def unreadable(what: str, why: object) -> UploadRefused:
    """Return the refusal of a file that its own format's reader cannot read."""
    reason = " ".join(str(why).split())[:200]
    return UploadRefused("unreadable_file", f"this {what} cannot be read: {reason or 'it is damaged'}")
