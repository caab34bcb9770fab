"""Repair records with one quote too many or too few, where there is exactly one way to. Pure.

Candidates for a broken record are its text with one of its quotes taken away, and with one doubled. A candidate counts
if it is one record of the header's width with a valid value for every feature. All candidates of a chunk are parsed and
validated at once.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.csv.quotes import BACKSLASH, CR, INSIDE, LF, QUOTE, Bits, ends_field
from jobs.csv.records import RecordIndex, index_lines, read_record, unquote
from model.schema import FaultCode
from worker.scoring.malformed import BrokenRecords
from worker.scoring.parse import Layout, ParsedChunk, parse_records
from worker.scoring.rejects import FaultColumn
from worker.scoring.render import RewrittenRecords, slices

# Quotes in a record, at most, for a repair to be looked for.
MAX_QUOTES = 64
# Bytes of a chunk's candidates, at most: about as many as the chunk has. Records after that stay broken.
MAX_CANDIDATE_BYTES = 4 * 1024 * 1024
_BYTES_PER_QUOTE = 32

Numbers = NDArray[np.int64]
FindValid = Callable[[ParsedChunk], Numbers]
"""Returns those of a chunk's ``good`` records in which all values are valid."""


def repair_records(index: RecordIndex, broken: BrokenRecords, layout: Layout, find_valid: FindValid) -> BrokenRecords:
    """Return the broken records with the repaired ones rewritten and without their faults."""
    changes = _Changes.of(index, _repairable(index, broken.faults))
    if not len(changes.rows):
        return broken
    candidates = index_lines(changes.texts(), ord(layout.delimiter))
    sound = candidates.field_counts() == layout.width
    sound[candidates.malformed] = False
    valid = find_valid(parse_records(candidates, np.flatnonzero(sound), None, layout))
    return _with_repaired(broken, *_only_readings(changes.rows[valid], valid, candidates))


def _repairable(index: RecordIndex, faults: FaultColumn) -> Numbers:
    """Return the faulty records of one line, without quotes escaped by a backslash, that hold a few quotes."""
    codes = np.array(faults.faults.codes.to_pylist()) != FaultCode.UNDECODABLE.value
    rows = faults.rows[codes[faults.codes]]
    starts, ends = index.starts[rows], index.ends[rows]
    raw = np.frombuffer(index.data, np.uint8)
    line_feeds = np.flatnonzero(raw == LF)
    wanted = (np.searchsorted(line_feeds, ends) == np.searchsorted(line_feeds, starts)) & (ends - starts > 1)
    for byte in (CR, BACKSLASH):
        if bytes([byte]) in index.data:
            found = np.flatnonzero((raw == byte) if byte == CR else (raw[:-1] == byte) & (raw[1:] == QUOTE))
            wanted &= np.searchsorted(found, ends) == np.searchsorted(found, starts)
    wanted_rows: Numbers = rows[wanted]
    return wanted_rows


