"""Find records in a CSV buffer whose quotes are broken, so that a broken record costs none of its neighbours. Pure.

Reading starts anew, outside quotes, at each line. A line with a quoted field that is open at its end goes on in the
lines after it, if the reading ends well: each closing quote is followed by a delimiter or line end, the record has the
header's width, and it is not too long. Otherwise the line alone is a record, a malformed one, and the next line is read
as if nothing had happened. So what becomes of a line depends only on the bytes from that line on, and a chunk that
consists of whole records is read as the file that it was cut from.

However many lines are open, each is read only twice: the quotes of all lines are followed at once, from outside quotes
(a line as the first of a record) and from inside (a line as a continuation). The reading of an open line ends at the
first line after it that, as a continuation, is closed at its end or has a bad closing quote.
"""

from dataclasses import dataclass

import numpy as np

from jobs.csv.quotes import (
    INSIDE,
    LF,
    OUTSIDE,
    QUOTE,
    Bits,
    Offsets,
    QuoteStates,
    ends_field,
    follow_by_line,
    kinds_of,
    running_xor,
)

_NO_OFFSETS = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Resynchronised:
    """The records of a buffer, as a bit for each byte, set at the line ends that end them, and what is broken in them.

    ``quoted`` marks the bytes inside quotes. ``broken_at`` are the offsets of bad closing quotes, and of opening quotes
    that no quote of their record closes; ``unclosed_at`` are those of the latter after which the reading does not end
    before the record limit or the end of the buffer. ``quotes`` are all quotes in the lines, with their meanings.
    """

    line_ends: Bits
    quoted: Bits
    broken_at: Offsets
    unclosed_at: Offsets
    quotes: QuoteStates


@dataclass(frozen=True, slots=True)
class _View:
    """All lines of a buffer, each read from the state ``start``: whether it is open at its end and reads badly."""

    start: int
    quotes: QuoteStates
    toggles: Bits
    bad_at: Offsets
    open: Bits
    bad: Bits


@dataclass(frozen=True, slots=True)
class _Lines:
    """The lines of a buffer that hold quotes: their start and end offsets, shape (n,), the quotes, the first of each.

    Other lines do not matter: as a continuation, such a line goes on.
    """

    data: bytes
    delimiter: int
    starts: Offsets
    ends: Offsets
    at: Offsets
    first: Offsets

    @classmethod
    def of(cls, data: bytes, delimiter: int, final: bool) -> "_Lines":
        """Find the lines; what follows the last line end is one only with ``final``."""
        raw = np.frombuffer(data, np.uint8)
        # Quotes after the last whole line are left out until the rest of that line is there.
        # Quotes after the last whole line are left out until the rest of that line is there.
        at, line_feeds = np.flatnonzero(raw == QUOTE), np.flatnonzero(raw == LF)
        line_ends = np.append(line_feeds, len(data)) if final and not data.endswith(b"\n") else line_feeds
        places, first = np.unique(np.searchsorted(line_ends, at), return_index=True)
        whole = places < len(line_ends)
        places, first = places[whole], np.append(first, len(at))[: np.count_nonzero(whole) + 1]
        starts = np.where(places > 0, line_ends[places - 1] + 1, 0)
        return cls(data, delimiter, starts, line_ends[places], at[: first[-1]], first)

    def __len__(self) -> int:
        return len(self.starts)

    def view(self, kinds: "np.ndarray[tuple[int], np.dtype[np.uint8]]", start: int) -> _View:
        """Read each line from the state ``start``."""
        quotes = follow_by_line(self.at, kinds, self.first[:-1], start)
        opened = quotes.after[self.first[1:] - 1] == INSIDE
        closing = self.at[quotes.closes]
        bad_at = closing[~ends_field(np.frombuffer(self.data, np.uint8), closing + 1, self.delimiter)]
        bad = np.zeros(len(self), np.bool_)
        bad[np.searchsorted(self.starts, bad_at, side="right") - 1] = True
        return _View(start, quotes, quotes.opens | quotes.closes, bad_at, opened, bad)

    def quoted(self, toggles: Bits, at_ends: Bits) -> Bits:
        """Return which bytes are inside quotes, given the quotes and the line ends at which that changes."""
        bounds = np.zeros(len(self.data), np.bool_)
        bounds[self.at[toggles]] = True
        ends = self.ends[at_ends]
        bounds[ends[ends < len(bounds)]] = True
        return running_xor(bounds)

    def delimiters(self, view: _View) -> Offsets:
        """Return the number of delimiters outside quotes in each line, summed up to each line, shape (n + 1,)."""
        outside = np.frombuffer(self.data, np.uint8) == self.delimiter
        # The running xor tells where the state differs from that in which lines start. It is reset at the end of each
        # line that ends in the other state, since each line is read from the same one.
        # The running xor tells where the state differs from that in which lines start. It is reset at the end of each
        # line that ends in the other state, since each line is read from the same one.
        quoted = self.quoted(view.toggles, view.open != (view.start == INSIDE))
        outside &= quoted if view.start == INSIDE else ~quoted
        found = np.flatnonzero(outside)
        counts = np.searchsorted(found, self.ends) - np.searchsorted(found, self.starts)
        return np.concatenate(([0], np.cumsum(counts)))


