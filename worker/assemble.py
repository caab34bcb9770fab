"""Putting a chunk's results together: texts appended to each record's own bytes, in a few calls to Arrow. Pure."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jobs.records import RecordIndex

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


def binary_array(offsets: NDArray[np.int32], data: bytes | NDArray[np.uint8]) -> pa.BinaryArray:
    """Arrow array of the slices of `data` between neighbouring offsets, without a copy."""
    return pa.BinaryArray.from_buffers(pa.binary(), len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)])


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


def quoted(text: str, delimiter: str) -> bytes:
    """A text as a CSV field."""
    if any(special in text for special in (delimiter, '"', "\r", "\n")):
        text = '"' + text.replace('"', '""') + '"'
    return text.encode("utf-8", "replace")


def scored_text(index: RecordIndex, mended: Mapping[int, bytes], suffixes: pa.BinaryArray) -> bytes:
    """The records, each with its suffix before its own line end."""
    offsets = np.zeros(len(index) + 1, np.int32)
    offsets[1:] = index.ends
    # Each slice begins with the line end of the record before it.
    bodies = binary_array(offsets, index.data)
    if mended:
        begins = {number: index.data[int(offsets[number]) : int(index.starts[number])] for number in mended}
        bodies = replace(bodies, {number: begins[number] + text for number, text in mended.items()})
    return text_of(join(bodies, suffixes)) + index.data[int(offsets[-1]) :]


def records_with_line_ends(index: RecordIndex, mended: Mapping[int, bytes], line_end: bytes) -> pa.BinaryArray:
    """The records, each with the line end after it; the last one gets `line_end` if it has none."""
    data = index.data if index.data.endswith(b"\n") else index.data + line_end
    offsets = np.full(len(index) + 1, len(data), np.int32)
    offsets[:-1] = index.starts
    lines = binary_array(offsets, data)
    ends = {number: data[int(index.ends[number]) : int(offsets[number + 1])] for number in mended}
    return replace(lines, {number: text + ends[number] for number, text in mended.items()}) if mended else lines


def replace(column: pa.BinaryArray, texts: Mapping[int, bytes]) -> pa.BinaryArray:
    """The array with the texts at the given places instead of its own."""
    places = np.arange(len(column))
    places[list(texts)] = np.arange(len(column), len(column) + len(texts))
    return pa.concat_arrays([column, pa.array(texts.values(), pa.binary())]).take(pa.array(places))
