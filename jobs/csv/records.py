"""Index of a CSV buffer: where each record begins and ends, and how many fields it has. Pure: no input or output.

The grammar is that of RFC 4180 with any delimiter of one byte. A field that begins with a quote ends at its closing
quote; in any other field a quote is an ordinary character. A line end within quotes does not end a record.

``index_records`` needs a few passes of numpy, whatever the number of records:

1. Without a quote in the buffer, records end at the newlines.
2. With quotes, a byte stands inside quotes if the number of quotes up to it is odd: a running xor over the positions of
   quotes. The two quotes of a doubled pair (``""``) cancel out. Records end at the newlines outside.
3. Parity is wrong as soon as one quote stands where the grammar allows none (``6" nail``). So the neighbours of each
   quote are checked: an opening one must follow a delimiter or line end, a closing one must precede one. If any fails
   the check, the quotes themselves are read (``quotes.QuoteRuns``), which is exact and slower.
4. A missing or surplus quote would join a record with those after it. Where the header's width is known, a record of
   several lines must have it, or reading starts anew at its second line (``resync``). Lines of the same shape read
   alike, so that each distinct shape is read once (``shapes``).

``read_record`` reads a single record by the same grammar, field by field; property tests compare the two.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache, cached_property

import numpy as np

from jobs.csv.crossed import crossed_records
from jobs.csv.line_ends import bare_returns_in, ends_of_lines, spans
from jobs.csv.quotes import (
    CR,
    LF,
    QUOTE,
    Bits,
    Offsets,
    QuoteReading,
    QuoteRuns,
    parity_is_valid,
    running_xor,
)
from jobs.csv.resync import ReadQuotes, bytes_in_quotes, record_ends, resynchronise
from jobs.csv.shapes import Shapes

_NO_OFFSETS = np.empty(0, np.int64)
MAX_RECORD_BYTES = 4 * 1024 * 1024
# One more than the largest header: enough to see that a record is too wide.
MAX_FIELDS = 2001
_SAMPLE_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class ReadRecord:
    """A record read field by field: its field boundaries, and whether it breaks the grammar.

    ``fields`` holds (start, end) offsets in the buffer, including quotes, of up to ``MAX_FIELDS`` fields; ``count`` is
    the number of all fields and ``longest`` the length of the longest. ``open_at`` is the offset of a quoted field that
    does not end within the buffer; it is the last of the fields.
    """

    fields: tuple[tuple[int, int], ...]
    count: int
    longest: int
    end: int
    malformed: bool
    open_at: int | None = None


@dataclass(frozen=True)
class RecordIndex:
    """The records of ``data``: start and end offsets, shape (n,), without line ends and without blank lines.

    ``consumed`` is the offset after the last whole record and its line end. ``unclosed_at`` are the offsets of those
    opening quotes after which no closing one comes before the record limit or the end of the buffer. ``is_open``: a
    quoted field is still open at the end of a buffer read without a width.

    ``parity`` marks the bytes inside quotes if all quotes stand where they may. Otherwise, ``read`` returns how the
    quotes read; where each line is a record, ``shaped`` are their shapes.
    """

    data: bytes
    delimiter: int
    starts: Offsets
    ends: Offsets
    consumed: int
    has_blank_lines: bool
    unclosed_at: Offsets = field(default_factory=_NO_OFFSETS.copy)
    read: Callable[[], ReadQuotes] | None = None
    is_open: bool = False
    parity: Bits | None = None
    shaped: "ShapedRecords | None" = None

    def __len__(self) -> int:
        return len(self.starts)

    def record(self, number: int) -> bytes:
        """Return the bytes of one record, without its line end."""
        return self.data[self.starts[number] : self.ends[number]]

    @cached_property
    def _read(self) -> ReadQuotes | None:
        return self.read() if self.read else None

    @property
    def quotes(self) -> QuoteReading | None:
        """How the quotes read, unless all of them stand where they may."""
        return self._read.reading if self._read else None

    @property
    def quoted(self) -> Bits | None:
        """The bytes inside quotes, as bits; None without quotes."""
        read = self._read
        return bytes_in_quotes(len(self.data), read.reading, read.cut_at) if read else self.parity

    @cached_property
    def broken_at(self) -> Offsets:
        """The offsets, ascending, of what breaks the grammar.

        These are closing quotes followed by text, opening quotes that are not closed, and bare carriage returns.
        """
        broken_at = self._read.broken_at if self._read else _NO_OFFSETS
        broken_at = broken_at[: np.searchsorted(broken_at, self.ends[-1] if len(self) else 0)]
        returns = bare_returns_in(self.data, lambda: self.quoted)
        if not len(returns):
            return broken_at
        inside = np.searchsorted(self.starts, returns, "right") > np.searchsorted(self.ends, returns, "right")
        return np.sort(np.concatenate([broken_at, returns[inside]]))

    @cached_property
    def malformed(self) -> Offsets:
        """Indexes of the records that break the grammar or hold a quoted text across unquoted fields, ascending."""
        malformed = np.zeros(len(self), np.bool_)
        if self.shaped:
            of_shapes = np.zeros(len(self.shaped.index), np.bool_)
            of_shapes[self.shaped.index.malformed] = True
            malformed = of_shapes[self.shaped.shapes.codes]
        else:
            malformed[self.broken_rows] = True
            malformed[self.crossed] = True
        return np.flatnonzero(malformed)

    @cached_property
    def broken_rows(self) -> Offsets:
        """The records that contain the offsets ``broken_at``, ascending."""
        return self.owners(self.broken_at)

    def owners(self, offsets: Offsets) -> Offsets:
        """Return the indexes of the records that contain the offsets."""
        return np.searchsorted(self.starts, offsets, side="right") - 1

    @cached_property
    def all_delimiter_offsets(self) -> Offsets:
        """The offsets of the delimiters outside and inside quotes."""
        return np.flatnonzero(np.frombuffer(self.data, np.uint8) == self.delimiter)

    @cached_property
    def delimiter_offsets(self) -> Offsets:
        """The offsets of the delimiters outside quotes."""
        if self.shaped:
            offsets = self.shaped.index.delimiter_offsets
            return self.shaped.shapes.marks_of(offsets).at(offsets)
        quoted = self.quoted
        if quoted is None:
            return self.all_delimiter_offsets
        return np.flatnonzero((np.frombuffer(self.data, np.uint8) == self.delimiter) & ~quoted)

    def bounds(self) -> "RecordIndex":
        """Return the index with the starts and ends of the records only, which takes far less memory."""
        return RecordIndex(self.data, self.delimiter, self.starts, self.ends, self.consumed, self.has_blank_lines)

    def read_quotes(self) -> QuoteReading:
        """Return the meanings of all quotes."""
        return self.quotes or QuoteRuns.of(self.data, self.delimiter, escapes=False).read()

    @cached_property
    def first_delimiters(self) -> Offsets:
        """The number of delimiters outside quotes before each record, shape (n,)."""
        return np.searchsorted(self.delimiter_offsets, self.starts)

    @cached_property
    def field_counts(self) -> Offsets:
        """The number of fields of each record, shape (n,)."""
        if self.shaped:
            return self.shaped.index.field_counts[self.shaped.shapes.codes]
        return np.searchsorted(self.delimiter_offsets, self.ends) - self.first_delimiters + 1

    def fields(self, number: int) -> list[bytes]:
        """Return the fields of one record as they stand, including quotes; at most ``MAX_FIELDS``."""
        read = read_record(self.data, int(self.starts[number]), int(self.ends[number]), self.delimiter)
        return [self.data[start:end] for start, end in read.fields]

    @cached_property
    def crossed(self) -> Offsets:
        """The indexes of the records in which a quoted text begins inside an unquoted field and ends in another.

        That is: a field with an odd number of quotes, of which the last is not at its end, if the next such field of
        the record ends with a quote: ``5"x,y"``, but not ``5" x,6" y``.
        """
        if self.quotes is None:
            return _NO_OFFSETS
        return crossed_records(self.quotes, self.starts, self.ends, lambda: self.delimiter_offsets)


@dataclass(frozen=True)
class ShapedRecords:
    """The shapes of records that are lines, and how the quotes in these read."""

    shapes: Shapes
    read: Callable[[], ReadQuotes]
    delimiter: int

    @cached_property
    def index(self) -> RecordIndex:
        """The shapes, as records."""
        text = self.shapes.text
        return _index(text, self.delimiter, True, _line_ends(text, None), self.read)


def index_records(
    data: bytes, delimiter: int, final: bool, width: int | None = None, count: int | None = None
) -> RecordIndex:
    """Index the records of a buffer that starts at the beginning of a record.

    What follows the last line end outside quotes counts as a record only with ``final``. With the header's ``width``, a
    record with broken quotes ends with its first line, and ``\\""`` at the end of a field is an escaped quote and a
    closing one. Without, as for our own results, a quote inside a quoted field is only ever doubled. ``count`` is the
    number of records, if it is known.
    """
    if b'"' not in data:  # also true of an empty buffer
        return _index_by_parity(data, delimiter, final)
    # With as many records as lines, each line is one, and none needs to be read as the continuation of another.
    raw = np.frombuffer(data, np.uint8)
    are_lines = count is not None and count == np.count_nonzero(raw == LF) + (not data.endswith(b"\n"))
    if width is not None and len(data) > 4 * _SAMPLE_BYTES:
        sample = index_records(data[:_SAMPLE_BYTES], delimiter, False, width)
        if sample.read:  # quotes are broken, so that parity need not be tried
            return index_lines(data, delimiter) if are_lines else _resynchronised(data, delimiter, final, width)
    quoted = running_xor(raw == QUOTE)
    if parity_is_valid(data, delimiter, quoted, escapes=width is not None):
        index = _index_by_parity(data, delimiter, final, quoted)
        if width is None or _is_sound(index, final, width):
            return index
    if width is None:
        return _index_strictly(data, delimiter, final)
    return index_lines(data, delimiter) if are_lines else _resynchronised(data, delimiter, final, width)


def index_lines(data: bytes, delimiter: int) -> RecordIndex:
    """Index a buffer in which each line is a record, also one with a quote that is not closed."""
    if b'"' not in data:
        return _index_by_parity(data, delimiter, final=True)
    found = resynchronise(data, delimiter, final=True, width=0, max_bytes=-1)
    index = _index(data, delimiter, True, found.line_ends, found.read)
    # Blank lines are no records.
    if len(index) < len(found.shapes):
        return index
    return replace(index, shaped=ShapedRecords(found.shapes, found.read_shapes, delimiter))


def _resynchronised(data: bytes, delimiter: int, final: bool, width: int) -> RecordIndex:
    limit = MAX_RECORD_BYTES
    line_ends, unclosed_at = record_ends(data, delimiter, final, width, limit)

    def read() -> ReadQuotes:
        return resynchronise(data, delimiter, final, width, limit).read()

    return _index(data, delimiter, final, line_ends, read, unclosed_at=unclosed_at)


def _index_strictly(data: bytes, delimiter: int, final: bool) -> RecordIndex:
    """Index the records of a buffer with quotes inside unquoted fields, without starting anew anywhere."""
    reading = QuoteRuns.of(data, delimiter, escapes=False).read()
    quoted = bytes_in_quotes(len(data), reading, _NO_OFFSETS)
    read = ReadQuotes(reading, _NO_OFFSETS, reading.runs.at[reading.bad])
    return _index(data, delimiter, final, _line_ends(data, quoted), lambda: read, is_open=bool(quoted[-1]))


def _is_sound(index: RecordIndex, final: bool, width: int) -> bool:
    """Return whether the records of several lines have the width and length of one, and the last quote is closed."""
    quoted = index.parity
    assert quoted is not None
    if quoted[-1] and (final or len(index.data) - index.consumed > MAX_RECORD_BYTES):
        return False
    raw = np.frombuffer(index.data, np.uint8)[: index.consumed]
    inner = np.flatnonzero((raw == LF) & quoted[: index.consumed])
    if not len(inner):
        return True
    rows = np.unique(index.owners(inner))
    starts, ends, delimiters = index.starts[rows], index.ends[rows], index.delimiter_offsets
    counts = np.searchsorted(delimiters, ends) - np.searchsorted(delimiters, starts) + 1
    lengths = ends_of_lines(index.data, ends) - starts - 1
    return bool((counts == width).all() and (lengths <= MAX_RECORD_BYTES).all())


def as_field(text: str, delimiter: str) -> bytes:
    """Encode a text as a CSV field, quoted if necessary; lone surrogates become question marks."""
    if any(special in text for special in (delimiter, '"', "\r", "\n")):
        text = '"' + text.replace('"', '""') + '"'
    return text.encode("utf-8", "replace")


def unquote(text: bytes) -> bytes:
    """Return a field's value: without enclosing quotes, doubled quotes replaced by single ones."""
    if len(text) > 1 and text[0] == QUOTE and text[-1] == QUOTE:
        return text[1:-1].replace(b'""', b'"')
    return text


