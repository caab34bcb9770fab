"""Index of a CSV buffer: where each record begins and ends, and how many fields it has. Pure: no input or output.

The grammar is that of RFC 4180 with any of four delimiters. A field that begins with a quote ends at its closing quote;
in any other field a quote is an ordinary character. A line end within quotes does not end a record.

``index_records`` needs a few passes of numpy, whatever the number of records:

1. Without a quote in the buffer, records end at the newlines.
2. With quotes, a byte stands inside quotes if the number of quotes up to it is odd: a running xor over the positions of
   quotes. The two quotes of a doubled pair (``""``) cancel out. Records end at the newlines outside.
3. Parity is wrong as soon as one quote stands where the grammar allows none (``6" nail``). So the neighbours of each
   quote are checked: an opening one must follow a delimiter or line end, a closing one must precede one. If any fails
   the check, a state machine follows the quotes alone (``_QuoteReader``), which is exact and several times slower.

``read_record`` reads a single record by the same grammar, field by field; property tests compare the two.
"""

import re
from dataclasses import dataclass, field
from functools import cache
from math import isqrt

import numpy as np
from numpy.typing import NDArray

Offsets = NDArray[np.int64]
_LF, _CR, _QUOTE, _BACKSLASH = 10, 13, 34, 92
_BLOCK_BYTES = 64 * 1024
_NO_OFFSETS = np.empty(0, np.int64)
# Where lines are shorter on average, many of them may be blank.
_MIN_BYTES_PER_LINE = 4
# One more than the largest header: enough to see that a record is too wide.
MAX_FIELDS = 2001


@dataclass(frozen=True, slots=True)
class ReadRecord:
    """A record read field by field: its field boundaries, and whether it breaks the grammar.

    ``fields`` holds (start, end) offsets in the buffer, including quotes, of up to ``MAX_FIELDS`` fields; ``count`` is
    the number of all fields and ``longest`` the length of the longest. ``open_at`` is the offset of a quoted field that
    does not end within the buffer.
    """

    fields: tuple[tuple[int, int], ...]
    count: int
    longest: int
    end: int
    malformed: bool
    open_at: int | None = None


@dataclass(frozen=True, slots=True)
class RecordIndex:
    """The records of ``data``: start and end offsets, shape (n,), without line ends and without blank lines.

    ``consumed`` is the offset after the last whole record and its line end. ``broken_at`` holds the offsets, ascending,
    of what breaks the grammar: closing quotes followed by text, and bare carriage returns. ``open_at`` is the offset of
    a quoted field that is still open at the end of the buffer. ``quoted`` marks the bytes inside quotes; None without
    quotes.
    """

    data: bytes
    delimiter: int
    starts: Offsets
    ends: Offsets
    consumed: int
    has_blank_lines: bool
    broken_at: Offsets = field(default_factory=_NO_OFFSETS.copy)
    open_at: int | None = None
    quoted: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.starts)

    def record(self, number: int) -> bytes:
        """Return the bytes of one record, without its line end."""
        return self.data[self.starts[number] : self.ends[number]]

    @property
    def malformed(self) -> Offsets:
        """Indexes of the records that break the grammar, ascending."""
        return np.unique(self.owners(self.broken_at))

    def owners(self, offsets: Offsets) -> Offsets:
        """Return the indexes of the records that contain the offsets."""
        return np.searchsorted(self.starts, offsets, side="right") - 1

    def delimiter_offsets(self) -> Offsets:
        """Return the offsets of the delimiters outside quotes."""
        delimiters = np.frombuffer(self.data, np.uint8) == self.delimiter
        return np.flatnonzero(delimiters if self.quoted is None else delimiters & ~self.quoted)

    def field_counts(self) -> Offsets:
        """Return the number of fields of each record, shape (n,)."""
        delimiters = self.delimiter_offsets()
        return np.searchsorted(delimiters, self.ends) - np.searchsorted(delimiters, self.starts) + 1

    def fields(self, number: int) -> list[bytes]:
        """Return the fields of one record as they stand, including quotes; at most ``MAX_FIELDS``."""
        read = read_record(self.data, int(self.starts[number]), int(self.ends[number]), self.delimiter)
        return [self.data[start:end] for start, end in read.fields]


