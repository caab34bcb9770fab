"""Repair records with one quote too many or too few, where there is exactly one way to. Pure.

Candidates for a broken record are its text with one of its quotes taken away, and with one doubled. A candidate counts
if it is one record of the header's width with a valid value for every feature. ``changes`` finds those of the right
width without writing them; what is left of a chunk is parsed and validated at once.
"""

from collections.abc import Callable, Iterator
from functools import reduce
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jobs.csv.quotes import first_of_equals
from jobs.csv.records import RecordIndex, index_lines, read_record, unquote
from worker.scoring.changes import Changes, find_changes
from worker.scoring.malformed import RepairedRecords, Texts
from worker.scoring.parse import Layout, as_values, joined_texts, parse_records, read_fields
from worker.scoring.render import join, slices, text_of, unquoted

# Bytes of a chunk's candidates, at most; if there are more, the records with the most of them stay broken.
MAX_CANDIDATE_BYTES = 64 * 1024 * 1024
# Bytes that are parsed at once, about. A chunk whose records have a candidate each has no more.
_BATCH_BYTES = 8 * 1024 * 1024
# Changes that show whether it pays to look at the fields with the changed quotes alone, and the share of invalid ones.
_SAMPLE, _MIN_SPOILT = 500, 0.1

Numbers = NDArray[np.int64]
AreInvalid = Callable[[str, pa.StringArray], NDArray[np.bool_]]
"""Returns which of the distinct texts of a feature's column have no valid value."""


def repair_records(
    index: RecordIndex, rows: Numbers, layout: Layout, are_invalid: AreInvalid
) -> RepairedRecords | None:
    """Return those of the broken records that can be repaired; None if none can."""
    changes = _affordable(index, find_changes(index, rows, layout.width, layout.columns.values()))
    parts = (_repair_all(index, part, layout, are_invalid) for part in _batches(index, changes))
    return reduce(_merged, filter(None, parts), None)


