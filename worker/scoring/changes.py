"""Find the quotes whose removal or doubling makes a broken record one of the header's width. Pure.

What comes before a changed quote reads as before. After it, what was inside quotes is outside and the other way round,
up to the next odd run of quotes that does not begin a field: outside quotes it is ordinary, inside it closes, and in
either case the rest reads as before. So whether a changed record is sound follows from the reading of the record as it
stands, without writing the changed one, and few of its quotes need to be looked at: those between the last place at
which the readings may meet before the last bad quote, and the first bad quote.
"""

from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.csv.quotes import BACKSLASH, CR, LF, QUOTE, Bits, QuoteReading, QuoteRuns, has_escapes
from jobs.csv.records import RecordIndex
from jobs.csv.shapes import Shapes
from worker.scoring.render import slices

# Quotes in a record, at most, for a repair to be looked for.
MAX_QUOTES = 64

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Changes:
    """Quotes at ``at`` of the records ``rows`` to be taken away, or ``doubled``, shape (n,), in order.

    Each gives a record of the header's width whose quotes are sound. It is not known of those that are ``unsure``
    whether a quoted text begins inside an unquoted field and ends in another. The field with the quote is that of the
    ``columns``; it is at ``begins`` up to ``ends``.
    """

    rows: Numbers
    at: Numbers
    doubled: Bits
    unsure: Bits
    columns: Numbers
    begins: Numbers
    ends: Numbers

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, places: Numbers | Bits) -> Self:
        """Return some of the changes."""
        return type(self)(*(getattr(self, one.name)[places] for one in fields(self)))

    def of_lines(self, shapes: Shapes, lines: Numbers) -> Self:
        """Return the changes of lines, if these are the changes of their shapes."""
        marks = shapes.marks_of(self.at, lines)
        at, begins, ends = map(marks.at, (self.at, self.begins, self.ends))
        rows = np.repeat(lines, marks.counts)
        return replace(self.take(marks.which), rows=rows, at=at, begins=begins, ends=ends)

    def written(self, data: bytes, begins: Numbers, ends: Numbers) -> tuple[pa.BinaryArray, pa.BinaryArray]:
        """Return the changed texts at these offsets, each as two parts, before the change and after it."""
        until = np.where(self.doubled, self.at + 1, self.at)
        return slices(data, begins, until), slices(data, np.where(self.doubled, self.at, self.at + 1), ends)


def find_changes(index: RecordIndex, rows: Numbers, width: int, columns: Collection[int]) -> Changes:
    """Return the changes that make records of the header's width out of the broken records ``rows``.

    Left out are records of which all changes would be in other ``columns`` than the model's, and in two ways each; and
    those that are only too narrow, with no quote that is an ordinary character: these lack a delimiter, not a quote.
    """
    if index.shaped:
        shapes = index.shaped.shapes
        of_shapes = find_changes(index.shaped.index, np.unique(shapes.codes[rows]), width, columns)
        return of_shapes.of_lines(shapes, rows)
    quotes = _Quotes(index.read_quotes())
    records = _Records.of(quotes, index, _repairable(index, rows))
    records = records.take(~records.lack_a_delimiter(quotes, index, width))
    places = records.usable_runs(quotes, index)
    places = places.take(_are_sound(places, records, quotes))
    places = places.take(_field_counts(places, records, quotes, index) == width)
    places = places.take(_may_be_only_readings(places, records, quotes, index, columns))
    return _changes(places, records, quotes, index)


def _repairable(index: RecordIndex, rows: Numbers) -> Numbers:
    """Return those of the broken records that have one line and no quotes escaped by a backslash."""
    data, starts, ends = index.data, index.starts[rows], index.ends[rows]
    raw = np.frombuffer(data, np.uint8)
    wanted = ends - starts > 1
    line_feeds = raw == LF
    unwanted = [line_feeds] if np.count_nonzero(line_feeds) > len(index) else []
    if b"\r" in data and data.count(b"\r") > data.count(b"\r\n"):
        unwanted.append(raw == CR)
    if has_escapes(data):
        unwanted.append((raw[:-1] == BACKSLASH) & (raw[1:] == QUOTE))
    for at in map(np.flatnonzero, unwanted):
        wanted &= np.searchsorted(at, ends) == np.searchsorted(at, starts)
    wanted_rows: Numbers = rows[wanted]
    return wanted_rows


