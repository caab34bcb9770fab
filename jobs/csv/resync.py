"""Find records in a CSV buffer whose quotes are broken, so that a broken record does not affect the others. Pure.

Reading starts anew, outside quotes, at each line. A line with a quoted field that is open at its end goes on in the
lines after it, if the reading ends well: each closing quote is followed by a delimiter or line end, the record has the
header's width, and it is not too long. Otherwise the line alone is a record, a malformed one, and the next line is read
as if nothing had happened. So what becomes of a line depends only on the bytes from that line on, and a chunk that
consists of whole records is read as the file that it was cut from.

However many lines are open, each shape of a line is read only twice: from outside quotes (a line as the first of a
record) and from inside (a line as a continuation). The reading of an open line ends at the first line after it that, as
a continuation, is closed at its end or has a bad closing quote.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from jobs.csv.quotes import CR, LF, QUOTE, Bits, Offsets, QuoteReading, QuoteRuns, running_xor
from jobs.csv.shapes import Shapes

_NO_OFFSETS = np.empty(0, np.int64)
# Quotes in a line, on average, of which there are few.
_FEW_QUOTES = 4
_SAMPLE_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class ReadQuotes:
    """How the quotes of a buffer read, and what is broken in it.

    ``cut_at`` are the line ends at which a quoted field ends that no quote closes. ``broken_at`` are the offsets of bad
    closing quotes, and of opening quotes that no quote of their record closes.
    """

    reading: QuoteReading
    cut_at: Offsets
    broken_at: Offsets


@dataclass(frozen=True, slots=True)
class _View:
    """Shapes of lines, all read from outside or ``inside`` quotes: whether each is open at its end, or reads badly."""

    inside: bool
    reading: QuoteReading
    open: Bits
    bad: Bits


@dataclass(frozen=True)
class _LineQuotes:
    """The quotes in the shapes of lines, and the first run of each shape, shape (k + 1,)."""

    shapes: Shapes
    delimiter: int
    runs: QuoteRuns
    first: Offsets

    @classmethod
    def of(cls, shapes: Shapes, delimiter: int) -> "_LineQuotes":
        runs = QuoteRuns.of(shapes.text, delimiter, escapes=True)
        return cls(shapes, delimiter, runs, np.searchsorted(runs.at, shapes.bounds))

    @cached_property
    def alone(self) -> _View:
        """Each shape read as the first line of a record."""
        return self._read(inside=False)

    @cached_property
    def continued(self) -> _View:
        """Each shape read as a continuation."""
        return self._read(inside=True)

    @property
    def filled(self) -> Bits:
        """Which shapes hold quotes."""
        return np.diff(self.first) > 0

    def _read(self, inside: bool) -> _View:
        filled = np.flatnonzero(self.filled)
        reading = self.runs.read_by_line(self.first[filled], inside)
        opened = np.full(len(self.first) - 1, inside)
        opened[filled] = reading.after[self.first[filled + 1] - 1]
        counts = np.searchsorted(np.flatnonzero(reading.bad), self.first)
        return _View(inside, reading, opened, counts[1:] > counts[:-1])

    def delimiters(self, view: _View) -> Offsets:
        """Return the number of delimiters outside quotes in each shape."""
        text, bounds = self.shapes.text, self.shapes.bounds
        toggled = bytes_in_quotes(len(text), view.reading, bounds[1:][view.open != view.inside] - 1)
        delimiters = np.frombuffer(text, np.uint8) == self.delimiter
        found = np.flatnonzero(delimiters & toggled if view.inside else delimiters & ~toggled)
        return np.diff(np.searchsorted(found, bounds))

    @cached_property
    def last_openings(self) -> Offsets:
        """The offset in each shape of the quote that opens the field that is open at its end, if one is, shape (k,)."""
        opening = self.alone.reading.opening_at
        places = np.searchsorted(opening, self.shapes.bounds[1:]) - 1
        return np.append(opening, 0)[places]


@dataclass(frozen=True)
class Resynchronised:
    """The records of a buffer, as a bit for each byte, set at the line ends that end them, and what is broken in them.

    ``unclosed_at`` are the offsets of those opening quotes that no quote of their record closes after which the reading
    does not end before the record limit or the end of the buffer. ``opened`` are the lines that are open at their ends,
    although their records end there, and ``continuation`` those that continue a record, as bits, shape (n,).
    """

    line_ends: Bits
    unclosed_at: Offsets
    opened: Offsets
    continuation: Bits
    quotes: _LineQuotes

    @property
    def shapes(self) -> Shapes:
        """The shapes of the lines."""
        return self.quotes.shapes

    def read(self) -> ReadQuotes:
        """Read the quotes of each line as it stands in its record: alone, or as a continuation."""
        runs, alone = self.quotes.runs, self.quotes.alone.reading
        marks = self.shapes.marks_of(runs.at)
        before, after = alone.before[marks.which], alone.after[marks.which]
        if self.continuation.any():
            of_runs = np.repeat(self.continuation, marks.counts)
            others, which = self.quotes.continued.reading, marks.which[of_runs]
            before[of_runs], after[of_runs] = others.before[which], others.after[which]
        reading = QuoteReading(runs[marks.which].moved(marks.at(runs.at)), before, after)
        shapes = self.shapes
        open_at = shapes.at(self.quotes.last_openings, self.opened)
        return _read_quotes(reading, shapes.at(shapes.bounds[1:] - 1, self.opened), open_at)

    def read_shapes(self) -> ReadQuotes:
        """Read the quotes of each shape alone."""
        alone = self.quotes.alone
        ends = self.shapes.bounds[1:] - 1
        return _read_quotes(alone.reading, ends[alone.open], self.quotes.last_openings[alone.open])


def _read_quotes(reading: QuoteReading, cut_at: Offsets, open_at: Offsets) -> ReadQuotes:
    broken_at = reading.runs.at[reading.bad]
    return ReadQuotes(reading, cut_at, np.sort(np.concatenate([broken_at, open_at])) if len(open_at) else broken_at)


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
    ``max_bytes``; if that is negative, each line is a record, and the shapes keep all delimiters.
    """
    # Where lines have many quotes, those with short texts in them and those with longer ones differ beside the quotes.
    sample = data[:_SAMPLE_BYTES]
    has_few = sample.count(b'"') < _FEW_QUOTES * sample.count(b"\n")
    shapes = Shapes.of(data, delimiter, final, of_quotes=max_bytes >= 0 and has_few)
    quotes = _LineQuotes.of(shapes, delimiter)
    line_ends = np.frombuffer(data, np.uint8) == LF
    nothing = np.zeros(len(shapes), np.bool_)
    alone_open = quotes.alone.open[shapes.codes]
    if max_bytes < 0 or not alone_open.any():
        return Resynchronised(line_ends, _NO_OFFSETS, np.flatnonzero(alone_open), nothing, quotes)
    # Lines without quotes do not matter: as a continuation, such a line goes on.
    lines = np.flatnonzero(quotes.filled[shapes.codes])
    codes, starts, ends = shapes.codes[lines], shapes.starts[lines], shapes.ends[lines]
    opened, alone_bad = alone_open[lines], quotes.alone.bad[codes]
    continued_bad = quotes.continued.bad[codes]
    last = _last_lines(continued_bad | ~quotes.continued.open[codes])
    # Whether the reading of an open line ends within the limit; if it ends well, it is that of a record.
    lengths = np.append(ends, len(data) if not final else 2 * len(data) + max_bytes)[last] - starts
    within = opened & (lengths <= max_bytes)
    ended = within & (last < len(lines))
    sound = ended & ~alone_bad
    sound[sound] = ~continued_bad[last[sound]]
    # The width of a record of several lines: the delimiters of its first line, read alone, and those of the other
    # lines, read as continuations. Lines between them without any quote lie within the quotes and add no field.
    if sound.any():
        whole = _LineQuotes.of(Shapes.of(data, delimiter, final), delimiter) if has_few else quotes
        first, after = (whole.delimiters(view)[whole.shapes.codes[lines]] for view in (whole.alone, whole.continued))
        after = np.append(0, np.cumsum(after))
        own = np.flatnonzero(sound)
        sound[own] = first[own] + after[last[own] + 1] - after[own + 1] == width - 1
    taken = _take(sound, last)
    within_one = _within(taken, last)
    unclosed = opened & ~alone_bad & ~within & ~within_one
    continuation = nothing
    continuation[lines] = within_one
    opened[taken] = False
    if len(taken):
        line_feeds = np.flatnonzero(line_ends)
        records = np.searchsorted(starts[taken], line_feeds, side="right") - 1
        inner = (records >= 0) & (line_feeds < ends[last[taken]][records])
        line_ends[line_feeds[inner]] = False
    # The first reading that may still end well after the buffer: it waits for more data, and all lines after it.
    incomplete = np.flatnonzero(within & ~ended & ~alone_bad & ~within_one)
    if len(incomplete) and not final:
        line_ends[starts[incomplete[0]] :] = False
    return Resynchronised(
        line_ends,
        shapes.at(quotes.last_openings, lines[unclosed]),
        lines[opened & ~within_one],
        continuation,
        quotes,
    )


