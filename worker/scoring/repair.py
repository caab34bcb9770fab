"""Repair records with one quote too many or too few, where there is exactly one way to. Pure.

Candidates for a broken record are its text with one of its quotes taken away, and with one doubled. A candidate counts
if it is one record of the header's width with a valid value for every feature. All candidates of a chunk are parsed and
validated at once.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.csv.quotes import BACKSLASH, CR, LF, QUOTE
from jobs.csv.records import RecordIndex, index_lines, read_record, unquote
from model.schema import FaultCode
from worker.scoring.malformed import BrokenRecords
from worker.scoring.parse import Layout, ParsedChunk, parse_records
from worker.scoring.rejects import FaultColumn
from worker.scoring.render import RewrittenRecords, slices

# Quotes in a record, at most, for a repair to be looked for; and candidates of a chunk. Records after that stay broken.
MAX_QUOTES = 16
MAX_CANDIDATES = 65_536

Numbers = NDArray[np.int64]
FindValid = Callable[[ParsedChunk], Numbers]
"""Returns those of a chunk's ``good`` records in which all values are valid."""


def repair_records(index: RecordIndex, broken: BrokenRecords, layout: Layout, find_valid: FindValid) -> BrokenRecords:
    """Return the broken records with the repaired ones rewritten and without their faults."""
    rows, places = _candidate_places(index, _repairable(index, broken.faults))
    if not len(rows):
        return broken
    candidates = index_lines(_candidates(index, rows, places), ord(layout.delimiter))
    sound = candidates.field_counts() == layout.width
    sound[candidates.malformed] = False
    valid = find_valid(parse_records(candidates, np.flatnonzero(sound), None, layout))
    # The second half are those with a quote doubled.
    return _with_repaired(broken, *_only_readings(np.concatenate([rows, rows])[valid], valid, candidates))


def _repairable(index: RecordIndex, faults: FaultColumn) -> Numbers:
    """Return the faulty records of one line, without quotes escaped by a backslash, that hold a few quotes."""
    codes = np.array(faults.faults.codes.to_pylist()) != FaultCode.UNDECODABLE.value
    rows = faults.rows[codes[faults.codes]]
    starts, ends = index.starts[rows], index.ends[rows]
    raw = np.frombuffer(index.data, np.uint8)
    escaped = (raw[:-1] == BACKSLASH) & (raw[1:] == QUOTE)
    quotes, line_feeds, returns, escapes = (
        np.searchsorted(at, ends) - np.searchsorted(at, starts)
        for at in map(np.flatnonzero, (raw == QUOTE, raw == LF, raw == CR, escaped))
    )
    is_plain = (line_feeds == 0) & (returns == 0) & (escapes == 0) & (ends - starts > 1)
    wanted = (quotes > 0) & (quotes <= MAX_QUOTES) & is_plain
    wanted_rows: Numbers = rows[wanted]
    return wanted_rows


def _candidate_places(index: RecordIndex, rows: Numbers) -> tuple[Numbers, Numbers]:
    """Return each quote of the rows and its row, as far as the limit of candidates goes."""
    at = np.flatnonzero(np.frombuffer(index.data, np.uint8) == QUOTE)
    bounds = np.searchsorted(at, np.stack([index.starts[rows], index.ends[rows]]))
    counts = bounds[1] - bounds[0]
    rows = rows[: np.searchsorted(np.cumsum(counts), MAX_CANDIDATES // 2, side="right")]
    counts, firsts = counts[: len(rows)], bounds[0][: len(rows)]
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(rows, counts), at[np.repeat(firsts, counts) + within]


def _candidates(index: RecordIndex, rows: Numbers, places: Numbers) -> bytes:
    """Return the candidates, each in a line: first those with a quote taken away, then those with it doubled."""
    data = index.data
    bounds = list(zip(index.starts[rows].tolist(), places.tolist(), index.ends[rows].tolist(), strict=True))
    fewer = [data[start:at] + data[at + 1 : end] for start, at, end in bounds]
    more = [data[start : at + 1] + data[at:end] for start, at, end in bounds]
    return b"\n".join([*fewer, *more])


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