@dataclass(frozen=True)
class _Quotes:
    """The runs of quotes of a buffer, shape (n,), how they read, and how they would read otherwise."""

    reading: QuoteReading

    @property
    def runs(self) -> QuoteRuns:
        """The runs."""
        return self.reading.runs

    @cached_property
    def ordinary(self) -> Bits:
        """Whether the quotes of each run are ordinary characters."""
        return self.reading.ordinary

    @cached_property
    def meetings(self) -> Numbers:
        """The runs after which one is outside quotes, whatever was before; at the end, the number of all runs."""
        return np.append(np.flatnonzero(self.runs.odd & ~self.runs.begins), len(self.runs))

    @cached_property
    def bad_otherwise(self) -> Bits:
        """Whether each run would be bad if what is before it were inside quotes instead of outside, or outside."""
        runs, before = self.runs, self.reading.before
        shuts = ~before if runs.lengths is None else np.where(before, runs.begins & ~runs.odd, runs.odd)
        return shuts & ~runs.ends

    def first_meeting(self, after: Numbers) -> Numbers:
        """Return the first of the meetings after each of the runs."""
        return self.meetings[np.searchsorted(self.meetings, after, side="right")]


@dataclass(frozen=True, slots=True)
class _Records:
    """Broken records, shape (n,): their rows, their runs of quotes, from ``firsts`` up to ``stops``, and how they read.

    ``are_bad``: with a bad quote; ``are_open``: inside quotes at the end. A change at one of the runs from ``low`` up
    to ``high`` may mend them.
    """

    rows: Numbers
    firsts: Numbers
    stops: Numbers
    are_bad: Bits
    are_open: Bits
    low: Numbers
    high: Numbers

    @classmethod
    def of(cls, quotes: _Quotes, index: RecordIndex, rows: Numbers) -> "_Records":
        """Return those of the records with quotes, but not too many of them."""
        runs, reading = quotes.runs, quotes.reading
        bounds = np.append(np.searchsorted(runs.at, index.starts), np.searchsorted(runs.at, index.ends[-1:]))
        firsts, stops = bounds[rows], bounds[rows + 1]
        counts = stops - firsts
        if runs.lengths is not None:
            totals = np.concatenate(([0], np.cumsum(runs.lengths)))
            counts = totals[stops] - totals[firsts]
        few = (counts > 0) & (counts <= MAX_QUOTES)
        rows, firsts, stops = rows[few], firsts[few], stops[few]
        bad = np.concatenate(([-1], np.flatnonzero(reading.bad), [len(runs)]))
        first_bad = bad[np.searchsorted(bad, firsts)]
        last_bad = bad[np.searchsorted(bad, stops) - 1]
        are_bad, are_open = last_bad >= firsts, reading.after[stops - 1]
        # A bad quote must read otherwise, or the end if it is open: the readings must not meet before it.
        changed = np.where(are_open, stops, np.where(are_bad, last_bad, firsts))
        meetings = np.concatenate(([-1], quotes.meetings))
        low = np.maximum(meetings[np.searchsorted(meetings, changed) - 1], firsts)
        return cls(rows, firsts, stops, are_bad, are_open, low, np.minimum(first_bad + 1, stops))

    def take(self, chosen: Bits) -> "_Records":
        """Return the chosen ones."""
        if chosen.all():
            return self
        return _Records(*(getattr(self, one.name)[chosen] for one in fields(self)))

    def lack_a_delimiter(self, quotes: _Quotes, index: RecordIndex, width: int) -> Bits:
        """Return which of the records are too narrow although all of their quotes enclose fields, or are doubled."""
        lacking: Bits = ~self.are_bad & ~self.are_open & (index.field_counts[self.rows] < width)
        if lacking.any():
            lacking &= _count(quotes.ordinary, self.firsts, self.stops) == 0
        return lacking

    def usable_runs(self, quotes: _Quotes, index: RecordIndex) -> "_Places":
        """Return the runs at which a change may mend the records."""
        runs, before = quotes.runs, quotes.reading.before
        # Nothing helps if the next run is bad then.
        usable = np.append(~quotes.bad_otherwise[1:], True)
        usable[self.stops - 1] = True
        if runs.lengths is not None:
            # A doubled quote, changed, closes a field; of a run of three that opens one, two are left, or four.
            closes = np.where(before, ~runs.odd, runs.begins & runs.odd & (runs.lengths > 1))
            usable &= ~closes | runs.ends
        if quotes.ordinary.any():
            usable &= ~quotes.ordinary
            if len(index.crossed):
                crossed = np.isin(self.rows, index.crossed, assume_unique=True) & ~self.are_bad
                usable |= quotes.ordinary & _within(len(runs), self.firsts[crossed], self.stops[crossed])
        found = np.flatnonzero(usable)
        begins = np.searchsorted(found, self.low)
        counts = np.maximum(np.searchsorted(found, self.high) - begins, 0)
        which = np.repeat(np.arange(len(self.rows)), counts)
        chosen = found[np.arange(len(which)) + np.repeat(begins - np.cumsum(counts) + counts, counts)]
        until = np.minimum(quotes.first_meeting(chosen), self.stops[which])
        return _Places(which, chosen, np.where(quotes.ordinary[chosen], chosen, until))