def _index_by_parity(data: bytes, delimiter: int, final: bool, quoted: Bits | None = None) -> RecordIndex:
    """Return the index of records that end at all line ends outside quotes."""
    is_open = quoted is not None and bool(quoted[-1])
    return _index(data, delimiter, final, _line_ends(data, quoted), parity=quoted, is_open=is_open)


def _line_ends(data: bytes, quoted: Bits | None) -> Bits:
    line_ends: Bits = np.frombuffer(data, np.uint8) == LF
    return line_ends if quoted is None else line_ends & ~quoted


def _index(
    data: bytes,
    delimiter: int,
    final: bool,
    line_ends: Bits,
    read: Callable[[], ReadQuotes] | None = None,
    parity: Bits | None = None,
    unclosed_at: Offsets = _NO_OFFSETS,
    is_open: bool = False,
) -> RecordIndex:
    """Return the index of records that end at ``line_ends``; the last one is left out if it ``is_open``."""
    starts, ends, consumed, blanks = spans(data, line_ends, final)
    if is_open and final:
        starts, ends = starts[:-1], ends[:-1]
    unclosed_at = unclosed_at[: np.searchsorted(unclosed_at, ends[-1] if len(ends) else 0)]
    return RecordIndex(data, delimiter, starts, ends, consumed, blanks, unclosed_at, read, is_open, parity)