def record_ends(data: bytes, delimiter: int, final: bool, width: int, max_bytes: int) -> tuple[Bits, Offsets]:
    """Return the ``line_ends`` and ``unclosed_at`` of ``resynchronise``, but read no more lines than it takes."""
    start = 0
    sample = data[:_SAMPLE_BYTES]
    if _first_doubtful_line(sample, delimiter, False, max_bytes) > len(sample) // 2:
        start = _first_doubtful_line(data, delimiter, final, max_bytes)
    found = resynchronise(data[start:], delimiter, final, width, max_bytes)
    if not start:
        return found.line_ends, found.unclosed_at
    line_ends = np.frombuffer(data, np.uint8) == LF
    line_ends[start:] = found.line_ends
    return line_ends, start + found.unclosed_at


def _first_doubtful_line(data: bytes, delimiter: int, final: bool, max_bytes: int) -> int:
    """Return the offset of the first line that may go on in another one; those before it are records.

    A line with a text after its first quote continues no other one: there, that quote would be a bad closing one.
    """
    raw = np.frombuffer(data, np.uint8)
    quotes, ends = np.flatnonzero(raw == QUOTE), np.flatnonzero(raw == LF)
    if final and not data.endswith(b"\n"):
        ends = np.append(ends, len(data))
    first = np.concatenate(([0], np.searchsorted(quotes, ends)))
    lines = np.flatnonzero(np.diff(first))
    if not len(lines):
        return 0
    starts = np.append(0, ends[:-1] + 1)[lines]
    # Reading may also end at the limit, before the next line with a quote.
    if (np.diff(ends[lines]) + ends[lines][:-1] - starts[:-1] > max_bytes).any():
        return 0
    following = raw.take(quotes[first[lines]] + 1, mode="clip")
    may_continue = np.isin(following, [QUOTE, delimiter, LF, CR])
    may_continue[-1] |= quotes[first[lines[-1]]] + 1 == len(raw)
    place = int(np.argmax(may_continue)) if may_continue.any() else len(lines)
    return int(starts[max(place - 1, 0)])


def _last_lines(ending: Bits) -> Offsets:
    """Return, for each line, the first line after it that ends a reading, if it is one of it; n if there is none."""
    count = len(ending)
    stops = np.where(ending, np.arange(count), count)
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