def _within(count: int, firsts: Numbers, stops: Numbers) -> Bits:
    """Return which of the indexes up to ``count`` are in one of the ranges, which do not overlap."""
    steps = np.zeros(count + 1, np.int8)
    steps[firsts] += 1
    steps[stops] -= 1
    return np.cumsum(steps[:-1], dtype=np.int8) > 0


@dataclass(frozen=True, slots=True)
class _Places:
    """Runs to be changed, shape (n,), the places ``which`` of their records, and the last runs to read otherwise.

    The latter, ``until``, is the run itself if its quotes are ordinary, and the end of the record if all that follows
    reads otherwise.
    """

    which: Numbers
    runs: Numbers
    until: Numbers

    def take(self, chosen: Bits) -> "_Places":
        """Return the chosen ones."""
        return _Places(self.which[chosen], self.runs[chosen], self.until[chosen])


def _are_sound(places: _Places, records: _Records, quotes: _Quotes) -> Bits:
    """Return at which places a change leaves neither a bad quote nor an open one."""
    stops = records.stops[places.which]
    is_fine = _count(quotes.bad_otherwise, places.runs + 1, np.minimum(places.until + 1, stops)) == 0
    sound: Bits = is_fine & ((places.until < stops) != records.are_open[places.which])
    return sound


def _count(bits: Bits, firsts: Numbers, stops: Numbers) -> Numbers:
    """Return the number of set bits in each of the ranges."""
    marks = np.flatnonzero(bits)
    counts: Numbers = np.searchsorted(marks, stops) - np.searchsorted(marks, firsts)
    return counts


def _field_counts(places: _Places, records: _Records, quotes: _Quotes, index: RecordIndex) -> Numbers:
    """Return the number of fields of each record with its change."""
    rows = records.rows[places.which]
    begins, stops = quotes.runs.at[places.runs], index.ends[rows]
    goes_on = places.until < records.stops[places.which]
    stops[goes_on] = quotes.runs.at[places.until[goes_on]]
    outside, every = (
        np.searchsorted(offsets, stops) - np.searchsorted(offsets, begins)
        for offsets in (index.delimiter_offsets, index.all_delimiter_offsets)
    )
    counts: Numbers = index.field_counts[rows] + every - 2 * outside
    return counts