@cache
def _patterns(delimiter: int, escapes: bool) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """Return patterns of a quoted field, with doubled quotes as in ``kinds_of``, and of the rest of an unquoted one."""
    stop = re.escape(bytes([delimiter]))
    pair = rb'""' if not escapes else rb'(?:(?<!\\)""|(?<=\\)""(?!' + stop + rb"|\r?\n|\Z))"
    quoted = re.compile(rb'"[^"]*+(?:' + pair + rb'[^"]*+)*+"')
    return quoted, re.compile(rb"[^\n" + stop + rb"]*+")


def read_record(data: bytes, start: int, stop: int, delimiter: int, escapes: bool = True) -> ReadRecord:
    """Read the record at ``start`` field by field, up to a line end outside quotes or ``stop``.

    ``escapes``: whether ``\\""`` at the end of a field is an escaped quote and a closing one.
    """
    quoted_field, unquoted_rest = _patterns(delimiter, escapes)
    fields: list[tuple[int, int]] = []
    count, longest, malformed, position = 0, 0, False, start
    while True:
        field_start, after_quotes = position, position
        if data[position : position + 1] == b'"' and position < stop:
            match = quoted_field.match(data, position, stop)
            if match is None:
                fields += [(position, stop)] if count < MAX_FIELDS else []
                longest = max(longest, stop - position)
                return ReadRecord(tuple(fields), count + 1, longest, stop, malformed=True, open_at=position)
            after_quotes = match.end()
        rest = unquoted_rest.match(data, after_quotes, stop)
        position = rest.end() if rest else after_quotes
        at_line_end = data[position : position + 1] == b"\n" and position < stop
        end = position - 1 if at_line_end and data[position - 1] == CR and position > after_quotes else position
        unquoted = data[after_quotes:end]
        malformed |= b"\r" in unquoted or (after_quotes > field_start and bool(unquoted))
        count, longest = count + 1, max(longest, end - field_start)
        if count <= MAX_FIELDS:
            fields.append((field_start, end))
        if at_line_end or position >= stop:
            return ReadRecord(tuple(fields), count, longest, end, malformed)
        position += 1
        if count == MAX_FIELDS and data.find(b'"', position, _line_end(data, position, stop)) < 0:
            return _count_remaining(
                data, position, stop, delimiter, ReadRecord(tuple(fields), count, longest, 0, malformed)
            )


def _line_end(data: bytes, position: int, stop: int) -> int:
    line_end = data.find(b"\n", position, stop)
    return stop if line_end < 0 else line_end


def _count_remaining(data: bytes, position: int, stop: int, delimiter: int, read: ReadRecord) -> ReadRecord:
    """Count the remaining fields of a record that is too wide, none of them quoted, at once: there may be millions."""
    line_end = _line_end(data, position, stop)
    end = line_end - 1 if line_end < stop and data[line_end - 1] == CR and line_end > position else line_end
    rest = np.frombuffer(data, np.uint8, end - position, position)
    bounds = np.concatenate(([-1], np.flatnonzero(rest == delimiter), [end - position]))
    longest = max(read.longest, int(np.diff(bounds).max()) - 1)
    malformed = read.malformed or b"\r" in data[position:end]
    return ReadRecord(read.fields, read.count + len(bounds) - 1, longest, end, malformed)
