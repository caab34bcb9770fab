"""Putting a chunk's results together: texts appended to each record's own bytes, in a few calls to Arrow. Pure."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jobs.csv.records import RecordIndex

_THOUSAND = np.frombuffer(b"".join(b"%03d" % number for number in range(1000)), np.uint8).reshape(1000, 3)
_NOTHING = pa.scalar(b"", pa.binary())


def six_decimals(probabilities: NDArray[np.float64]) -> pa.BinaryArray:
    """Probabilities, shape (n,), from 0 to 1, as text with 6 decimals."""
    millionths = np.rint(probabilities * 1e6).astype(np.uint32)
    text = np.empty((len(millionths), 8), np.uint8)
    thousandths = millionths // 1000
    text[:, 0] = ord("0") + thousandths // 1000
    text[:, 1] = ord(".")
    text[:, 2:5] = _THOUSAND[thousandths % 1000]
    text[:, 5:8] = _THOUSAND[millionths - 1000 * thousandths]
    offsets = np.arange(0, 8 * len(millionths) + 1, 8, dtype=np.int32)
    return binary_array(offsets, text)


def shortest(numbers: NDArray[np.float64]) -> pa.BinaryArray:
    """Numbers, shape (n,), in the fewest digits that read as the same numbers again."""
    return pc.cast(pa.array(np.ascontiguousarray(numbers)), pa.string()).cast(pa.binary())


def binary_array(offsets: NDArray[np.int32], data: bytes | NDArray[np.uint8]) -> pa.BinaryArray:
    """Arrow array of the slices of `data` between neighbouring offsets, without a copy."""
    return pa.BinaryArray.from_buffers(pa.binary(), len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)])


def slices(data: bytes, starts: NDArray[np.signedinteger[Any]], ends: NDArray[np.signedinteger[Any]]) -> pa.BinaryArray:
    """Arrow array of slices of `data` that follow one another, gaps between them."""
    offsets = np.empty(2 * len(starts), np.int32)
    offsets[0::2], offsets[1::2] = starts, ends
    if not len(offsets):
        return pa.array([], pa.binary())
    return binary_array(offsets, data).take(pa.array(np.arange(0, len(offsets), 2)))


def join(*columns: pa.Array | bytes) -> pa.BinaryArray:
    """Row by row, the columns' texts one after the other; `bytes` stand for the same text in every row."""
    parts = [pa.scalar(part, pa.binary()) if isinstance(part, bytes) else part for part in columns]
    return pc.binary_join_element_wise(*parts, _NOTHING)


def text_of(column: pa.BinaryArray) -> bytes:
    """All texts of an array, one after the other."""
    if not len(column):
        return b""
    _, offsets, data = column.buffers()
    bounds = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    return bytes(memoryview(data)[bounds[0] : bounds[-1]]) if data is not None else b""


def all_quoted(texts: pa.StringArray, delimiter: str) -> pa.BinaryArray:
    """What `as_field` makes of each text."""
    plain = texts.cast(pa.binary())
    special = pc.match_substring_regex(texts, rf'["\r\n{delimiter}]')
    if not pc.any(special).as_py():
        return plain
    return pc.if_else(special, in_quotes(plain), plain)


def in_quotes(texts: pa.BinaryArray) -> pa.BinaryArray:
    """The texts as quoted fields."""
    return join(b'"', pc.replace_substring(texts, b'"', b'""'), b'"')


@dataclass(frozen=True, slots=True)
class RepairedRecords:
    """Records that go into the results otherwise than they stand: `rows`, shape (k,), ascending, and their texts."""

    rows: NDArray[np.int64]
    texts: pa.BinaryArray


def scored_text(index: RecordIndex, mended: RepairedRecords | None, suffixes: pa.BinaryArray) -> bytes:
    """The records, each with its suffix before its own line end."""
    offsets = np.zeros(len(index) + 1, np.int32)
    offsets[1:] = index.ends
    # Each slice begins with the line end of the record before it.
    bodies = binary_array(offsets, index.data)
    if mended:
        begins = slices(index.data, offsets[mended.rows], index.starts[mended.rows])
        bodies = _replace(bodies, mended.rows, join(begins, mended.texts))
    return text_of(join(bodies, suffixes)) + index.data[int(offsets[-1]) :]


def records_with_line_ends(index: RecordIndex, mended: RepairedRecords | None, line_end: bytes) -> pa.BinaryArray:
    """The records, each with the line end after it; the last one gets `line_end` if it has none."""
    data = index.data if index.data.endswith(b"\n") else index.data + line_end
    offsets = np.full(len(index) + 1, len(data), np.int32)
    offsets[:-1] = index.starts
    lines = binary_array(offsets, data)
    if mended is None:
        return lines
    ends = slices(data, index.ends[mended.rows], offsets[mended.rows + 1])
    return _replace(lines, mended.rows, join(mended.texts, ends))


def _replace(column: pa.BinaryArray, rows: NDArray[np.int64], texts: pa.BinaryArray) -> pa.BinaryArray:
    """The array with the texts at the given rows instead of its own."""
    if len(rows) == len(column):
        return texts
    places = np.arange(len(column))
    places[rows] = np.arange(len(column), len(column) + len(rows))
    return pa.concat_arrays([column, texts]).take(pa.array(places))