def resynchronise(data: bytes, delimiter: int, final: bool, width: int, max_bytes: int) -> Resynchronised:
    """Find the records of a buffer that starts at the beginning of a record, under a header of ``width`` fields.

    Without ``final``, the last record is left out if it may go on after the buffer. Records of several lines have up to
    ``max_bytes``; if that is negative, each line is a record.
    """
    lines = _Lines.of(data, delimiter, final)
    kinds = kinds_of(np.frombuffer(data, np.uint8), lines.at, delimiter, escapes=True)
    alone = lines.view(kinds, OUTSIDE)
    nothing = np.zeros(len(lines), np.bool_)
    if max_bytes < 0 or not alone.open.any():
        return _result(lines, alone, alone, nothing, _NO_OFFSETS, nothing)
    continued = lines.view(kinds, INSIDE)
    last = _last_lines(continued)
    # Whether the reading of an open line ends within the limit; if it ends well, it is that of a record.
    # A reading without a last line is at least as long as what is left of the buffer. With ``final``, it never ends:
    # its length is one that is over the limit wherever it begins.
    # A reading without a last line is at least as long as what is left of the buffer. With ``final``, it never ends:
    # its length is one that is over the limit wherever it begins.
    lengths = np.append(lines.ends, len(data) if not final else 2 * len(data) + max_bytes)[last] - lines.starts
    within = alone.open & (lengths <= max_bytes)
    ended = within & (last < len(lines))
    sound = ended & ~alone.bad
    sound[sound] = ~continued.bad[last[sound]]
    if sound.any():
        # The width of a record of several lines: the delimiters of its first line, read alone, and those of the other
        # lines, read as continuations. Lines between them without any quote lie within the quotes and add no field.
        # The width of a record of several lines: the delimiters of its first line, read alone, and those of the other
        # lines, read as continuations. Lines between them without any quote lie within the quotes and add no field.
        first, after = lines.delimiters(alone), lines.delimiters(continued)
        own = np.flatnonzero(sound)
        sound[own] = first[own + 1] - first[own] + after[last[own] + 1] - after[own + 1] == width - 1
    taken = _take(sound, last)
    continuation = _within(taken, last)
    unclosed = alone.open & ~alone.bad & ~within & ~continuation
    result = _result(lines, alone, continued, continuation, taken, unclosed)
    for start, end in zip(lines.starts[taken].tolist(), lines.ends[last[taken]].tolist(), strict=True):
        result.line_ends[start:end] = False
    # The first reading that may still end well after the buffer: it waits for more data, and all lines after it.
    # The first reading that may still end well after the buffer: it waits for more data, and all lines after it.
    incomplete = np.flatnonzero(within & ~ended & ~alone.bad & ~continuation)
    if len(incomplete) and not final:
        result.line_ends[lines.starts[incomplete[0]] :] = False
    return result