def index_records(data: bytes, delimiter: int, final: bool) -> RecordIndex:
    """Index the records of a buffer that starts at the beginning of a record.

    What follows the last line end outside quotes counts as a record only with ``final``.
    """
    if b'"' not in data:  # also true of an empty buffer
        return _index(data, delimiter, final)
    quoted = _running_xor(np.frombuffer(data, np.uint8) == _QUOTE)
    if _quotes_are_valid(data, delimiter, quoted):
        return _index(data, delimiter, final, quoted, data.rfind(b'"'))
    reader = _QuoteReader.read(data, delimiter)
    return _index(data, delimiter, final, reader.quoted, reader.last_opening, reader.broken_at)


def as_field(text: str, delimiter: str) -> bytes:
    """Encode a text as a CSV field, quoted if necessary; lone surrogates become question marks."""
    if any(special in text for special in (delimiter, '"', "\r", "\n")):
        text = '"' + text.replace('"', '""') + '"'
    return text.encode("utf-8", "replace")


def unquote(text: bytes) -> bytes:
    """Return a field's value: without enclosing quotes, doubled quotes replaced by single ones."""
    if len(text) > 1 and text[0] == _QUOTE and text[-1] == _QUOTE:
        return text[1:-1].replace(b'""', b'"')
    return text


def _index(
    data: bytes,
    delimiter: int,
    final: bool,
    quoted: NDArray[np.bool_] | None = None,
    last_opening: int = 0,
    broken_at: Offsets = _NO_OFFSETS,
) -> RecordIndex:
    line_ends = np.frombuffer(data, np.uint8) == _LF
    starts, ends, consumed, blanks = _spans(data, line_ends if quoted is None else line_ends & ~quoted, final)
    open_at = last_opening if quoted is not None and quoted[-1] else None
    if open_at is not None and final:
        starts, ends = starts[:-1], ends[:-1]
    suspects = np.sort(np.concatenate([broken_at, _bare_returns(data, quoted)]))
    within = np.searchsorted(starts, suspects, side="right") > np.searchsorted(ends, suspects, side="right")
    return RecordIndex(data, delimiter, starts, ends, consumed, blanks, suspects[within], open_at, quoted)


def _spans(data: bytes, line_ends: NDArray[np.bool_], final: bool) -> tuple[Offsets, Offsets, int, bool]:
    """Return starts and ends of the records, the offset after the last line end, and whether lines were blank."""
    lines = int(np.count_nonzero(line_ends))
    if _MIN_BYTES_PER_LINE * lines < len(data):
        first_ends = last_ends = np.flatnonzero(line_ends)
    else:
        first_ends, last_ends = _runs_of_line_ends(data, line_ends)
    consumed = int(last_ends[-1]) + 1 if len(last_ends) else 0
    if final and consumed < len(data):
        first_ends = np.append(first_ends, len(data))
        consumed, lines = len(data), lines + 1
    starts = np.zeros_like(first_ends)
    starts[1:] = last_ends[: max(len(first_ends) - 1, 0)] + 1
    ends = first_ends - _ended_by_crlf(data, first_ends)
    filled = ends > starts
    if filled.all():
        return starts, ends, consumed, lines > len(starts)
    return starts[filled], ends[filled], consumed, True


def _runs_of_line_ends(data: bytes, line_ends: NDArray[np.bool_]) -> tuple[Offsets, Offsets]:
    """Return the offsets of the first and the last line end of each run of line ends with nothing between them.

    A few bytes of a compressed upload may be a million blank lines, which cost far less as bits than as offsets.
    """
    raw = np.frombuffer(data, np.uint8)
    firsts, lasts = [_NO_OFFSETS], [_NO_OFFSETS]
    # In blocks that fit into the processor's cache, each with two bytes more at either side, on which its edges depend.
    for start in range(0, len(raw), _BLOCK_BYTES):
        low = max(start - 2, 0)
        block, own = slice(low, start + _BLOCK_BYTES + 2), slice(start - low, start - low + _BLOCK_BYTES)
        blank = _between_records(raw[block], line_ends[block])
        firsts.append(start + np.flatnonzero((blank > np.concatenate(([False], blank[:-1])))[own]))
        lasts.append(start + np.flatnonzero((blank > np.concatenate((blank[1:], [False])))[own]))
    return np.concatenate(firsts), np.concatenate(lasts)


