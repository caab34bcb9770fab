"""Where the records of a CSV buffer begin and end, and how many fields each has. Pure: no input or output.

The grammar is RFC 4180's with any of four delimiters: a field that begins with a quote ends at the closing quote, in
any other field a quote is an ordinary character. Buffers whose quotes all stand where a quote may are indexed in a few
passes of numpy; in others, each line that holds a quote is read field by field (``read_record``), the rest as before.
"""

import re
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray

Offsets = NDArray[np.int64]
_LF, _CR, _QUOTE = 10, 13, 34
# One more than any header may have: enough to see that a record is too wide.
MOST_FIELDS = 2001


@dataclass(frozen=True, slots=True)
class ReadRecord:
    """A record read field by field: its field boundaries and whether it breaks the grammar.

    ``fields`` holds (start, end) offsets in the buffer, quotes included, of as many fields as any header has; ``count``
    is of all, and ``longest`` the length of the longest. ``open_at`` is where a quoted field begins that does not end
    within the buffer.
    """

    fields: tuple[tuple[int, int], ...]
    count: int
    longest: int
    end: int
    malformed: bool
    open_at: int | None = None


@dataclass(frozen=True, slots=True)
class RecordIndex:
    """The records of ``data``: offsets of shape (n,), line ends not included, blank lines left out.

    ``consumed`` is where the last whole record ends, line end included; ``malformed`` holds record numbers;
    ``open_at`` the offset of a quoted field still open at the end of the buffer.
    """

    data: bytes
    delimiter: int
    starts: Offsets
    ends: Offsets
    consumed: int
    has_blank_lines: bool
    malformed: frozenset[int] = frozenset()
    open_at: int | None = None
    odd_counts: dict[int, int] = field(default_factory=dict)
    quoted: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.starts)

    def record(self, number: int) -> bytes:
        """Bytes of one record, without its line end."""
        return self.data[self.starts[number] : self.ends[number]]

    def delimiter_offsets(self) -> Offsets:
        """Offsets of the delimiters that stand outside quotes; not to be relied on within odd records."""
        found = np.flatnonzero(np.frombuffer(self.data, np.uint8) == self.delimiter)
        return found if self.quoted is None else found[~self.quoted[found]]

    def field_counts(self) -> Offsets:
        """Number of fields of each record, shape (n,)."""
        delimiters = self.delimiter_offsets()
        counts: Offsets = np.searchsorted(delimiters, self.ends) - np.searchsorted(delimiters, self.starts) + 1
        for number, count in self.odd_counts.items():
            counts[number] = count
        return counts

    def fields(self, number: int) -> list[bytes]:
        """The first fields of one record as they stand, quotes included: as many as any header has, and one more."""
        read = read_record(self.data, int(self.starts[number]), int(self.ends[number]), self.delimiter)
        return [self.data[start:end] for start, end in read.fields]


def index_records(data: bytes, delimiter: int, final: bool) -> RecordIndex:
    """Index the records of a buffer that begins at a record's start.

    Without ``final``, what follows the last line end outside quotes is not a record yet; with it, it is one.
    """
    if b'"' not in data:  # an empty buffer too
        return _index_lines(data, delimiter, final)
    quoted = _quoted_bytes(data)
    if _quotes_stand_well(data, delimiter, quoted):
        return _index_quoted(data, delimiter, quoted, final)
    return _index_odd(data, delimiter, final)


def unquote(text: bytes) -> bytes:
    """A field's value: without its quotes if it is quoted, and with each doubled quote made one."""
    if len(text) > 1 and text[0] == _QUOTE and text[-1] == _QUOTE:
        return text[1:-1].replace(b'""', b'"')
    return text


def _index_lines(data: bytes, delimiter: int, final: bool) -> RecordIndex:
    line_ends = np.flatnonzero(np.frombuffer(data, np.uint8) == _LF)
    starts, ends, consumed, blanks = _spans(data, line_ends, final)
    return RecordIndex(data, delimiter, starts, ends, consumed, blanks, _bare_returns(data, starts, ends, None))