def _may_be_only_readings(
    places: _Places, records: _Records, quotes: _Quotes, index: RecordIndex, columns: Collection[int]
) -> Bits:
    """Return the places in records that have not only places at which a quote may be taken away or doubled alike.

    That is so in a column that is not the model's: both readings are valid or none, and different, unless a field that
    begins with the quote and ends with it is empty in either case.
    """
    runs, rows = quotes.runs[places.runs], records.rows[places.which]
    column = np.searchsorted(index.delimiter_offsets, runs.at) - index.first_delimiters[rows]
    opens = ~quotes.reading.before[places.runs] & runs.begins & runs.odd
    promising = np.zeros(len(records.rows), np.bool_)
    promising[places.which[opens | np.isin(column, list(columns))]] = True
    chosen: Bits = promising[places.which]
    return chosen


def _are_unsure(places: _Places, records: _Records, quotes: _Quotes) -> Bits:
    """Return at which places a changed record has ordinary quotes in two fields or more, perhaps.

    Only then may a quoted text begin in one of them and end in another.
    """
    runs, stops = places.runs, records.stops[places.which]
    until = np.minimum(places.until + 1, stops)
    # Of the runs that read otherwise, the last one may become ordinary, and others only if they are even.
    before = quotes.reading.before
    counts = ((places.until < stops) & before.take(places.until, mode="clip")).astype(np.int64)
    if quotes.runs.lengths is not None:
        counts += _count(before & ~quotes.runs.begins & ~quotes.runs.odd, runs + 1, until)
    if quotes.ordinary.any():
        counts += _count(quotes.ordinary, records.firsts, records.stops)[places.which]
        counts -= _count(quotes.ordinary, runs, until)
        counts[quotes.ordinary[runs]] = 2
    unsure: Bits = counts > 1
    return unsure


def _changes(places: _Places, records: _Records, quotes: _Quotes, index: RecordIndex) -> Changes:
    """Return the changes at the places: a quote taken away, and one doubled unless a text follows an opening one."""
    runs, rows = quotes.runs[places.runs], records.rows[places.which]
    opens_text = ~quotes.reading.before[places.runs] & runs.begins & runs.odd & ~runs.ends
    which = np.repeat(np.arange(len(runs)), np.where(opens_text, 1, 2))
    doubled = np.zeros(len(which), np.bool_)
    doubled[1:] = which[1:] == which[:-1]
    unsure = _are_unsure(places, records, quotes)
    columns, begins, ends = _changed_fields(places, rows, quotes, index)
    return Changes(rows[which], runs.at[which], doubled, unsure[which], columns[which], begins[which], ends[which])


def _changed_fields(
    places: _Places, rows: Numbers, quotes: _Quotes, index: RecordIndex
) -> tuple[Numbers, Numbers, Numbers]:
    """Return the columns of the fields with a change, where these begin, and where they end with the change."""
    at, data_end = quotes.runs.at[places.runs], len(index.data)
    until = _taken(quotes.runs.at, places.until, data_end)
    outside, every = index.delimiter_offsets, index.all_delimiter_offsets
    following = np.searchsorted(outside, at)
    columns = following - index.first_delimiters[rows]
    begins = np.where(columns == 0, index.starts[rows], _taken(outside, following - 1, 0) + 1)
    # What follows the change is now outside quotes, so that the next delimiter ends the field; or it is inside.
    to_outside = quotes.reading.after[places.runs]
    ends = _taken(outside, np.searchsorted(outside, until), data_end)
    ends[to_outside] = _taken(every, np.searchsorted(every, at[to_outside]), data_end)
    return columns, begins, np.minimum(ends, index.ends[rows])


def _taken(offsets: Numbers, places: Numbers, otherwise: int) -> Numbers:
    """Return the offsets at the places; ``otherwise`` for those after the last."""
    if not len(offsets):
        return np.full(len(places), otherwise)
    return np.where(places < len(offsets), offsets.take(places, mode="clip"), otherwise)