def _between_records(raw: NDArray[np.uint8], line_ends: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which bytes are line ends, or the carriage return of a CRLF that is a line of its own."""
    begins_line = np.concatenate(([True], line_ends[:-1]))
    before_line_end = np.concatenate((line_ends[1:], [False]))
    between: NDArray[np.bool_] = line_ends | ((raw == _CR) & begins_line & before_line_end)
    return between


def _ended_by_crlf(data: bytes, line_ends: Offsets) -> NDArray[np.bool_]:
    before: NDArray[np.bool_] = (
        np.frombuffer(data, np.uint8)[line_ends - 1] == _CR
    )  # index -1 wraps around for a line end at offset 0; corrected below
    if len(line_ends):
        before[0] &= line_ends[0] > 0
        before[-1] &= line_ends[-1] < len(data)
    return before


def _bare_returns(data: bytes, quoted: NDArray[np.bool_] | None) -> Offsets:
    """Return the offsets of carriage returns outside quotes; none if all of them belong to a CRLF."""
    if b"\r" not in data or data.count(b"\r") == data.count(b"\r\n"):
        return _NO_OFFSETS
    returns = np.frombuffer(data, np.uint8) == _CR
    return np.flatnonzero(returns if quoted is None else returns & ~quoted)


def _running_xor(bits: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return, for each position, whether the number of set bits up to and including it is odd.

    A prefix xor over 64-bit words: six shifts make each bit the parity of those before it in its word; then each word
    is inverted if the words before it have odd parity together.
    """
    packed = np.packbits(bits, bitorder="little")
    words = np.zeros(-(-len(packed) // 8), "<u8")
    words.view(np.uint8)[: len(packed)] = packed
    for shift in (1, 2, 4, 8, 16, 32):
        words ^= words << np.uint64(shift)
    words[1:] ^= np.uint64(0) - np.bitwise_xor.accumulate(words >> np.uint64(63))[:-1]
    return np.unpackbits(words.view(np.uint8), count=len(bits), bitorder="little").view(np.bool_)


def _quotes_are_valid(data: bytes, delimiter: int, quoted: NDArray[np.bool_]) -> bool:
    """Return whether each quote opens a field, closes one or belongs to a doubled pair; ``quoted`` is their parity."""
    if b"\\" in data and b'\\"' in data:
        return False
    raw = np.frombuffer(data, np.uint8)
    if data[-2:-1] == b'"' and not quoted[-2] and raw[-1] not in (delimiter, _LF, _QUOTE):
        return False
    # In blocks that fit into the processor's cache, each overlapping the next by two bytes.
    blocks = (slice(start, start + _BLOCK_BYTES + 2) for start in range(0, len(raw), _BLOCK_BYTES))
    return all(_block_is_valid(raw[block], quoted[block], delimiter) for block in blocks)


def _block_is_valid(raw: NDArray[np.uint8], quoted: NDArray[np.bool_], delimiter: int) -> bool:
    """Check a block that may begin anywhere, except its first byte and its last two, which the neighbours cover."""
    # Where ``quoted`` is set at a quote, the quote opens (or is the first of a pair); where it is clear, it closes.
    quotes, line_ends = raw == _QUOTE, raw == _LF
    neighbours = quotes | (raw == delimiter) | line_ends
    if (quotes[1:] & quoted[1:] & ~neighbours[:-1]).any():
        return False
    neighbours[:-1] |= (raw[:-1] == _CR) & line_ends[1:]
    return not (quotes[:-2] & ~quoted[:-2] & ~neighbours[1:-1]).any()


# States before a quote: outside quotes, inside a quoted field, or just after the first quote of a doubled pair.
_OUTSIDE, _INSIDE, _PAIR = 0, 1, 2
# State after a quote: one row per kind of quote, (begins a field) + 2 * (a quote follows it), one column per state.
_TRANSITIONS = np.array(
    [
        [_OUTSIDE, _OUTSIDE, _INSIDE],
        [_INSIDE, _OUTSIDE, _INSIDE],
        [_OUTSIDE, _PAIR, _INSIDE],
        [_INSIDE, _PAIR, _INSIDE],
    ],
    np.uint8,
).ravel()


@dataclass(frozen=True, slots=True)
class _QuoteReader:
    """The meaning of each quote in any buffer, by the grammar of ``read_record``."""

    quoted: NDArray[np.bool_]
    last_opening: int
    broken_at: Offsets

    @classmethod
    def read(cls, data: bytes, delimiter: int) -> "_QuoteReader":
        """Follow the quotes from the beginning of the buffer."""
        raw = np.frombuffer(data, np.uint8)
        at = np.flatnonzero(raw == _QUOTE)
        after = _follow(_kinds(raw, at, delimiter))
        before = np.concatenate(([_OUTSIDE], after[:-1]))
        opening = at[(before == _OUTSIDE) & (after == _INSIDE)]
        closing = at[(before == _INSIDE) & (after == _OUTSIDE)]
        bounds = np.zeros(len(raw), np.bool_)
        bounds[opening] = bounds[closing] = True
        broken = closing[~_ends_field(raw, closing + 1, delimiter)]
        return cls(_running_xor(bounds), int(opening[-1]) if len(opening) else 0, broken)


def _kinds(raw: NDArray[np.uint8], at: Offsets, delimiter: int) -> NDArray[np.uint8]:
    """Return the kind of each quote, as the offset of its row in ``_TRANSITIONS``.

    ``\\""`` before a delimiter or line end is read as an escaped quote and a closing one. Read as a doubled pair, it
    would leave the field open and swallow the records that follow.
    """
    before = raw[at - 1]  # offset 0 wraps around, but always begins a field
    begins = (before == delimiter) | (before == _LF) | (at == 0)
    pairs = np.zeros(len(at), np.bool_)
    pairs[:-1] = at[1:] == at[:-1] + 1
    escaped = np.flatnonzero(pairs & (before == _BACKSLASH))
    pairs[escaped[_ends_field(raw, at[escaped] + 2, delimiter)]] = False
    kinds: NDArray[np.uint8] = begins.view(np.uint8) + np.uint8(2) * pairs.view(np.uint8)
    return np.uint8(3) * kinds


def _ends_field(raw: NDArray[np.uint8], at: Offsets, delimiter: int) -> NDArray[np.bool_]:
    """Return whether a delimiter, a line end or the end of the buffer is at the offsets."""
    here, following = (np.where(i < len(raw), raw[np.minimum(i, len(raw) - 1)], _LF) for i in (at, at + 1))
    returns = (here == _CR) & (following == _LF) & (at + 1 < len(raw))
    ends: NDArray[np.bool_] = (here == delimiter) | (here == _LF) | returns
    return ends


def _follow(kinds: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the state after each quote, starting outside quotes.

    A state machine is sequential, which numpy cannot vectorise directly. So the n quotes are split into √n runs of √n
    quotes. First, all runs are followed side by side from each of the three possible states, which gives a map from
    start to end state per run. Then the maps are chained, in √n plain steps, to the state in which each run really
    starts. Last, all runs are followed side by side once more from these states. That is 4 √n numpy calls on arrays of
    length √n.
    """
    length = isqrt(len(kinds)) + 1
    runs = np.zeros(length * length, np.uint8)
    runs[: len(kinds)] = kinds
    columns = np.ascontiguousarray(runs.reshape(length, length).T)
    ends = np.repeat(np.arange(3, dtype=np.uint8)[:, None], length, axis=1)
    for column in columns:
        ends = _TRANSITIONS[column + ends]
    state, begins = _OUTSIDE, []
    for end in ends.T.tolist():
        begins.append(state)
        state = end[state]
    states = np.array(begins, np.uint8)
    left = np.empty_like(columns)
    for step, column in enumerate(columns):
        left[step] = states = _TRANSITIONS[column + states]
    return left.T.ravel()[: len(kinds)]


@cache
def _patterns(delimiter: int) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """Return patterns of a quoted field, with doubled quotes as in ``_kinds``, and of the rest of an unquoted one."""
    stop = re.escape(bytes([delimiter]))
    pair = rb'(?:(?<!\\)""|(?<=\\)""(?!' + stop + rb"|\r?\n|\Z))"
    quoted = re.compile(rb'"[^"]*+(?:' + pair + rb'[^"]*+)*+"')
    return quoted, re.compile(rb"[^\n" + stop + rb"]*+")


def read_record(data: bytes, start: int, stop: int, delimiter: int) -> ReadRecord:
    """Read the record at ``start`` field by field, up to a line end outside quotes or ``stop``."""
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
    end = line_end - 1 if line_end < stop and data[line_end - 1] == _CR and line_end > position else line_end
    rest = np.frombuffer(data, np.uint8, end - position, position)
    bounds = np.concatenate(([-1], np.flatnonzero(rest == delimiter), [end - position]))
    longest = max(read.longest, int(np.diff(bounds).max()) - 1)
    malformed = read.malformed or b"\r" in data[position:end]
    return ReadRecord(read.fields, read.count + len(bounds) - 1, longest, end, malformed)
