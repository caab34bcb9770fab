"""The meaning of the quotes in a CSV buffer: whether they open a field, close one or are part of a text. Pure."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Offsets = NDArray[np.int64]
Bits = NDArray[np.bool_]
LF, CR, QUOTE, BACKSLASH = 10, 13, 34, 92
_BLOCK_BYTES = 64 * 1024


def running_xor(bits: Bits) -> Bits:
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


def first_of_equals(ascending: Offsets) -> Offsets:
    """Return the indexes at which runs of equal numbers begin."""
    is_first = np.ones(len(ascending), np.bool_)
    is_first[1:] = ascending[1:] != ascending[:-1]
    return np.flatnonzero(is_first)


def has_escapes(data: bytes) -> bool:
    """Return whether a quote follows a backslash."""
    # To look for two bytes takes far longer than for one, where the latter is common.
    return b"\\" in data and b'\\"' in data


def parity_is_valid(data: bytes, delimiter: int, quoted: Bits, escapes: bool) -> bool:
    """Return whether each quote opens a field, closes one or belongs to a doubled pair; ``quoted`` is their parity.

    With ``escapes``, a quote after a backslash may mean something else, and none is valid.
    """
    if escapes and has_escapes(data):
        return False
    raw = np.frombuffer(data, np.uint8)
    # The blocks below do not look at closing quotes in the last two bytes. The last byte may be one, since nothing
    # follows it; one before it must not be followed by text.
    if data[-2:-1] == b'"' and not quoted[-2] and raw[-1] not in (delimiter, LF, QUOTE):
        return False
    # In blocks that fit into the processor's cache, each overlapping the next by two bytes.
    blocks = (slice(start, start + _BLOCK_BYTES + 2) for start in range(0, len(raw), _BLOCK_BYTES))
    return all(_block_is_valid(raw[block], quoted[block], delimiter) for block in blocks)


def _block_is_valid(raw: NDArray[np.uint8], quoted: Bits, delimiter: int) -> bool:
    """Check a block that may begin anywhere, except its first byte and its last two, which the neighbours cover."""
    # Where ``quoted`` is set at a quote, the quote opens (or is the first of a pair); where it is clear, it closes.
    quotes, line_ends = raw == QUOTE, raw == LF
    neighbours = quotes | (raw == delimiter) | line_ends
    if (quotes[1:] & quoted[1:] & ~neighbours[:-1]).any():
        return False
    neighbours[:-1] |= (raw[:-1] == CR) & line_ends[1:]
    return not (quotes[:-2] & ~quoted[:-2] & ~neighbours[1:-1]).any()


@dataclass(frozen=True, slots=True)
class QuoteRuns:
    """The runs of adjacent quotes of a buffer, ascending, shape (n,).

    ``at`` are the offsets of their first quotes, ``lengths`` their numbers of quotes; None if all are single. Whether
    a run ``begins`` a field or ``ends`` one depends on the bytes around it. An even run, of those that are not ``odd``,
    is made of doubled quotes, or of the two quotes around an empty field.
    """

    at: Offsets
    lengths: Offsets | None
    odd: Bits
    begins: Bits
    ends: Bits

    @classmethod
    def of(cls, data: bytes, delimiter: int, escapes: bool) -> "QuoteRuns":
        """Find the runs.

        With ``escapes``, ``\\""`` before a delimiter or line end is read as an escaped quote and a closing one. Read as
        a doubled pair, it would leave the field open. Text follows the first of them, so that it never ends a field.
        """
        raw = np.frombuffer(data, np.uint8)
        quotes = raw == QUOTE
        between = quotes[1:] & quotes[:-1]
        if not between.any():
            at = last = np.flatnonzero(quotes)
            lengths, odd = None, np.ones(len(at), np.bool_)
        else:
            is_first, is_last = quotes.copy(), quotes
            is_first[1:] &= ~between
            is_last[:-1] &= ~between
            at, last = np.flatnonzero(is_first), np.flatnonzero(is_last)
            lengths = last - at + 1
            odd = (lengths & 1).astype(np.bool_)
        before = raw[at - 1]  # offset 0 wraps around, but always begins a field
        begins = (before == delimiter) | (before == LF)
        begins[:1] |= at[:1] == 0
        ends = ends_field(raw, last + 1, delimiter)
        if escapes and lengths is not None and has_escapes(data):
            escaped = (before == BACKSLASH) & ~begins & (lengths == 2) & ends
            odd, ends = odd | escaped, ends & ~escaped
        return cls(at, lengths, odd, begins, ends)

    def __len__(self) -> int:
        return len(self.at)

    def __getitem__(self, which: slice | Bits | Offsets) -> "QuoteRuns":
        lengths = None if self.lengths is None else self.lengths[which]
        return QuoteRuns(self.at[which], lengths, self.odd[which], self.begins[which], self.ends[which])

    def moved(self, at: Offsets) -> "QuoteRuns":
        """Return the runs at other offsets."""
        return replace(self, at=at)

    def read(self) -> "QuoteReading":
        """Read the quotes from the beginning of a buffer, outside quotes."""
        return self.read_by_line(np.zeros(min(len(self), 1), np.int64), inside=False)

    def read_by_line(self, firsts: Offsets, inside: bool) -> "QuoteReading":
        """Read the quotes of all lines at once, each line as if it began outside quotes, or ``inside`` of them.

        ``firsts`` are the indexes of those runs that are the first ones of their lines.

        An odd run that begins a field changes whether what follows is inside; any other odd run is followed by what is
        outside; an even run changes nothing. So what matters is whether the number of the former is odd since the last
        of the latter. For a line that begins inside, one more is counted.
        """
        changes, resets = self.odd & self.begins, self.odd & ~self.begins
        counted = changes.astype(np.int32)
        if inside:
            counted[firsts] += 1
        counts = np.cumsum(counted, dtype=np.int32)
        base = np.where(resets, counts, np.int32(0))
        base[firsts] = np.where(resets[firsts], counts[firsts], counts[firsts] - counted[firsts])
        after = ((counts ^ np.maximum.accumulate(base)) & 1).astype(np.bool_)
        before = np.empty_like(after)
        before[1:] = after[:-1]
        before[firsts] = inside
        return QuoteReading(self, before, after)


@dataclass(frozen=True)
class QuoteReading:
    """What runs of quotes mean: whether the bytes ``before`` and ``after`` each are inside quotes, shape (n,)."""

    runs: QuoteRuns
    before: Bits
    after: Bits

    @cached_property
    def bad(self) -> Bits:
        """Whether each run closes a quoted field before the field's end."""
        runs = self.runs
        closes = self.before if runs.lengths is None else np.where(self.before, runs.odd, runs.begins & ~runs.odd)
        return closes & ~runs.ends

    @cached_property
    def ordinary(self) -> Bits:
        """Whether the quotes of each run are ordinary characters of an unquoted field."""
        return ~(self.before | self.runs.begins)

    @property
    def opening_at(self) -> Offsets:
        """The offsets of those runs that open a quoted field and leave it open."""
        return self.runs.at[self.after & ~self.before]

    @property
    def changes_at(self) -> Offsets:
        """The offsets of those runs before and after which one is outside quotes, and the other inside."""
        return self.runs.at[self.before ^ self.after]


def ends_field(raw: NDArray[np.uint8], at: Offsets, delimiter: int) -> Bits:
    """Return whether a delimiter, a line end or the end of the buffer is at the offsets, which ascend."""
    here = raw.take(at, mode="clip")
    ends: Bits = (here == delimiter) | (here == LF)
    returns = np.flatnonzero(here == CR)
    if len(returns):
        following = at[returns] + 1
        ends[returns] |= (raw.take(following, mode="clip") == LF) & (following < len(raw))
    beyond = np.searchsorted(at, len(raw))
    ends[beyond:] = True
    return ends