def _index_quoted(data: bytes, delimiter: int, quoted: NDArray[np.bool_], final: bool) -> RecordIndex:
    line_ends = np.flatnonzero(np.frombuffer(data, np.uint8) == _LF)
    starts, ends, consumed, blanks = _spans(data, line_ends[~quoted[line_ends]], final)
    malformed = _bare_returns(data, starts, ends, quoted)
    open_at = data.rfind(b'"') if quoted[-1] else None
    if open_at is not None and final:
        starts, ends = starts[:-1], ends[:-1]
    return RecordIndex(data, delimiter, starts, ends, consumed, blanks, malformed, open_at, quoted=quoted)


def _spans(data: bytes, line_ends: Offsets, final: bool) -> tuple[Offsets, Offsets, int, bool]:
    """Starts and ends of the records between line ends, the offset after the last, and whether lines were blank."""
    consumed = int(line_ends[-1]) + 1 if len(line_ends) else 0
    if final and consumed < len(data):
        line_ends = np.append(line_ends, len(data))
        consumed = len(data)
    starts = np.zeros_like(line_ends)
    starts[1:] = line_ends[:-1] + 1
    ends = line_ends - _ended_by_crlf(data, line_ends)
    filled = ends > starts
    if filled.all():
        return starts, ends, consumed, False
    return starts[filled], ends[filled], consumed, True


def _ended_by_crlf(data: bytes, line_ends: Offsets) -> NDArray[np.bool_]:
    before: NDArray[np.bool_] = (
        np.frombuffer(data, np.uint8)[line_ends - 1] == _CR
    )  # offset 0 wraps to the last byte, mended below
    if len(line_ends):
        before[0] &= line_ends[0] > 0
        before[-1] &= line_ends[-1] < len(data)
    return before


def _bare_returns(data: bytes, starts: Offsets, ends: Offsets, quoted: NDArray[np.bool_] | None) -> frozenset[int]:
    """Numbers of the records with a carriage return, outside quotes, that does not belong to a line end."""
    if b"\r" not in data or (quoted is None and data.count(b"\r") == data.count(b"\r\n")):
        return frozenset()
    returns = np.flatnonzero(np.frombuffer(data, np.uint8) == _CR)
    if quoted is not None:
        returns = returns[~quoted[returns]]
    owners = np.searchsorted(starts, returns, side="right") - 1
    inside = (owners >= 0) & (returns < ends[owners]) if len(starts) else np.zeros(len(returns), bool)
    return frozenset(owners[inside].tolist())


def _quoted_bytes(data: bytes) -> NDArray[np.bool_]:
    """Mask of the bytes inside quotes (opening quote included, closing not): the running xor of the quotes."""
    quotes = (np.frombuffer(data, np.uint8) == _QUOTE).view(np.uint8)
    return (np.cumsum(quotes, dtype=np.uint8) & 1).view(np.bool_)


def _quotes_stand_well(data: bytes, delimiter: int, quoted: NDArray[np.bool_]) -> bool:
    """Whether each quote opens a field, closes one, or is one of a doubled pair."""
    if b'\\"' in data:
        return False
    raw = np.frombuffer(data, np.uint8)
    at = np.flatnonzero(raw == _QUOTE)
    opening, closing = at[0::2], at[1::2]
    before = raw[opening - 1]  # offset 0 wraps, and is allowed below
    opens = (before == delimiter) | (before == _LF) | (opening == 0)
    opens[1:] |= opening[1:] == closing[: len(opening) - 1] + 1
    closing = closing[closing + 1 < len(raw)]
    after = raw[closing + 1]
    closes = (after == delimiter) | (after == _LF) | (after == _QUOTE)
    returns = np.flatnonzero(after == _CR)
    following = np.minimum(closing[returns] + 2, len(raw) - 1)
    closes[returns] = raw[following] == _LF
    return bool(opens.all() and closes.all())


