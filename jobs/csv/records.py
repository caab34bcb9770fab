"""Index of a CSV buffer: where each record begins and ends, and how many fields it has. Pure: no input or output.

The grammar is that of RFC 4180 with any of four delimiters. A field that begins with a quote ends at its closing quote;
in any other field a quote is an ordinary character. A line end within quotes does not end a record.

``index_records`` needs a few passes of numpy, whatever the number of records:

1. Without a quote in the buffer, records end at the newlines.
2. With quotes, a byte stands inside quotes if the number of quotes up to it is odd: a running xor over the positions of
   quotes. The two quotes of a doubled pair (``""``) cancel out. Records end at the newlines outside.
3. Parity is wrong as soon as one quote stands where the grammar allows none (``6" nail``). So the neighbours of each
   quote are checked: an opening one must follow a delimiter or line end, a closing one must precede one. If any fails
   the check, a state machine follows the quotes alone (``quotes.follow``), which is exact and several times slower.
4. A missing or surplus quote would join a record with those after it. Where the header's width is known, a record of
   several lines must have it, or reading starts anew at its second line (``resync``).

``read_record`` reads a single record by the same grammar, field by field; property tests compare the two.
"""

import re
from dataclasses import dataclass, field, replace
from functools import cache, cached_property

import numpy as np

from jobs.csv.line_ends import bare_returns_in, ends_of_lines, spans
from jobs.csv.quotes import (
    CR,
    LF,
    QUOTE,
    Bits,
    Offsets,
    QuoteStates,
    ends_field,
    follow,
    kinds_of,
    parity_is_valid,
    running_xor,
)
from jobs.csv.resync import resynchronise

