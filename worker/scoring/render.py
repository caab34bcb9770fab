"""Append texts to the records' own bytes, in a few Arrow calls per chunk. Pure."""

import re
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
    """Format probabilities, shape (n,), with 6 decimals."""
    # Whole millionths, of which three digits at a time are looked up.
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
    """Format numbers, shape (n,), with the fewest digits that parse to the same numbers."""
    return pc.cast(pa.array(np.ascontiguousarray(numbers)), pa.string()).cast(pa.binary())


def binary_array(offsets: NDArray[np.int32], data: bytes | NDArray[np.uint8]) -> pa.BinaryArray:
    """Return an Arrow array of the slices of ``data`` between consecutive offsets, without copying."""
    return pa.BinaryArray.from_buffers(pa.binary(), len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)])


def slices(data: bytes, starts: NDArray[np.signedinteger[Any]], ends: NDArray[np.signedinteger[Any]]) -> pa.BinaryArray:
    """Return an Arrow array of ascending slices of ``data`` with gaps between them."""
    # The slices of an Arrow array are adjacent, so the gaps are slices as well: every second one is taken.
    offsets = np.empty(2 * len(starts), np.int32)
    offsets[0::2], offsets[1::2] = starts, ends
    if not len(offsets):
        return pa.array([], pa.binary())
    return binary_array(offsets, data).take(pa.array(np.arange(0, len(offsets), 2)))


def join(*columns: pa.Array | bytes) -> pa.BinaryArray:
    """Concatenate the columns row by row; ``bytes`` stand for the same text in every row."""
    parts = [pa.scalar(part, pa.binary()) if isinstance(part, bytes) else part for part in columns]
    return pc.binary_join_element_wise(*parts, _NOTHING)


def text_of(column: pa.BinaryArray) -> bytes:
    """Concatenate all texts of an array."""
    if not len(column):
        return b""
    _, offsets, data = column.buffers()
    bounds = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    return bytes(memoryview(data)[bounds[0] : bounds[-1]]) if data is not None else b""


def all_quoted(texts: pa.StringArray, delimiter: str) -> pa.BinaryArray:
    """Encode each text as a CSV field, as ``as_field`` does."""
    plain = texts.cast(pa.binary())
    special = pc.match_substring_regex(texts, rf'["\r\n]|{re.escape(delimiter)}')
    if not pc.any(special).as_py():
        return plain
    return pc.if_else(special, in_quotes(plain), plain)


def in_quotes(texts: pa.BinaryArray) -> pa.BinaryArray:
    """Return the texts as quoted fields."""
    return join(b'"', pc.replace_substring(texts, b'"', b'""'), b'"')


def unquoted(fields: pa.BinaryArray) -> pa.BinaryArray:
    """Return the values of fields whose quotes are sound."""
    are_quoted = pc.starts_with(fields, b'"')
    if not pc.any(are_quoted).as_py():
        return fields
    values = pc.replace_substring(pc.binary_slice(fields, 1, -1), b'""', b'"')
    return pc.if_else(are_quoted, values, fields)


@dataclass(frozen=True, slots=True)
class RewrittenRecords:
    """Records that are changed for the results: ``rows``, shape (k,), ascending, and their texts without line ends."""

    rows: NDArray[np.int64]
    texts: pa.BinaryArray

    def merged(self, other: "RewrittenRecords") -> "RewrittenRecords":
        """Return these records and other ones."""
        if not len(self.rows):
            return other
        rows = np.concatenate([self.rows, other.rows])
        order = np.argsort(rows, kind="stable")
        return RewrittenRecords(rows[order], pa.concat_arrays([self.texts, other.texts]).take(pa.array(order)))


def scored_text(index: RecordIndex, rewritten: RewrittenRecords | None, suffixes: pa.BinaryArray) -> bytes:
    """Return the records, each with its suffix before its own line end."""
    offsets = np.zeros(len(index) + 1, np.int32)
    offsets[1:] = index.ends
    # Each slice begins with the line end of the previous record, so that the suffix goes before its own.
    bodies = binary_array(offsets, index.data)
    parts = [bodies]
    if rewritten:
        parts = [slices(index.data, offsets[rewritten.rows], index.starts[rewritten.rows]), rewritten.texts]
        if len(rewritten.rows) < len(index):
            parts = [_replace(bodies, rewritten.rows, join(*parts))]
    return text_of(join(*parts, suffixes)) + index.data[int(offsets[-1]) :]


def records_with_line_ends(
    index: RecordIndex, rewritten: RewrittenRecords | None, rows: NDArray[np.int64], line_end: bytes
) -> pa.BinaryArray:
    """Return the records of the ascending rows with their line ends; the last one gets ``line_end`` if it has none."""
    data = index.data if index.data.endswith(b"\n") else index.data + line_end
    offsets = np.full(len(index) + 1, len(data), np.int32)
    offsets[:-1] = index.starts
    lines = binary_array(offsets, data) if len(rows) == len(index) else slices(data, offsets[rows], offsets[rows + 1])
    if rewritten is None:
        return lines
    wanted = np.zeros(len(index), np.bool_)
    wanted[rows] = True
    chosen = np.flatnonzero(wanted[rewritten.rows])
    changed = rewritten.rows[chosen]
    texts = rewritten.texts if len(chosen) == len(rewritten.rows) else rewritten.texts.take(pa.array(chosen))
    ends = slices(data, index.ends[changed], offsets[changed + 1])
    return _replace(lines, np.searchsorted(rows, changed), join(texts, ends))


def _replace(column: pa.BinaryArray, rows: NDArray[np.int64], texts: pa.BinaryArray) -> pa.BinaryArray:
    """Return the array with the texts at the given rows replaced."""
    if len(rows) == len(column):
        return texts
    indexes = np.arange(len(column))
    indexes[rows] = np.arange(len(column), len(column) + len(rows))
    return pa.concat_arrays([column, texts]).take(pa.array(indexes))