def _last_lines(continued: _View) -> Offsets:
    """Return, for each line, the first line after it at which a reading that is open there ends; n if there is none."""
    count = len(continued.open)
    stops = np.where(continued.bad | ~continued.open, np.arange(count), count)
    last = np.full(count, count)
    # The first stop after each line is the running minimum of the stops, from the last line backwards.
    # The first stop after each line is the running minimum of the stops, from the last line backwards.
    last[:-1] = np.minimum.accumulate(stops[:0:-1])[::-1]
    return last


def _take(sound: Bits, last: Offsets) -> Offsets:
    """Return the lines that begin a record of several lines, taken from the top.

    ``sound`` lines may begin one, which goes on up to the line ``last``. Those with the same last line exclude one
    another, so that the first is taken. It is free unless it is itself the last line of a record taken before. That
    depends on whether that one's first line was free, and so on; a run of such records takes every other one.
    """
    lines = np.flatnonzero(sound)
    ends, begins = np.unique(last[lines], return_index=True)
    if not len(ends):
        return _NO_OFFSETS
    first = lines[begins]
    second = np.minimum(begins + 1, np.append(begins[1:], len(lines)) - 1)
    again = np.append(lines, len(last))[second]
    # A group hangs on the one before if its first line is the last one of that.
    hangs = np.zeros(len(ends), np.bool_)
    hangs[1:] = first[1:] == ends[:-1]
    # A group is certainly taken if nothing can block its first line, or if a second line can begin the record instead.
    # Between such groups, a taken one blocks the next, which leaves the one after that free: every other one is taken.
    # A group is certainly taken if nothing can block its first line, or if a second line can begin the record instead.
    # Between such groups, a taken one blocks the next, which leaves the one after that free: every other one is taken.
    has_other = again > first
    certain = ~hangs | has_other
    places = np.arange(len(ends))
    taken = (places - np.maximum.accumulate(np.where(certain, places, 0))) % 2 == 0
    blocked = np.zeros(len(ends), np.bool_)
    blocked[1:] = hangs[1:] & taken[:-1]
    begins_at: Offsets = np.where(blocked, again, first)[taken]
    return begins_at


def _within(taken: Offsets, last: Offsets) -> Bits:
    """Return which lines continue one of the records that begin at the lines ``taken``."""
    # Records do not overlap, so the running sum of their beginnings and ends is 0 or 1.
    # Records do not overlap, so the running sum of their beginnings and ends is 0 or 1.
    steps = np.zeros(len(last) + 1, np.int8)
    np.add.at(steps, taken + 1, 1)
    np.add.at(steps, last[taken] + 1, -1)
    return np.cumsum(steps[:-1], dtype=np.int8) > 0


def _result(
    lines: _Lines, alone: _View, continued: _View, continuation: Bits, taken: Offsets, unclosed: Bits
) -> Resynchronised:
    """Read each line as it stands in its record: alone, or as a continuation. All lines end records still."""
    goes_on = np.zeros(len(lines), np.bool_)
    goes_on[taken] = True
    toggles, quotes, bad_at = alone.toggles, alone.quotes, alone.bad_at
    opened = alone.open & ~continuation & ~goes_on
    if continuation.any():
        of_quotes = np.repeat(continuation, np.diff(lines.first))
        toggles = np.where(of_quotes, continued.toggles, toggles)
        states = ((continued.quotes.before, quotes.before), (continued.quotes.after, quotes.after))
        quotes = QuoteStates(lines.at, *(np.where(of_quotes, *pair) for pair in states))
        bad_at = bad_at[~_line_bits(continuation, lines, bad_at)]
    opening = lines.at[alone.quotes.opens]
    open_at = opening[np.searchsorted(opening, lines.ends[opened]) - 1]
    return Resynchronised(
        np.frombuffer(lines.data, np.uint8) == LF,
        lines.quoted(toggles, opened),
        np.sort(np.concatenate([bad_at, open_at])),
        open_at[unclosed[opened]],
        quotes,
    )


def _line_bits(bits: Bits, lines: _Lines, offsets: Offsets) -> Bits:
    """Return the bits of the lines that contain the offsets."""
    return bits[np.searchsorted(lines.starts, offsets, side="right") - 1]
