"""Repair records with one quote too many or too few, where there is exactly one way to. Pure.

Candidates for a broken record are its text with one of its quotes taken away, and with one doubled. A candidate counts
if it is one record of the header's width with a valid value for every feature. All candidates of a chunk are parsed and
validated at once.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.csv.quotes import BACKSLASH, CR, INSIDE, LF, QUOTE, Bits, ends_field
from jobs.csv.records import RecordIndex, index_lines, read_record, unquote
from worker.scoring.malformed import RepairedRecords, Texts
from worker.scoring.parse import Layout, ParsedChunk, parse_records
from worker.scoring.render import join, slices, text_of

# Quotes in a record, at most, for a repair to be looked for.
MAX_QUOTES = 64
# Bytes of a chunk's candidates, at most: about as many as the chunk has. Records after that stay broken.
MAX_CANDIDATE_BYTES = 4 * 1024 * 1024
_BYTES_PER_QUOTE = 32

Numbers = NDArray[np.int64]
FindValid = Callable[[ParsedChunk], Numbers]
"""Returns those of a chunk's ``good`` records in which all values are valid."""


def repair_records(index: RecordIndex, rows: Numbers, layout: Layout, find_valid: FindValid) -> RepairedRecords | None:
    """Return those of the broken records that can be repaired; None if none can."""
    changes = _Changes.of(index, _repairable(index, rows))
    if not len(changes.rows):
        return None
    candidates = index_lines(changes.texts(), ord(layout.delimiter))
    sound = candidates.field_counts() == layout.width
    sound[candidates.malformed] = False
    parsed = parse_records(candidates, np.flatnonzero(sound), layout)
    valid = find_valid(parsed)
    if not len(valid):
        return None
    chosen = valid[_only_readings(changes.rows[valid], valid, candidates)]
    if not len(chosen):
        return None
    places = np.searchsorted(parsed.good, chosen)
    columns = {name: _used(texts, codes[places]) for name, (texts, codes) in parsed.columns.items()}
    texts = slices(candidates.data, candidates.starts[chosen], candidates.ends[chosen])
    return RepairedRecords(changes.rows[chosen], texts, columns)


def _used(texts: pa.StringArray, codes: NDArray[np.int32]) -> Texts:
    """Return the texts that the codes use, and the codes of these."""
    used = np.flatnonzero(np.bincount(codes, minlength=len(texts)))
    places = np.zeros(len(texts), np.int32)
    places[used] = np.arange(len(used))
    return texts.take(pa.array(used)), places[codes]


def _repairable(index: RecordIndex, rows: Numbers) -> Numbers:
    """Return those of the broken records that have one line and no quotes escaped by a backslash."""
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
        # With a line end added, there is a byte to look at after the last quote.
        raw, quotes, ends = np.frombuffer(index.data + b"\n", np.uint8), index.quote_states(), index.ends[rows]
        firsts, stops = np.searchsorted(quotes.at, index.starts[rows]), np.searchsorted(quotes.at, ends)
        bad = np.flatnonzero(quotes.closes & ~ends_field(raw, quotes.at + 1, index.delimiter))
        # The first bad closing quote of each record: a change after it would leave it as it is.
        bad = np.append(bad, len(quotes.at))[np.searchsorted(bad, firsts)]
        few = (stops > firsts) & (stops - firsts <= MAX_QUOTES)
        rows, firsts, counts = rows[few], firsts[few], (np.minimum(stops, bad + 1) - firsts)[few]
        stops, ends = stops[few], ends[few]
        # The work for a candidate, in bytes: its own, and for each quote as much as for some more.
        work = ends - index.starts[rows] + _BYTES_PER_QUOTE * (stops - firsts - 1)
        # A coarse limit, before there is an array element for each change: many of them turn out to be useless below.
        within = np.searchsorted(np.cumsum(counts * work), 4 * MAX_CANDIDATE_BYTES)
        rows, firsts, counts, stops, ends, work = (part[:within] for part in (rows, firsts, counts, stops, ends, work))
        # From here on an element per quote: the index of its record, and its own index among all quotes.
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
        # Both changes of a quote next to each other, so that the limit cuts off whole records at the end.
        order = np.argsort(changed, kind="stable")
        order = order[: np.searchsorted(np.cumsum(work[which[changed[order]]]), MAX_CANDIDATE_BYTES)]
        if 0 < len(order) < len(changed):  # the last row may lack candidates
            order = order[which[changed[order]] < which[changed[order[-1]]]]
        chosen = changed[order]
        return cls(index, rows[which[chosen]], at[chosen], doubled[order])

    def texts(self) -> bytes:
        """Return the candidates, each in a line."""
        data, starts, ends = self.index.data, self.index.starts[self.rows], self.index.ends[self.rows]
        again = np.where(self.doubled, self.at, self.at + 1)
        kept = np.where(self.doubled, self.at + 1, self.at)
        return text_of(join(slices(data, starts, kept), slices(data, again, ends), b"\n"))


def _only_readings(rows: Numbers, valid: Numbers, candidates: RecordIndex) -> Numbers:
    """Return the places of the first valid candidates of those rows of which all valid ones have the same field values.

    ``valid`` are the indexes of the candidates, ``rows`` their rows, ascending.
    """
    _, firsts, counts = np.unique(rows, return_index=True, return_counts=True)
    single = counts == 1
    # Several candidates may be the same text, or quote the same values in other ways; that is one reading.
    for place in np.flatnonzero(~single).tolist():
        own = [candidates.record(int(at)) for at in valid[firsts[place] : firsts[place] + counts[place]]]
        single[place] = len(set(own)) == 1 or len({_values(text, candidates.delimiter) for text in own}) == 1
    only: Numbers = firsts[single]
    return only


def _values(text: bytes, delimiter: int) -> tuple[bytes, ...]:
    return tuple(unquote(text[start:end]) for start, end in read_record(text, 0, len(text), delimiter).fields)