_NO_OFFSETS = np.empty(0, np.int64)
MAX_RECORD_BYTES = 4 * 1024 * 1024
# One more than the largest header: enough to see that a record is too wide.
MAX_FIELDS = 2001


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

    ``consumed`` is the offset after the last whole record and its line end. ``broken_at`` holds the offsets, ascending,
    of what breaks the grammar: closing quotes followed by text, opening quotes that are not closed, and bare carriage
    returns. ``unclosed_at`` are those opening quotes after which no closing one comes before the record limit or the
    end of the buffer. ``quotes`` are the meanings of all quotes, if some stand where none should. ``is_open``: a quoted
    field is still open at the end of a buffer read without a width. ``quoted`` marks the bytes inside quotes; None
    without quotes.
    """

    data: bytes
    delimiter: int
    starts: Offsets
    ends: Offsets
    consumed: int
    has_blank_lines: bool
    broken_at: Offsets = field(default_factory=_NO_OFFSETS.copy)
    unclosed_at: Offsets = field(default_factory=_NO_OFFSETS.copy)
    quotes: QuoteStates | None = None
    is_open: bool = False
    quoted: Bits | None = None

    def __len__(self) -> int:
        return len(self.starts)

    def record(self, number: int) -> bytes:
        """Return the bytes of one record, without its line end."""
        return self.data[self.starts[number] : self.ends[number]]

    @cached_property
    def malformed(self) -> Offsets:
        """Indexes of the records that break the grammar or hold a quoted text across unquoted fields, ascending."""
        rows: Offsets = np.unique(np.concatenate([self.owners(self.broken_at), self.crossed]))
        return rows

    def owners(self, offsets: Offsets) -> Offsets:
        """Return the indexes of the records that contain the offsets."""
        return np.searchsorted(self.starts, offsets, side="right") - 1

    @cached_property
    def delimiter_offsets(self) -> Offsets:
        """The offsets of the delimiters outside quotes."""
        delimiters = np.frombuffer(self.data, np.uint8) == self.delimiter
        return np.flatnonzero(delimiters if self.quoted is None else delimiters & ~self.quoted)

    def quote_states(self) -> QuoteStates:
        """Return the meanings of all quotes."""
        return self.quotes or _follow_quotes(self.data, self.delimiter)

    def field_counts(self) -> Offsets:
        """Return the number of fields of each record, shape (n,)."""
        delimiters = self.delimiter_offsets
        return np.searchsorted(delimiters, self.ends) - np.searchsorted(delimiters, self.starts) + 1

    def fields(self, number: int) -> list[bytes]:
        """Return the fields of one record as they stand, including quotes; at most ``MAX_FIELDS``."""
        read = read_record(self.data, int(self.starts[number]), int(self.ends[number]), self.delimiter)
        return [self.data[start:end] for start, end in read.fields]

    def without_blank_lines(self) -> "RecordIndex":
        """Return the index of the same records without the blank lines between them."""
        if not self.has_blank_lines:
            return self
        # Bits at the starts and ends of the records: where one ends as the next one starts, they cancel out. The
        # running xor fills in the bytes between.
        # Bits at the starts and ends of the records: where one ends as the next one starts, they cancel out. The
        # running xor fills in the bytes between.
        kept = np.zeros(len(self.data), np.bool_)
        line_ends = ends_of_lines(self.data, self.ends)
        for bounds in (self.starts, line_ends[line_ends < len(kept)]):
            kept[bounds] ^= True
        kept = running_xor(kept)
        lengths = line_ends - self.starts
        starts = np.cumsum(lengths) - lengths

        def moved(offsets: Offsets) -> Offsets:
            owners = self.owners(offsets)
            places: Offsets = offsets - self.starts[owners] + starts[owners]
            return places

        return RecordIndex(
            np.frombuffer(self.data, np.uint8)[kept].tobytes(),
            self.delimiter,
            starts,
            starts + self.ends - self.starts,
            int(lengths.sum()),
            False,
            moved(self.broken_at),
            moved(self.unclosed_at),
            self.quotes and replace(self.quotes, at=moved(self.quotes.at)),
            quoted=None if self.quoted is None else self.quoted[kept],
        )

    @cached_property
    def crossed(self) -> Offsets:
        """The indexes of the records in which a quoted text begins inside an unquoted field and ends in another.

        That is: a field with an odd number of quotes, of which the last is not at its end, if the next such field of
        the record ends with a quote: ``5"x,y"``, but not ``5" x,6" y``.
        """
        ordinary_at = self.quotes.at[self.quotes.ordinary] if self.quotes else _NO_OFFSETS
        if not len(ordinary_at):
            return _NO_OFFSETS
        # One more at the end of the data, so that each field has a delimiter after it.
        # One more at the end of the data, so that each field has a delimiter after it.
        delimiters = np.append(self.delimiter_offsets, len(self.data))
        owners, following = self.owners(ordinary_at), np.searchsorted(delimiters, ordinary_at)
        # Each field has a number of its own: the next one differs in the delimiter after it or in its record.
        _, begins, counts = np.unique(following + owners, return_index=True, return_counts=True)
        odd = counts % 2 == 1
        last, owners = (begins + counts - 1)[odd], owners[begins[odd]]
        ends = np.minimum(delimiters[following[last]], self.ends[owners])
        at_end = ordinary_at[last] == ends - 1
        crossed = ~at_end[:-1] & at_end[1:] & (owners[:-1] == owners[1:])
        found: Offsets = owners[:-1][crossed]
        return found


def index_records(data: bytes, delimiter: int, final: bool, width: int | None = None) -> RecordIndex:
    """Index the records of a buffer that starts at the beginning of a record.

    What follows the last line end outside quotes counts as a record only with ``final``. With the header's ``width``, a
    record with broken quotes ends with its first line, and ``\\""`` at the end of a field is an escaped quote and a
    closing one. Without, as for our own results, a quote inside a quoted field is only ever doubled.
    """
    if b'"' not in data:  # also true of an empty buffer
        return _index(data, delimiter, final)
    quoted = running_xor(np.frombuffer(data, np.uint8) == QUOTE)
    if parity_is_valid(data, delimiter, quoted, escapes=width is not None):
        # Quotes can all stand in allowed places and yet be paired wrongly: after a missing one, what was inside is
        # outside. That joins lines, so records of one line need no further check.
        # Quotes can all stand in allowed places and yet be paired wrongly: after a missing one, what was inside is
        # outside. That joins lines, so records of one line need no further check.
        index = _index(data, delimiter, final, quoted)
        if width is None or _is_sound(index, final, width):
            return index
    if width is None:
        return _index_strictly(data, delimiter, final)
    return _resynchronised(data, delimiter, final, width, MAX_RECORD_BYTES)


def index_lines(data: bytes, delimiter: int) -> RecordIndex:
    """Index a buffer in which each line is a record, also one with a quote that is not closed."""
    if b'"' not in data:
        return _index(data, delimiter, final=True)
    return _resynchronised(data, delimiter, True, 0, -1)


def _resynchronised(data: bytes, delimiter: int, final: bool, width: int, max_bytes: int) -> RecordIndex:
    found = resynchronise(data, delimiter, final, width, max_bytes)
    return _index(
        data, delimiter, final, found.quoted, found.line_ends, found.broken_at, found.unclosed_at, found.quotes
    )


def _index_strictly(data: bytes, delimiter: int, final: bool) -> RecordIndex:
    """Index the records of a buffer with quotes inside unquoted fields, without starting anew anywhere."""
    raw, quotes = np.frombuffer(data, np.uint8), _follow_quotes(data, delimiter)
    at = quotes.at
    bounds = np.zeros(len(raw), np.bool_)
    bounds[at[quotes.opens | quotes.closes]] = True
    closing = at[quotes.closes]
    broken = closing[~ends_field(raw, closing + 1, delimiter)]
    return _index(data, delimiter, final, running_xor(bounds), None, broken, quotes=quotes)


def _follow_quotes(data: bytes, delimiter: int) -> QuoteStates:
    raw = np.frombuffer(data, np.uint8)
    at = np.flatnonzero(raw == QUOTE)
    return follow(at, kinds_of(raw, at, delimiter, escapes=False))


def _is_sound(index: RecordIndex, final: bool, width: int) -> bool:
    """Return whether the records of several lines have the width and length of one, and the last quote is closed."""
    assert index.quoted is not None
    if index.quoted[-1] and (final or len(index.data) - index.consumed > MAX_RECORD_BYTES):
        return False
    raw = np.frombuffer(index.data, np.uint8)[: index.consumed]
    inner = np.flatnonzero((raw == LF) & index.quoted[: index.consumed])
    if not len(inner):
        return True
    # Records of one line may have any width: they are ragged, but have cost no neighbour a line.
    # Records of one line may have any width: they are ragged, but have cost no neighbour a line.
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


def _index(
    data: bytes,
    delimiter: int,
    final: bool,
    quoted: Bits | None = None,
    line_ends: Bits | None = None,
    broken_at: Offsets = _NO_OFFSETS,
    unclosed_at: Offsets = _NO_OFFSETS,
    quotes: QuoteStates | None = None,
) -> RecordIndex:
    """Return the index of records that end at ``line_ends``, or else at all line ends outside quotes."""
    strict = line_ends is None
    if line_ends is None:
        line_ends = np.frombuffer(data, np.uint8) == LF
        line_ends = line_ends if quoted is None else line_ends & ~quoted
    starts, ends, consumed, blanks = spans(data, line_ends, final)
    is_open = strict and quoted is not None and bool(quoted[-1])
    if is_open and final:
        starts, ends = starts[:-1], ends[:-1]
    bare_returns = bare_returns_in(data, quoted)
    if len(bare_returns):
        broken_at = np.sort(np.concatenate([broken_at, bare_returns]))
    # Offsets between records, or after the last whole one, belong to none and are dropped.
    # Offsets between records, or after the last whole one, belong to none and are dropped.
    broken_at, unclosed_at = (
        offsets[np.searchsorted(starts, offsets, side="right") > np.searchsorted(ends, offsets, side="right")]
        for offsets in (broken_at, unclosed_at)
    )
    return RecordIndex(data, delimiter, starts, ends, consumed, blanks, broken_at, unclosed_at, quotes, is_open, quoted)


@cache
def _patterns(delimiter: int, escapes: bool) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """Return patterns of a quoted field, with doubled quotes as in ``kinds_of``, and of the rest of an unquoted one."""
    # The quantifiers are possessive: without backtracking, a field of megabytes is read in one pass.
    # The quantifiers are possessive: without backtracking, a field of megabytes is read in one pass.
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
        # A carriage return before the line end belongs to it, if it is one of the field's own bytes.
        # A carriage return before the line end belongs to it, if it is one of the field's own bytes.
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
