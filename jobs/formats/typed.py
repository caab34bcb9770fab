"""Rows of Parquet and Arrow files that keep their types on the way: packed for the store, and their text as CSV. Pure.

A packed batch is an Arrow stream of one record batch, whose columns are those in which the file comes back
(``plain_column``), texts with few distinct values as codes of a dictionary. Its schema says how long its text is. Only
what is sound is packed: no text holds what CSV cannot contain, or what scoring rejects a record for.
"""

import base64
from collections.abc import Collection
from contextlib import suppress
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from numpy.typing import NDArray
from pyarrow import ipc

from jobs.csv.reader import MAX_FIELD_BYTES
from jobs.formats.texts import csv_fields, is_text, plain_column, plain_columns

_PACKED = ipc.IpcWriteOptions(compression=pa.Codec("zstd", 1), use_threads=False)
# In the metadata of a packed batch's schema: the size of its text.
_SIZE = b"size"
_UNQUOTED = pa_csv.WriteOptions(include_header=False, quoting_style="none")
_COMMA, _LINE_END, _NOTHING = (pa.scalar(text, pa.binary()) for text in (b",", b"\n", b""))
# Quotes double at most.
_MAX_TEXT_BYTES = MAX_FIELD_BYTES // 2


def pack(batch: pa.RecordBatch, size: int) -> bytes:
    """Return the batch as it is stored; ``size`` is that of its text in bytes."""
    out = pa.BufferOutputStream()
    batch = batch.replace_schema_metadata({_SIZE: str(size)})
    with ipc.new_stream(out, batch.schema, options=_PACKED) as writer:
        writer.write_batch(batch)
    return out.getvalue().to_pybytes()  # type: ignore[no-any-return]


def unpack(data: bytes, columns: Collection[int] = ()) -> pa.RecordBatch:
    """Return what ``pack`` packed; only these columns, in the order of the batch, if any are given."""
    options = ipc.IpcReadOptions(included_fields=sorted(columns), use_threads=False)
    return ipc.open_stream(pa.BufferReader(data), options=options).read_next_batch()


def first_columns(data: bytes, count: int) -> bytes:
    """Return a packed batch with its first columns only."""
    kept = unpack(data, range(count))
    return pack(kept, csv_size(kept))


def rows_after(data: bytes, count: int) -> bytes:
    """Return a packed batch without its first rows."""
    batch = unpack(data)
    left = batch.take(pa.array(range(count, batch.num_rows)))
    return pack(left, csv_size(left))


def first_fields(schema: str, count: int) -> str:
    """Return an Arrow schema, as base64, with its first fields only."""
    every = ipc.read_schema(pa.BufferReader(base64.b64decode(schema)))
    return base64.b64encode(pa.schema(list(every)[:count]).serialize()).decode()


def pack_texts(texts: pa.BinaryArray) -> bytes:
    """Return an array of texts as it is stored."""
    return pack(pa.record_batch([texts], ["0"]), _total_length(texts))


def text_size(packed: bytes) -> int:
    """Return the size of the text of a packed batch, or of packed texts, without making it."""
    stated = (ipc.open_stream(pa.BufferReader(packed)).schema.metadata or {}).get(_SIZE)
    # A worker of the version before, which may share the store, packs batches that do not say it.
    return csv_size(unpack(packed)) if stated is None else int(stated)


def unpack_texts(data: bytes) -> pa.BinaryArray:
    """Return what ``pack_texts`` packed."""
    return unpack(data).column(0)


def suffix_text(packed: bytes) -> bytes:
    """Return packed suffixes as CSV without what they are appended to."""
    return _bytes(pc.binary_join_element_wise(unpack_texts(packed), _LINE_END, _NOTHING))


def sound_batch(batch: pa.RecordBatch) -> pa.RecordBatch | None:
    """Return the rows with plain columns, named by their numbers; None if they must be read as CSV.

    These are rows of a single column, which may be blank lines, with texts that are not UTF-8, hold NUL or are long.

    Raises:
        pa.ArrowInvalid: an index of a dictionary is wrong.
    """
    if batch.num_columns < 2:
        return None
    columns = [plain_column(column) for column in batch.columns]
    texts = [column.dictionary if pa.types.is_dictionary(column.type) else column for column in columns]
    texts = [column for column in texts if is_text(column.type)]
    if not all(map(_is_utf8, texts)) or sum(map(_longest, texts)) > _MAX_TEXT_BYTES:
        return None
    if any(pc.any(pc.match_substring(column, "\0")).as_py() for column in texts):
        return None
    return pa.record_batch(columns, names=[str(at) for at in range(len(columns))])


