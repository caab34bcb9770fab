"""Ragged, malformed and undecodable records: their faults, and their texts for the results. Pure."""

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jobs.csv.decoding import is_utf8
from jobs.csv.records import RecordIndex, read_record, unquote
from jobs.messages import Originals
from model.faults import Faults, all_shown, text_array
from model.schema import MAX_ECHO, Fault, FaultCode, shown
from worker.scoring.rejects import FaultColumn
from worker.scoring.render import RewrittenRecords, binary_array, in_quotes, join, slices, text_of

_BAD_QUOTES = Fault(FaultCode.MALFORMED, "a quote is missing or one too many, or a carriage return stands alone")
_NO_OBJECT = Fault(FaultCode.MALFORMED, "the line is not a JSON object")
_OTHER_FAULTS = (
    Fault(FaultCode.OPEN_QUOTE, "a quote is not closed within 4 MiB or before the end of the file"),
    Fault(FaultCode.UNDECODABLE, "the record holds bytes that do not decode"),
)
# Kinds of broken records; the higher one counts. From ``_MALFORMED`` on, they have one fault each, in this order.
_RAGGED, _MALFORMED, _OPEN_QUOTE, _UNDECODABLE = 1, 2, 3, 4

Numbers = NDArray[np.int64]


Texts = tuple[pa.StringArray, NDArray[np.int32]]


@dataclass(frozen=True, slots=True)
class RepairedRecords:
    """The repaired ones among the broken records: ascending ``rows``, shape (k,), and their texts that are scored.

    ``columns`` holds, per feature, the distinct texts and the codes of the rows, shape (k,).
    """

    rows: Numbers
    texts: pa.BinaryArray
    columns: dict[str, Texts]


Repair = Callable[[RecordIndex, Numbers], RepairedRecords | None]
"""Repairs some of the given broken records of a chunk."""


@dataclass(frozen=True, slots=True)
class BrokenRecords:
    """The faults of a chunk's broken records, and their texts for the results.

    Each text has the header's number of fields and reads as one record. Those that are not repaired have a fault.
    """

    faults: FaultColumn
    rewritten: RewrittenRecords
    repaired: RepairedRecords | None = None

    def originals(self, index: RecordIndex) -> Originals:
        """Return the records as they came, by row."""
        rows = self.rewritten.rows
        texts = text_of(slices(index.data, index.starts[rows], index.ends[rows]))
        lengths = index.ends[rows] - index.starts[rows]
        return Originals(array("I", rows.astype("u4").tobytes()), array("I", lengths.astype("u4").tobytes()), texts)


def broken_records(
    index: RecordIndex,
    width: int,
    malformed: Numbers,
    open_quotes: Sequence[int] = (),
    repair: Repair | None = None,
    *,
    of_json: bool = False,
) -> BrokenRecords | None:
    """Return the records that cannot be validated as they are under a header of ``width`` fields; None if all can.

    ``malformed`` are those of the index, ``open_quotes`` the rows among them with a quote that no quote closes.
    ``of_json``: the records were lines of JSON, of which those that are no objects are malformed.
    """
    undecodable = _undecodable(index)
    kinds = np.zeros(len(index), np.uint8)
    kinds[index.field_counts != width] = _RAGGED
    kinds[malformed] = _MALFORMED
    kinds[list(open_quotes)] = _OPEN_QUOTE
    kinds[undecodable] = _UNDECODABLE
    if not kinds.any():
        return None
    repaired = repair(index, np.flatnonzero((kinds > 0) & (kinds != _UNDECODABLE))) if repair else None
    if repaired:
        kinds[repaired.rows] = 0
    rows = np.flatnonzero(kinds)
    ragged = np.flatnonzero(kinds == _RAGGED)
    others = [_NO_OBJECT if of_json else _BAD_QUOTES, *_OTHER_FAULTS]
    faults = Faults.joined([_ragged(index, ragged, width), Faults.of(None, others)])
    # Of the joined faults, those of ragged rows come first, one for each row, then one for each of the other kinds.
    codes = kinds[rows].astype(np.int64) + len(ragged) - _MALFORMED
    codes[kinds[rows] == _RAGGED] = np.arange(len(ragged))
    texts = _rewrite(index, rows, width, kinds, of_json=of_json)
    rewritten = RewrittenRecords(rows, texts)
    if repaired:
        rewritten = rewritten.merged(RewrittenRecords(repaired.rows, repaired.texts))
    return BrokenRecords(FaultColumn(rows, codes, faults), rewritten, repaired)


