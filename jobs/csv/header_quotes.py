"""Read the line of a header whose quotes may be broken, so that it costs no row. Pure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from jobs.csv import records
from jobs.csv.records import ReadRecord, as_field, read_record, unquote

# Quotes in a line, at most, for a repair to be looked for.
MAX_REPAIRED_QUOTES = 64
_LINE_ENDS = (b"\r\n", b"\n")

HasAll = Callable[[Sequence[str]], bool]
"""Returns whether a header contains all of the models' columns."""


@dataclass(frozen=True, slots=True)
class HeaderText:
    """The header's column names, its bytes as they go into the results, its line end, and the offset after that.

    ``is_broken``: a quote in it stands where none may, and could not be repaired.
    """

    columns: tuple[str, ...]
    raw: bytes
    line_end: bytes
    end: int
    is_broken: bool = False


def read_header_text(data: bytes, start: int, delimiter: str, final: bool, has_all: HasAll) -> HeaderText | None:
    """Read the header at ``start``; return None if more bytes are needed.

    A name may go on in the next line if its quotes are sound, unless that line reads as a row. Otherwise the line alone
    is the header. One quote is taken away or doubled in it if ``has_all`` then accepts the names, in exactly one way.
    """
    line_stop = data.find(b"\n", start)
    if line_stop < 0 and not final:
        return None
    line_stop = len(data) if line_stop < 0 else line_stop
    line = data[start:line_stop]
    if b'"' not in line:
        return _text(data, start, delimiter, read_record(data, start, len(data), ord(delimiter)))
    alone = _line_alone(data, start, line_stop, delimiter, has_all)
    strict = read_record(data, start, min(len(data), start + records.MAX_RECORD_BYTES), ord(delimiter))
    if strict.end <= line_stop and not strict.malformed:
        read = _text(data, start, delimiter, strict)
        # Read by the grammar, unless only one changed quote gives all the columns that are needed.
        return read if has_all(read.columns) or alone.is_broken else alone
    return alone if strict.end <= line_stop else _several_lines(data, strict, alone, delimiter, final, has_all)


def _several_lines(
    data: bytes, strict: ReadRecord, alone: HeaderText, delimiter: str, final: bool, has_all: HasAll
) -> HeaderText | None:
    """Return the header that goes on after its first line, or that line ``alone``; None if more bytes are needed."""
    start = strict.fields[0][0]
    stop = min(len(data), start + records.MAX_RECORD_BYTES)
    is_complete = strict.open_at is None and (strict.end < stop or (final and stop == len(data)))
    if strict.malformed if is_complete else stop < len(data):
        return alone
    following = data.find(b"\n", alone.end)
    if following < 0 and not final:
        return None
    # A next line that is as wide as the first one alone is a row: the header lacks a quote, and no name goes on.
    row = read_record(data, alone.end, following if following >= 0 else len(data), ord(delimiter))
    if row.count == len(alone.columns) > 1 and has_all(alone.columns):
        return alone
    if is_complete:
        return _text(data, start, delimiter, strict)
    return alone if final else None


def _text(data: bytes, start: int, delimiter: str, record: ReadRecord) -> HeaderText:
    line_end = next((mark for mark in _LINE_ENDS if data.startswith(mark, record.end)), b"")
    raw = data[start : record.end].decode("utf-8", "replace").encode()
    return HeaderText(_names(data, record), raw, line_end, record.end + len(line_end))


def _names(data: bytes, record: ReadRecord) -> tuple[str, ...]:
    return tuple(unquote(data[begin:end]).decode("utf-8", "replace") for begin, end in record.fields)


def _line_alone(data: bytes, start: int, line_stop: int, delimiter: str, has_all: HasAll) -> HeaderText:
    """Return the header that a line alone is: repaired if there is one way to, else with its broken names quoted."""
    line_end = next((mark for mark in _LINE_ENDS if data[start : line_stop + 1].endswith(mark)), b"")
    line = data[start : line_stop + 1].removesuffix(line_end)
    end = start + len(line) + len(line_end)
    # By names: different changes that give the same names are one reading.
    found: dict[tuple[str, ...], bytes] = {}
    if line.count(b'"') <= MAX_REPAIRED_QUOTES:
        for text in one_quote_changed(line):
            record = read_record(text, 0, len(text), ord(delimiter))
            if not record.malformed and has_all(names := _names(text, record)):
                found.setdefault(names, text)
    # With several ways to repair it, none is more likely than the others.
    if len(found) == 1:
        [(names, text)] = found.items()
        return HeaderText(names, text.decode("utf-8", "replace").encode(), line_end, end)
    names = _names(line, read_record(line, 0, len(line), ord(delimiter)))
    raw = delimiter.encode().join(as_field(name, delimiter) for name in names)
    return HeaderText(names, raw, line_end, end, is_broken=True)


def one_quote_changed(text: bytes) -> Iterator[bytes]:
    """Yield the text with each of its quotes taken away, and doubled."""
    at = text.find(b'"')
    while at >= 0:
        yield text[:at] + text[at + 1 :]
        yield text[:at] + b'"' + text[at:]
        at = text.find(b'"', at + 1)