def _index_odd(data: bytes, delimiter: int, final: bool) -> RecordIndex:
    """Index a buffer in which a quote stands where none may: lines with a quote are read one by one."""
    raw = np.frombuffer(data, np.uint8)
    line_ends = np.flatnonzero(raw == _LF)
    kept: list[Offsets] = []
    odd_at: dict[int, tuple[int, bool]] = {}
    position, open_at = 0, None
    while (quote := data.find(b'"', position)) >= 0:
        first = data.rfind(b"\n", position, quote) + 1 or position
        low, high = np.searchsorted(line_ends, (position, first))
        kept.append(line_ends[low:high])
        odd = read_record(data, first, len(data), delimiter)
        if odd.open_at is not None:
            open_at, position = odd.open_at, first
            break
        odd_at[first] = odd.count, odd.malformed
        line_end = data.find(b"\n", odd.end, odd.end + 2)
        if line_end < 0:
            position = first
            break
        kept.append(np.array([line_end]))
        position = line_end + 1
    else:
        kept.append(line_ends[np.searchsorted(line_ends, position) :])
    starts, ends, consumed, blanks = _spans(data, np.concatenate(kept or [line_ends[:0]]), final)
    if open_at is not None and final:
        starts, ends = starts[:-1], ends[:-1]
    at = np.fromiter(odd_at, np.int64, len(odd_at))
    numbers = np.searchsorted(starts, at)
    found = {int(n): odd_at[int(a)] for n, a in zip(numbers, at, strict=True) if n < len(starts) and starts[n] == a}
    bare = _bare_returns(data, starts, ends, None) - found.keys()
    malformed = frozenset(number for number, (_, broken) in found.items() if broken) | bare
    counts = {number: count for number, (count, _) in found.items()}
    return RecordIndex(data, delimiter, starts, ends, consumed, blanks, malformed, open_at, odd_counts=counts)


@cache
def _patterns(delimiter: int) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """Patterns of a quoted field and of the rest of an unquoted one.

    A doubled quote after a backslash and before a delimiter or line end is read as an escaped quote and a closing one:
    otherwise the field would swallow the records that follow.
    """
    stop = re.escape(bytes([delimiter]))
    pair = rb'(?:(?<!\\)""|(?<=\\)""(?!' + stop + rb"|\r?\n|\Z))"
    quoted = re.compile(rb'"[^"]*+(?:' + pair + rb'[^"]*+)*+"')
    return quoted, re.compile(rb"[^\n" + stop + rb"]*+")


def read_record(data: bytes, start: int, stop: int, delimiter: int) -> ReadRecord:
    """Read the record that begins at ``start``, field by field, up to a line end outside quotes or ``stop``."""
    quoted_field, unquoted_rest = _patterns(delimiter)
    fields: list[tuple[int, int]] = []
    count, longest, malformed, position = 0, 0, False, start
    while True:
        field_start, after_quotes = position, position
        if data[position : position + 1] == b'"' and position < stop:
            match = quoted_field.match(data, position, stop)
            if match is None:
                return ReadRecord(tuple(fields), count, longest, stop, malformed, open_at=position)
            after_quotes = match.end()
        rest = unquoted_rest.match(data, after_quotes, stop)
        position = rest.end() if rest else after_quotes
        at_line_end = data[position : position + 1] == b"\n" and position < stop
        end = position - 1 if at_line_end and data[position - 1] == _CR and position > after_quotes else position
        unquoted = data[after_quotes:end]
        malformed |= b"\r" in unquoted or (after_quotes > field_start and bool(unquoted))
        count, longest = count + 1, max(longest, end - field_start)
        if count <= MOST_FIELDS:
            fields.append((field_start, end))
        if at_line_end or position >= stop:
            return ReadRecord(tuple(fields), count, longest, end, malformed)
        position += 1
        if count == MOST_FIELDS and data.find(b'"', position, _line_end(data, position, stop)) < 0:
            return _count_the_rest(
                data, position, stop, delimiter, ReadRecord(tuple(fields), count, longest, 0, malformed)
            )


def _line_end(data: bytes, position: int, stop: int) -> int:
    found = data.find(b"\n", position, stop)
    return stop if found < 0 else found


def _count_the_rest(data: bytes, position: int, stop: int, delimiter: int, read: ReadRecord) -> ReadRecord:
    """The rest of a record too wide for any header, none of it quoted, in one go: it may have millions of fields."""
    line_end = _line_end(data, position, stop)
    end = line_end - 1 if line_end < stop and data[line_end - 1] == _CR and line_end > position else line_end
    rest = np.frombuffer(data, np.uint8, end - position, position)
    bounds = np.concatenate(([-1], np.flatnonzero(rest == delimiter), [end - position]))
    longest = max(read.longest, int(np.diff(bounds).max()) - 1)
    malformed = read.malformed or b"\r" in data[position:end]
    return ReadRecord(read.fields, read.count + len(bounds) - 1, longest, end, malformed)