def _undecodable(index: RecordIndex) -> Numbers:
    """Return the indexes of the records that are not UTF-8."""
    if is_utf8(index.data):
        return np.empty(0, np.int64)
    # Each undecodable byte becomes a lone surrogate of three bytes, which no valid text contains.
    escaped = index.data.decode("utf-8", "surrogateescape").encode("utf-8", "surrogatepass")
    raw = np.frombuffer(escaped, np.uint8)
    surrogates = np.flatnonzero((raw[:-1] == 0xED) & (raw[1:] >= 0xA0))
    # Each surrogate has made the text before the next one two bytes longer.
    return np.unique(index.owners(surrogates - 2 * np.arange(len(surrogates))))


def _ragged(index: RecordIndex, rows: Numbers, width: int) -> Faults:
    """Return a fault per row, with its number of fields and its surplus fields."""
    counts, places = np.unique(index.field_counts[rows], return_inverse=True)
    words = text_array([f"{count} field{'s'[: count > 1]} where the header has {width}" for count in counts.tolist()])
    ends = index.ends[rows]
    from_ = np.minimum(_kept_until(index, rows, width) + 1, ends)
    surplus = slices(index.data, from_, ends).dictionary_encode()
    values = _shown_fields(surplus.dictionary, chr(index.delimiter)).take(surplus.indices)
    return Faults.alike(None, FaultCode.RAGGED, values, words.take(pa.array(places)))


def _kept_until(index: RecordIndex, rows: Numbers, width: int) -> Numbers:
    """Return the offsets at which the fields that fit end."""
    if index.shaped:
        of_shapes = _kept_until(index.shaped.index, np.arange(len(index.shaped.index)), width)
        return index.shaped.shapes.at(of_shapes, rows)
    until, counts = index.ends[rows], index.field_counts[rows]
    wide = counts > width
    until[wide] = index.delimiter_offsets[index.first_delimiters[rows][wide] + width - 1]
    return until


def _shown_fields(surplus: pa.BinaryArray, delimiter: str) -> pa.StringArray:
    """Return adjacent fields as one text for a message, cut to its usual length."""
    # Nearly all surplus texts are short and unquoted: they need no parsing and are done at once.
    simple = pc.less_equal(pc.binary_length(surplus), 2 * MAX_ECHO)
    simple = pc.and_not(simple, pc.match_substring(surplus, b'"'))
    words = all_shown(pc.replace_substring(pc.if_else(simple, surplus, b"").cast(pa.string()), delimiter, ", "))
    others = pc.filter(surplus, pc.invert(simple)).to_pylist()
    return pc.replace_with_mask(words, pc.invert(simple), text_array([_shown_one(text, delimiter) for text in others]))


def _shown_one(surplus: bytes, delimiter: str) -> str:
    fields = read_record(surplus, 0, len(surplus), ord(delimiter)).fields[:MAX_ECHO]
    # No character takes more than four bytes.
    cut = (unquote(surplus[start:end])[: 4 * MAX_ECHO] for start, end in fields)
    return shown(", ".join(text.decode("utf-8", "replace") for text in cut))