def _promising(index: RecordIndex, changes: Changes, layout: Layout, are_invalid: AreInvalid) -> Changes:
    """Return the changes without those that make the field with the quote invalid, unless nearly none does.

    This costs far less than to parse all fields of all candidates.
    """
    sample = np.arange(0, len(changes), max(len(changes) // _SAMPLE, 1))
    if np.mean(_spoil_a_field(index, changes.take(sample), layout, are_invalid)) < _MIN_SPOILT:
        return changes
    return changes.take(~_spoil_a_field(index, changes, layout, are_invalid))


def _spoil_a_field(index: RecordIndex, changes: Changes, layout: Layout, are_invalid: AreInvalid) -> NDArray[np.bool_]:
    """Return which of the changes make the field with the quote invalid."""
    spoilt = np.zeros(len(changes), np.bool_)
    places = np.flatnonzero(np.isin(changes.columns, list(layout.columns.values())))
    if not len(places):
        return spoilt
    own = changes.take(places)
    # Each distinct text once, whichever columns it stands in, and then each with the columns that it stands in.
    coded = unquoted(join(*own.written(index.data, own.begins, own.ends))).dictionary_encode()
    texts, codes = as_values(coded.dictionary.cast(pa.string()), layout), coded.indices.to_numpy()
    invalid = np.zeros((len(texts), layout.width), np.bool_)
    found = np.zeros_like(invalid)
    found[codes, own.columns] = True
    for name, column in layout.columns.items():
        used = np.flatnonzero(found[:, column])
        if len(used):
            invalid[used, column] |= are_invalid(name, texts.take(pa.array(used)))
    spoilt[places] = invalid[codes, own.columns]
    return spoilt


def _repair_all(
    index: RecordIndex, changes: Changes, layout: Layout, are_invalid: AreInvalid
) -> RepairedRecords | None:
    """Repair the records with these changes, all of which give a sound record."""
    changes = _promising(index, changes, layout, are_invalid)
    if not len(changes):
        return None
    candidates = _candidates(index, changes, layout)
    parsed = parse_records(candidates, np.arange(len(candidates)), layout)
    invalid = [are_invalid(name, texts)[codes] for name, (texts, codes) in parsed.columns.items()]
    valid = np.flatnonzero(~np.any(invalid, axis=0))
    unsure = np.flatnonzero(changes.unsure[valid])
    if len(unsure):
        valid = np.delete(valid, unsure[_are_malformed(candidates, valid[unsure])])
    chosen = valid[_only_readings(changes.rows[valid], valid, candidates, layout)]
    if not len(chosen):
        return None
    columns = parsed.columns
    if len(chosen) < len(candidates):
        columns = {name: _used(texts, codes[chosen]) for name, (texts, codes) in columns.items()}
    texts = slices(candidates.data, candidates.starts[chosen], candidates.ends[chosen])
    return RepairedRecords(changes.rows[chosen], texts, columns)


def _merged(one: RepairedRecords | None, other: RepairedRecords | None) -> RepairedRecords | None:
    """Return the repaired records of two batches, of which the other one's rows come later."""
    if one is None or other is None:
        return one or other
    columns = {name: joined_texts(texts, other.columns[name]) for name, texts in one.columns.items()}
    return RepairedRecords(np.concatenate([one.rows, other.rows]), pa.concat_arrays([one.texts, other.texts]), columns)


def _used(texts: pa.StringArray, codes: NDArray[np.int32]) -> Texts:
    """Return the texts that the codes use, and the codes of these."""
    used = np.flatnonzero(np.bincount(codes, minlength=len(texts)))
    places = np.zeros(len(texts), np.int32)
    places[used] = np.arange(len(used))
    return texts.take(pa.array(used)), places[codes]


def _sizes(index: RecordIndex, changes: Changes) -> Numbers:
    """Return the length of each candidate with its line end, or one more."""
    sizes: Numbers = index.ends[changes.rows] - index.starts[changes.rows] + 2
    return sizes


def _affordable(index: RecordIndex, changes: Changes) -> Changes:
    """Return the changes without those of the records with the most candidates, if all have too many bytes."""
    sizes = _sizes(index, changes)
    if sizes.sum() <= MAX_CANDIDATE_BYTES:
        return changes
    _, places, counts = np.unique(changes.rows, return_inverse=True, return_counts=True)
    order = np.argsort(counts[places], kind="stable")
    end = int(np.searchsorted(np.cumsum(sizes[order]), MAX_CANDIDATE_BYTES))
    # The last record may lack candidates.
    kept = order[:end][places[order[:end]] != places[order[end]]]
    return changes.take(np.sort(kept))


def _batches(index: RecordIndex, changes: Changes) -> Iterator[Changes]:
    """Yield the changes of some records after the other."""
    starts = first_of_equals(changes.rows)
    before = np.concatenate(([0], np.cumsum(_sizes(index, changes))))[starts]
    bounds = [*starts[first_of_equals(before // _BATCH_BYTES)].tolist(), len(changes)]
    for first, end in pairwise(bounds):
        yield changes if end - first == len(changes) else changes.take(np.arange(first, end))


def _candidates(index: RecordIndex, changes: Changes, layout: Layout) -> RecordIndex:
    """Return the changed records, each in a line."""
    starts, ends = index.starts[changes.rows], index.ends[changes.rows]
    text = text_of(join(*changes.written(index.data, starts, ends), b"\n"))
    line_ends = np.cumsum(ends - starts + np.where(changes.doubled, 2, 0))
    begins = np.concatenate(([0], line_ends[:-1]))
    return RecordIndex(text, ord(layout.delimiter), begins, line_ends - 1, len(text), has_blank_lines=False)


def _are_malformed(candidates: RecordIndex, numbers: Numbers) -> NDArray[np.bool_]:
    """Return which of some candidates are malformed."""
    lines = slices(candidates.data, candidates.starts[numbers], candidates.ends[numbers] + 1)
    index = index_lines(text_of(lines), candidates.delimiter)
    malformed = np.zeros(len(index), np.bool_)
    malformed[index.malformed] = True
    return malformed


def _only_readings(rows: Numbers, valid: Numbers, candidates: RecordIndex, layout: Layout) -> Numbers:
    """Return the places of the first valid candidates of those rows of which all valid ones have the same field values.

    ``valid`` are the indexes of the candidates, ``rows`` their rows, ascending.
    """
    firsts = first_of_equals(rows)
    if len(firsts) == len(rows):
        return firsts
    counts = np.diff(firsts, append=len(rows))
    which = np.repeat(np.arange(len(firsts)), counts)
    others = np.flatnonzero(counts[which] > 1)
    different = ~_same_values(candidates, valid[firsts[which[others]]], valid[others], layout)
    single = np.ones(len(firsts), np.bool_)
    single[which[others[different]]] = False
    only: Numbers = firsts[single]
    return only


def _same_values(candidates: RecordIndex, ones: Numbers, others: Numbers, layout: Layout) -> NDArray[np.bool_]:
    """Return whether the candidates have the same field values as the others, pair by pair."""
    columns = read_fields(candidates, np.concatenate([ones, others]), layout)
    if columns is None:
        pairs = zip(ones.tolist(), others.tolist(), strict=True)
        return np.array([_values(candidates, one) == _values(candidates, other) for one, other in pairs], np.bool_)
    same = np.ones(len(ones), np.bool_)
    for column in columns:
        same &= pc.equal(column[: len(ones)], column[len(ones) :]).to_numpy(zero_copy_only=False)
    return same


def _values(candidates: RecordIndex, number: int) -> list[bytes]:
    text = candidates.record(number)
    return [unquote(text[start:end]) for start, end in read_record(text, 0, len(text), candidates.delimiter).fields]
