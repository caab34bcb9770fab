"""Find records in a CSV buffer whose quotes are broken, so that a broken record does not affect the others. Pure.

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

from jobs.csv.quotes import LF, Bits, Offsets, QuoteReading, QuoteRuns, running_xor

_NO_OFFSETS = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Resynchronised:
    """The records of a buffer, as a bit for each byte, set at the line ends that end them, and what is broken in them.

    ``reading`` is that of the quotes in the lines, and ``cut_at`` are the line ends at which a quoted field ends that
    no quote closes. ``broken_at`` are the offsets of bad closing quotes, and of opening quotes that no quote of their
    record closes; ``unclosed_at`` are those of the latter after which the reading does not end before the record limit
    or the end of the buffer.
    """

    line_ends: Bits
    reading: QuoteReading
    cut_at: Offsets
    broken_at: Offsets
    unclosed_at: Offsets


@dataclass(frozen=True, slots=True)
class _View:
    """Lines of a buffer, all read from outside or ``inside`` quotes: whether each is open at its end, or reads badly.

    ``reading`` is that of the quotes of those lines that ``are_read``; the others are bad, which the first run shows.
    """

    inside: bool
    reading: QuoteReading
    open: Bits
    bad: Bits
    are_read: Bits


@dataclass(frozen=True, slots=True)
class _Lines:
    """The lines of a buffer that hold quotes: their start and end offsets, shape (n,), the quotes, the first of each.

    Other lines do not matter: as a continuation, such a line goes on.
    """

    data: bytes
    delimiter: int
    starts: Offsets
    ends: Offsets
    runs: QuoteRuns
    first: Offsets

    @classmethod
    def of(cls, data: bytes, delimiter: int, final: bool) -> "_Lines":
        """Find the lines; what follows the last line end is one only with ``final``."""
        runs = QuoteRuns.of(data, delimiter, escapes=True)
        line_ends = np.flatnonzero(np.frombuffer(data, np.uint8) == LF)
        if final and not data.endswith(b"\n"):
            line_ends = np.append(line_ends, len(data))
        first = np.concatenate(([0], np.searchsorted(runs.at, line_ends)))
        places = np.flatnonzero(np.diff(first))
        starts = np.where(places > 0, line_ends[places - 1] + 1, 0)
        return cls(data, delimiter, starts, line_ends[places], runs[: first[-1]], np.append(first[places], first[-1]))

    def __len__(self) -> int:
        return len(self.starts)

    def alone(self) -> _View:
        """Read each line as the first of a record."""
        reading = self.runs.read_by_line(self.first[:-1], inside=False)
        opened = reading.after[self.first[1:] - 1]
        return _View(False, reading, opened, self._any(reading.bad), np.ones(len(self), np.bool_))

    def continued(self) -> _View:
        """Read each line as a continuation. Most are bad at once: there, a closing quote begins a field."""
        firsts = self.first[:-1]
        bad = self.runs.odd[firsts] & ~self.runs.ends[firsts]
        some = np.flatnonzero(~bad)
        opened = np.ones(len(self), np.bool_)
        lines = self if len(some) == len(self) else self._some(~bad)
        reading = lines.runs.read_by_line(lines.first[:-1], inside=True)
        if len(some):
            opened[some] = reading.after[lines.first[1:] - 1]
            bad[some] = lines._any(reading.bad)
        return _View(True, reading, opened, bad, _bits(len(self), some))

    def _some(self, wanted: Bits) -> "_Lines":
        counts = np.diff(self.first)
        runs = self.runs[np.repeat(wanted, counts)]
        first = np.concatenate(([0], np.cumsum(counts[wanted])))
        return _Lines(self.data, self.delimiter, self.starts[wanted], self.ends[wanted], runs, first)

    def _any(self, of_runs: Bits) -> Bits:
        """Return whether each line has a run with the bit."""
        found = np.flatnonzero(of_runs)
        counts = np.searchsorted(found, self.first)
        return counts[1:] > counts[:-1]


def _bits(count: int, places: Offsets) -> Bits:
    bits = np.zeros(count, np.bool_)
    bits[places] = True
    return bits


def bytes_in_quotes(size: int, reading: QuoteReading, cut_at: Offsets) -> Bits:
    """Return which bytes are inside quotes, or belong to them; at ``cut_at``, too, one is outside again."""
    bounds = _bits(size, reading.changes_at)
    bounds[cut_at[cut_at < size]] = True
    return running_xor(bounds)


def resynchronise(data: bytes, delimiter: int, final: bool, width: int, max_bytes: int) -> Resynchronised:
    """Find the records of a buffer that starts at the beginning of a record, under a header of ``width`` fields.

    Without ``final``, the last record is left out if it may go on after the buffer. Records of several lines have up to
    ``max_bytes``; if that is negative, each line is a record.
    """
    lines = _Lines.of(data, delimiter, final)
    alone = lines.alone()
    nothing = np.zeros(len(lines), np.bool_)
    if max_bytes < 0 or not alone.open.any():
        return _result(lines, alone, alone, nothing, _NO_OFFSETS, nothing)
    continued = lines.continued()
    last = _last_lines(continued)
    # Whether the reading of an open line ends within the limit; if it ends well, it is that of a record.
    lengths = np.append(lines.ends, len(data) if not final else 2 * len(data) + max_bytes)[last] - lines.starts
    within = alone.open & (lengths <= max_bytes)
    ended = within & (last < len(lines))
    sound = ended & ~alone.bad
    sound[sound] = ~continued.bad[last[sound]]
    # The width of a record of several lines: the delimiters of its first line, read alone, and those of the other
    # lines, read as continuations. Lines between them without any quote lie within the quotes and add no field.
    if sound.any():
        first, after = (_delimiters(lines, view) for view in (alone, continued))
        own = np.flatnonzero(sound)
        sound[own] = first[own + 1] - first[own] + after[last[own] + 1] - after[own + 1] == width - 1
    taken = _take(sound, last)
    continuation = _within(taken, last)
    unclosed = alone.open & ~alone.bad & ~within & ~continuation
    result = _result(lines, alone, continued, continuation, taken, unclosed)
    if len(taken):
        line_feeds = np.flatnonzero(result.line_ends)
        records = np.searchsorted(lines.starts[taken], line_feeds, side="right") - 1
        within_one = (records >= 0) & (line_feeds < lines.ends[last[taken]][records])
        result.line_ends[line_feeds[within_one]] = False
    # The first reading that may still end well after the buffer: it waits for more data, and all lines after it.
    incomplete = np.flatnonzero(within & ~ended & ~alone.bad & ~continuation)
    if len(incomplete) and not final:
        result.line_ends[lines.starts[incomplete[0]] :] = False
    return result


def _delimiters(lines: _Lines, view: _View) -> Offsets:
    """Return the number of delimiters outside quotes in each line that is read, summed up to each, shape (n + 1,)."""
    toggled = bytes_in_quotes(len(lines.data), view.reading, lines.ends[view.open != view.inside])
    delimiters = np.frombuffer(lines.data, np.uint8) == lines.delimiter
    found = np.flatnonzero(delimiters & toggled if view.inside else delimiters & ~toggled)
    counts = np.searchsorted(found, lines.ends) - np.searchsorted(found, lines.starts)
    return np.concatenate(([0], np.cumsum(counts)))


def _last_lines(continued: _View) -> Offsets:
    """Return, for each line, the first line after it at which a reading that is open there ends; n if there is none."""
    count = len(continued.open)
    stops = np.where(continued.bad | ~continued.open, np.arange(count), count)
    last = np.full(count, count)
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
    steps = np.zeros(len(last) + 1, np.int8)
    np.add.at(steps, taken + 1, 1)
    np.add.at(steps, last[taken] + 1, -1)
    return np.cumsum(steps[:-1], dtype=np.int8) > 0


def _result(
    lines: _Lines, alone: _View, continued: _View, continuation: Bits, taken: Offsets, unclosed: Bits
) -> Resynchronised:
    """Read each line as it stands in its record: alone, or as a continuation. All lines end records still."""
    opened = alone.open & ~continuation
    opened[taken] = False
    reading, cut_at = alone.reading, lines.ends[opened]
    if continuation.any():
        counts = np.diff(lines.first)
        of_runs = np.repeat(continuation, counts)
        own = np.repeat(continuation[continued.are_read], counts[continued.are_read])
        before, after = reading.before.copy(), reading.after.copy()
        before[of_runs], after[of_runs] = continued.reading.before[own], continued.reading.after[own]
        reading = QuoteReading(lines.runs, before, after)
    broken_at, open_at = lines.runs.at[reading.bad], _NO_OFFSETS
    if len(cut_at):
        opening = reading.opening_at
        open_at = opening[np.searchsorted(opening, cut_at) - 1]
        broken_at = np.sort(np.concatenate([broken_at, open_at]))
    return Resynchronised(
        np.frombuffer(lines.data, np.uint8) == LF,
        reading,
        cut_at,
        broken_at,
        open_at[unclosed[opened]],
    )