def _rewrite(
    index: RecordIndex, rows: Numbers, width: int, kinds: NDArray[np.uint8], *, of_json: bool
) -> pa.BinaryArray:
    """Return the records padded to the header's width; fields that readers would misread are quoted.

    Of a ragged record that is too wide, the fields that fit are kept. Of others, the last field holds all that is left.
    A malformed line of JSON is the first field.
    """
    if not len(rows):
        return pa.array([], pa.binary())
    data, starts, until = index.data, index.starts[rows], index.ends[rows]
    ragged = kinds[rows] == _RAGGED
    until[ragged] = _kept_until(index, rows[ragged], width)
    lacking = np.maximum(width - index.field_counts[rows], 0)
    paddings = pa.array([bytes([index.delimiter]) * lack for lack in range(int(lacking.max()) + 1)], pa.binary())
    # The reader has quoted a line of JSON, and appended the byte that makes the record malformed.
    is_line = (kinds[rows] == _MALFORMED) & of_json
    until[is_line] -= 1
    begins, ends = _fields_to_quote(index, rows[~(ragged | is_line)], width)
    padding = paddings.take(pa.array(lacking))
    if not len(begins):
        return join(slices(data, starts, until), padding)
    if len(begins) == len(rows) and ((starts <= begins) & (ends <= until)).all():  # one field in each
        return join(
            slices(data, starts, begins), in_quotes(slices(data, begins, ends)), slices(data, ends, until), padding
        )
    # The kept bytes are split into stretches, each followed by a field to be quoted or by the padding.
    stretches, stops = np.sort(np.concatenate([starts, ends])), np.concatenate([until, begins])
    order = np.argsort(stops, kind="stable")
    tails = pa.concat_arrays([padding, in_quotes(slices(data, begins, ends))])
    parts = join(slices(data, stretches, stops[order]), tails.take(pa.array(order)))
    return _regroup(parts, np.searchsorted(stretches, starts))


def _fields_to_quote(index: RecordIndex, rows: Numbers, width: int) -> tuple[Numbers, Numbers]:
    """Return the offsets of the malformed fields, and of the surplus of too wide records with their last field."""
    if index.shaped:
        shapes = index.shaped
        begins, ends = _fields_to_quote(shapes.index, np.arange(len(shapes.index)), width)
        marks = shapes.shapes.marks_of(begins, rows)
        return marks.at(begins), marks.at(ends)
    wanted, counts = np.zeros(len(index), np.bool_), index.field_counts
    wanted[rows] = True
    wide = np.flatnonzero(wanted & (counts > width))
    of_wanted = wanted[index.broken_rows]
    broken_at, owners = index.broken_at[of_wanted], index.broken_rows[of_wanted]
    # An extra delimiter at the end of the data makes sure that every field has one after it.
    delimiters, first = np.append(index.delimiter_offsets, len(index.data)), index.first_delimiters
    # The field that each offset is in: its place in the record, and where it begins and ends.
    following = np.searchsorted(delimiters, broken_at)
    positions = following - first[owners]
    begins = np.where(positions == 0, index.starts[owners], delimiters[following - 1] + 1)
    ends = np.minimum(index.ends[owners], delimiters[following])
    # What is broken further right is part of the rest of a record that is too wide, which becomes one quoted field.
    fit = positions < np.where(counts[owners] > width, width - 1, width)
    rest = index.starts[wide] if width == 1 else delimiters[first[wide] + width - 2] + 1
    begins, chosen = np.unique(np.concatenate([begins[fit], rest]), return_index=True)
    return begins, np.concatenate([ends[fit], index.ends[wide]])[chosen]


def _regroup(parts: pa.BinaryArray, firsts: Numbers) -> pa.BinaryArray:
    """Join consecutive parts into texts, each starting at one of ``firsts``."""
    _, offsets, data = parts.buffers()
    bounds = np.frombuffer(offsets, np.int32)[parts.offset : parts.offset + len(parts) + 1]
    return binary_array(np.append(bounds[firsts], bounds[-1]), data)