def _is_utf8(texts: pa.StringArray) -> bool:
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _longest(texts: pa.StringArray) -> int:
    return pc.max(pc.binary_length(texts)).as_py() or 0


def unpacked_bytes(batch: pa.RecordBatch) -> int:
    """Return the size of the values, a text of a dictionary counted as often as it stands in a row."""
    size = 0
    for column in batch.columns:
        if pa.types.is_dictionary(column.type) and is_text(column.type.value_type):
            lengths = pc.binary_length(column.dictionary)
            size += pc.sum(lengths.take(column.indices).cast(pa.int64())).as_py() or 0
        else:
            size += column.nbytes
    return size


def csv_size(batch: pa.RecordBatch) -> int:
    """Return the size of what ``csv_text`` returns, for a batch of plain columns."""
    if batch.num_columns == 1:  # in which empty values are quoted
        return len(csv_text(batch))
    return sum(map(_fields_size, batch.columns)) + int(batch.num_columns * batch.num_rows)


def _fields_size(column: pa.Array) -> int:
    if pa.types.is_dictionary(column.type):
        return _sum(pc.binary_length(csv_fields(column.dictionary)).take(column.indices))
    if pa.types.is_integer(column.type):
        return _digits(column.drop_null().to_numpy())
    return _total_length(csv_fields(column))


def _digits(numbers: NDArray[np.integer[Any]]) -> int:
    """Return how many digits and signs the numbers have together."""
    if not len(numbers):
        return 0
    lowest, highest = int(numbers.min()), int(numbers.max())
    found = len(numbers) + int(np.count_nonzero(numbers < 0))
    # A digit more for every power of ten that a number reaches.
    for power in (10**digits for digits in range(1, len(str(max(highest, -lowest))))):
        found += int(np.count_nonzero(numbers >= power)) if power <= highest else 0
        found += int(np.count_nonzero(numbers <= -power)) if -power >= lowest else 0
    return found


def _total_length(texts: pa.BinaryArray) -> int:
    return _sum(pc.binary_length(texts))


def _sum(lengths: pa.Int32Array) -> int:
    return pc.sum(lengths).as_py() or 0


def csv_text(batch: pa.RecordBatch) -> bytes | memoryview:
    """Return the rows of a batch as CSV.

    Raises:
        pa.ArrowException: a value or an index is wrong.
    """
    if (text := _unquoted(batch)) is not None:
        return text
    return _bytes(pc.binary_join_element_wise(_records(batch), _LINE_END, _NOTHING))


def csv_text_with(batch: pa.RecordBatch, suffixes: pa.BinaryArray) -> bytes:
    """Return the rows of a batch as CSV, each with its suffix."""
    text = _unquoted(batch)
    if text is None:
        return _bytes(pc.binary_join_element_wise(_records(batch), suffixes, _LINE_END, _NOTHING))
    # Each part begins with the line end of the record before, so that the suffix goes before its own.
    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n"))
    bounds = pa.py_buffer(np.concatenate([[0], ends]).astype(np.int32))
    parts = pa.BinaryArray.from_buffers(pa.binary(), len(ends), [None, bounds, pa.py_buffer(text)])
    return _bytes(pc.binary_join_element_wise(parts, suffixes, _NOTHING)) + b"\n"


def _bytes(joined: pa.BinaryArray) -> bytes:
    """Return all texts that were made by joining, one after the other."""
    data = joined.buffers()[2]
    return data.to_pybytes() if data is not None else b""


def _records(batch: pa.RecordBatch) -> pa.BinaryArray:
    """Return the rows as records without line ends."""
    alone = batch.num_columns == 1
    fields = [csv_fields(column, alone) for column in batch.columns]
    return fields[0] if alone else pc.binary_join_element_wise(*fields, _COMMA)


def _unquoted(batch: pa.RecordBatch) -> memoryview | None:
    """Return the rows as CSV without quotes; None if a text needs them."""
    columns = None if batch.num_columns == 1 else plain_columns(batch.columns)
    if not columns:
        return None
    out = pa.BufferOutputStream()
    with suppress(pa.ArrowInvalid):
        pa_csv.write_csv(pa.record_batch(columns, names=[str(at) for at in range(len(columns))]), out, _UNQUOTED)
        return memoryview(out.getvalue())
    return None