@dataclass(frozen=True, slots=True)
class _Changes:
    """Quotes at ``at`` of the records ``rows`` to be taken away, or doubled, each giving a candidate; shape (n,)."""

    index: RecordIndex
    rows: Numbers
    at: Numbers
    doubled: Bits

    @classmethod
    def of(cls, index: RecordIndex, rows: Numbers) -> "_Changes":
        """Return the changes of quotes of the rows that may give a sound record, as far as the limit goes.

        Left out is only what cannot: a change after a closing quote that text follows; of an ordinary character, unless
        it begins a quoted text; one that leaves the last quoted field open; a doubled opening quote before text.
        """
        raw, quotes, ends = np.frombuffer(index.data + b"\n", np.uint8), index.quote_states(), index.ends[rows]
        firsts, stops = np.searchsorted(quotes.at, index.starts[rows]), np.searchsorted(quotes.at, ends)
        bad = np.flatnonzero(quotes.closes & ~ends_field(raw, quotes.at + 1, index.delimiter))
        bad = np.append(bad, len(quotes.at))[np.searchsorted(bad, firsts)]
        few = (stops > firsts) & (stops - firsts <= MAX_QUOTES)
        rows, firsts, counts = rows[few], firsts[few], (np.minimum(stops, bad + 1) - firsts)[few]
        stops, ends = stops[few], ends[few]
        # The work for a candidate, in bytes: its own, and for each quote as much as for some more.
        work = ends - index.starts[rows] + _BYTES_PER_QUOTE * (stops - firsts - 1)
        within = np.searchsorted(np.cumsum(counts * work), 4 * MAX_CANDIDATE_BYTES)
        rows, firsts, counts, stops, ends, work = (part[:within] for part in (rows, firsts, counts, stops, ends, work))
        which = np.repeat(np.arange(len(rows)), counts)
        places = np.arange(len(which)) - (np.cumsum(counts) - counts)[which] + firsts[which]
        at, before = quotes.at[places], quotes.before[places]
        is_last = (places == stops[which] - 1) & (before == INSIDE)
        crossed = np.zeros(len(index), np.bool_)
        crossed[index.crossed] = True
        is_plain = quotes.ordinary[places] & ~crossed[rows[which]]
        useful = ~is_last & ~is_plain
        text_follows = (raw[at + 1] != QUOTE) & (raw[at + 1] != index.delimiter) & (at + 1 < ends[which])
        more = useful & ~(quotes.opens[places] & text_follows)
        changed = np.concatenate([np.flatnonzero(useful), np.flatnonzero(more)])
        doubled = np.arange(len(changed)) >= np.count_nonzero(useful)
        order = np.argsort(changed, kind="stable")
        order = order[: np.searchsorted(np.cumsum(work[which[changed[order]]]), MAX_CANDIDATE_BYTES)]
        if 0 < len(order) < len(changed):  # the last row may lack candidates
            order = order[which[changed[order]] < which[changed[order[-1]]]]
        chosen = changed[order]
        return cls(index, rows[which[chosen]], at[chosen], doubled[order])

    def texts(self) -> bytes:
        """Return the candidates, each in a line."""
        data, starts, ends = self.index.data, self.index.starts[self.rows].tolist(), self.index.ends[self.rows].tolist()
        again = np.where(self.doubled, self.at, self.at + 1).tolist()
        kept = np.where(self.doubled, self.at + 1, self.at).tolist()
        parts = zip(starts, kept, again, ends, strict=True)
        return b"\n".join([data[start:stop] + data[begin:end] for start, stop, begin, end in parts])


def _only_readings(rows: Numbers, valid: Numbers, candidates: RecordIndex) -> tuple[Numbers, pa.BinaryArray]:
    """Return the rows of which the valid candidates all have the same field values, ascending, and one text of each."""
    order = np.argsort(rows, kind="stable")
    rows, valid = rows[order], valid[order]
    texts = _texts_of(candidates, valid)
    owners, firsts, counts = np.unique(rows, return_index=True, return_counts=True)
    single = counts == 1
    for place in np.flatnonzero(~single).tolist():
        own = texts[firsts[place] : firsts[place] + counts[place]].to_pylist()
        single[place] = len(set(own)) == 1 or len({_values(text, candidates.delimiter) for text in own}) == 1
    return owners[single], texts.take(pa.array(firsts[single]))


def _texts_of(index: RecordIndex, rows: Numbers) -> pa.BinaryArray:
    """Return the texts of records in any order."""
    order = np.argsort(rows)
    texts = slices(index.data, index.starts[rows[order]], index.ends[rows[order]])
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return texts.take(pa.array(back))


def _values(text: bytes, delimiter: int) -> tuple[bytes, ...]:
    return tuple(unquote(text[start:end]) for start, end in read_record(text, 0, len(text), delimiter).fields)


def _with_repaired(broken: BrokenRecords, rows: Numbers, texts: pa.BinaryArray) -> BrokenRecords:
    """Return the broken records with new texts for the given rows, which lose their faults."""
    if not len(rows):
        return broken
    faults, rewritten = broken.faults, broken.rewritten
    places = np.arange(len(rewritten.rows))
    places[np.searchsorted(rewritten.rows, rows)] = np.arange(len(places), len(places) + len(rows))
    new = pa.concat_arrays([rewritten.texts, texts]).take(pa.array(places))
    left = ~np.isin(faults.rows, rows)
    return replace(
        broken,
        faults=FaultColumn(faults.rows[left], faults.codes[left], faults.faults),
        rewritten=RewrittenRecords(rewritten.rows, new),
        repaired=rows,
    )
