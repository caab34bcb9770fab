"""The meaning of each quote in a CSV buffer: whether it opens a quoted field, closes one or is part of a text. Pure."""

from dataclasses import dataclass
from math import isqrt

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


def parity_is_valid(data: bytes, delimiter: int, quoted: Bits, escapes: bool) -> bool:
    """Return whether each quote opens a field, closes one or belongs to a doubled pair; ``quoted`` is their parity.

    With ``escapes``, a quote after a backslash may mean something else, and none is valid.
    """
    if escapes and b"\\" in data and b'\\"' in data:
        return False
    raw = np.frombuffer(data, np.uint8)
    # The blocks below do not look at closing quotes in the last two bytes. The last byte may be one, since nothing
    # follows it; one before it must not be followed by text.
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


# States before a quote: outside quotes, inside a quoted field, or just after the first quote of a doubled pair.
OUTSIDE, INSIDE, _PAIR = 0, 1, 2
# State after a quote: one row per kind of quote, (begins a field) + 2 * (a quote follows it), one column per state.
_TRANSITIONS = np.array(
    [
        [OUTSIDE, OUTSIDE, INSIDE],
        [INSIDE, OUTSIDE, INSIDE],
        [OUTSIDE, _PAIR, INSIDE],
        [INSIDE, _PAIR, INSIDE],
    ],
    np.uint8,
)
# Four more kinds of quote, the first ones of their lines: whatever the state before, it is the one that lines begin in.
_BY_LINE_START = {
    start: np.concatenate([_TRANSITIONS, np.repeat(_TRANSITIONS[:, start : start + 1], 3, axis=1)]).ravel()
    for start in (OUTSIDE, INSIDE)
}
_FIRST_IN_LINE = np.uint8(_TRANSITIONS.size)


@dataclass(frozen=True, slots=True)
class QuoteStates:
    """The quotes at the offsets ``at``, shape (n,), and the states before and after each."""

    at: Offsets
    before: NDArray[np.uint8]
    after: NDArray[np.uint8]

    @property
    def opens(self) -> Bits:
        """Whether each quote opens a quoted field."""
        opens: Bits = (self.before == OUTSIDE) & (self.after == INSIDE)
        return opens

    @property
    def closes(self) -> Bits:
        """Whether each quote closes a quoted field."""
        closes: Bits = (self.before == INSIDE) & (self.after == OUTSIDE)
        return closes

    @property
    def ordinary(self) -> Bits:
        """Whether each quote is an ordinary character, outside a quoted field or after its end."""
        ordinary: Bits = (self.before == OUTSIDE) & (self.after == OUTSIDE)
        return ordinary


def follow(at: Offsets, kinds: NDArray[np.uint8]) -> QuoteStates:
    """Follow quotes of the given kinds from the beginning of a buffer, outside quotes."""
    after = _follow(kinds, _TRANSITIONS.ravel())
    return QuoteStates(at, np.concatenate(([np.uint8(OUTSIDE)], after[:-1])), after)


def follow_by_line(at: Offsets, kinds: NDArray[np.uint8], firsts: Offsets, start: int) -> QuoteStates:
    """Follow the quotes of all lines at once, each line from the state ``start``.

    ``firsts`` are the indexes of those quotes that are the first ones of their lines.
    """
    kinds = kinds.copy()
    kinds[firsts] += _FIRST_IN_LINE
    after = _follow(kinds, _BY_LINE_START[start])
    before = np.empty_like(after)
    before[1:] = after[:-1]
    before[firsts] = start
    return QuoteStates(at, before, after)


def kinds_of(raw: NDArray[np.uint8], at: Offsets, delimiter: int, escapes: bool) -> NDArray[np.uint8]:
    """Return the kind of each quote, as the offset of its row in ``_TRANSITIONS``.

    With ``escapes``, ``\\""`` before a delimiter or line end is read as an escaped quote and a closing one. Read as a
    doubled pair, it would leave the field open.
    """
    before = raw[at - 1]  # offset 0 wraps around, but always begins a field
    begins = (before == delimiter) | (before == LF) | (at == 0)
    pairs = np.zeros(len(at), np.bool_)
    pairs[:-1] = at[1:] == at[:-1] + 1
    # Of two quotes after a backslash, only the text after them tells what they are.
    # Of two quotes after a backslash, only the text after them tells what they are.
    escaped = np.flatnonzero(pairs & (before == BACKSLASH)) if escapes else at[:0]
    pairs[escaped[ends_field(raw, at[escaped] + 2, delimiter)]] = False
    kinds: NDArray[np.uint8] = begins.view(np.uint8) + np.uint8(2) * pairs.view(np.uint8)
    return np.uint8(3) * kinds


def ends_field(raw: NDArray[np.uint8], at: Offsets, delimiter: int) -> Bits:
    """Return whether a delimiter, a line end or the end of the buffer is at the offsets."""
    here, following = (np.where(i < len(raw), raw[np.minimum(i, len(raw) - 1)], LF) for i in (at, at + 1))
    returns = (here == CR) & (following == LF) & (at + 1 < len(raw))
    ends: Bits = (here == delimiter) | (here == LF) | returns
    return ends


def _follow(kinds: NDArray[np.uint8], transitions: NDArray[np.uint8]) -> NDArray[np.uint8]:
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
    # Transposed and copied, so that the quotes at one step of all runs are adjacent in memory.
    # Transposed and copied, so that the quotes at one step of all runs are adjacent in memory.
    columns = np.ascontiguousarray(runs.reshape(length, length).T)
    ends = np.repeat(np.arange(3, dtype=np.uint8)[:, None], length, axis=1)
    for column in columns:
        ends = transitions[column + ends]
    state, begins = OUTSIDE, []
    for end in ends.T.tolist():
        begins.append(state)
        state = end[state]
    states = np.array(begins, np.uint8)
    left = np.empty_like(columns)
    for step, column in enumerate(columns):
        left[step] = states = transitions[column + states]
    return left.T.ravel()[: len(kinds)]
