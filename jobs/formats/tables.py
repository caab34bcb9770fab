"""Read Parquet and Arrow files a batch at a time."""

import math
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import ipc

from jobs.csv.reader import MAX_CHUNK_ROWS
from jobs.csv.totals import is_label
from jobs.errors import UploadRefused
from jobs.formats.source import Rows, Source, check_names, unreadable
from jobs.formats.texts import is_text, plain_field, plain_type
from jobs.formats.typed import csv_size, csv_text, pack, sound_batch, unpacked_bytes

_BATCH_ROWS = 65_536
# Rows of a batch are chosen so that it takes about this much.
_BATCH_BYTES = 16 * 1024 * 1024
# Batches that are smaller than this part of a chunk go together as CSV, so that chunks do not become many and tiny.
_MIN_PART = 16
# Types of texts, each with that of the same bytes.
_OF_BYTES = (
    (pa.types.is_string, pa.binary),
    (pa.types.is_large_string, pa.large_binary),
    (pa.types.is_string_view, pa.binary_view),
)
# Bytes of a value in a column that is a dictionary and codes; a column of mostly distinct texts takes more.
_MAX_CODED_BYTES = 3


def open_parquet(path: str, max_bytes: int, typed_bytes: int = 0) -> Source:
    """Open a Parquet file; raise UploadRefused if it cannot be read or is too large when decompressed.

    ``typed_bytes`` is as in ``ReadOptions``.
    """
    try:
        # Reading ahead would hold whole row groups in memory.
        file = pq.ParquetFile(pa.OSFile(path), pre_buffer=False)
        schema = file.schema_arrow
    except (pa.ArrowException, OSError) as error:
        raise unreadable("Parquet file", error) from error
    _check(schema)
    metadata = file.metadata
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    if sum(group.total_byte_size for group in groups) > max_bytes:
        raise UploadRefused("too_large", f"the file holds more than {max_bytes} bytes when it is decompressed")
    coded = _coded_columns(schema, metadata)
    file = pq.ParquetFile(pa.OSFile(path), read_dictionary=coded, pre_buffer=False) if coded else file
    widest = max((group.total_byte_size / group.num_rows for group in groups if group.num_rows), default=1)
    size = int(min(_BATCH_ROWS, max(1, _BATCH_BYTES / max(1, widest))))
    batches = _read(file.iter_batches(batch_size=size, use_threads=False), "Parquet file")
    return _source(schema, _with_progress(batches, metadata.num_rows), typed_bytes)


def _coded_columns(schema: pa.Schema, metadata: Any) -> list[str]:
    """Return the columns of texts with so few distinct ones that they are worth decoding once each."""
    texts = {field.name for field in schema if is_text(field.type)} if len(set(schema.names)) == len(schema) else set()
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    sizes = dict.fromkeys(texts, 0)
    for group in groups:
        for at in range(group.num_columns):
            column = group.column(at)
            if column.path_in_schema in sizes:
                sizes[column.path_in_schema] += column.total_uncompressed_size
    return [name for name, size in sizes.items() if size < _MAX_CODED_BYTES * metadata.num_rows]


def _with_progress(batches: Iterator[pa.RecordBatch], total: int) -> Iterator[tuple[pa.RecordBatch, float]]:
    done = 0
    for batch in batches:
        done += batch.num_rows
        yield batch, done / max(1, total)


def open_arrow(path: str, typed_bytes: int = 0) -> Source:
    """Open an Arrow stream or file; raise UploadRefused if it cannot be read."""
    try:
        file = pa.memory_map(path)
        is_file = file.read(6) == b"ARROW1"
        file.seek(0)
        reader = ipc.open_file(file) if is_file else ipc.open_stream(file)
    except (pa.ArrowException, OSError) as error:
        raise unreadable("Arrow file", error) from error
    _check(reader.schema)
    batches = _file_batches(reader) if is_file else _stream_batches(reader, file)
    return _source(reader.schema, batches, typed_bytes)


def _file_batches(reader: Any) -> Iterator[tuple[pa.RecordBatch, float]]:
    count = reader.num_record_batches
    for number, batch in enumerate(_read((reader.get_batch(number) for number in range(count)), "Arrow file"), 1):
        yield batch, number / count


def _stream_batches(reader: Any, file: Any) -> Iterator[tuple[pa.RecordBatch, float]]:
    with closing(file):
        size = max(1, file.size())
        for batch in _read(iter(reader), "Arrow file"):
            yield batch, min(1.0, file.tell() / size)


def _read(batches: Iterator[pa.RecordBatch], what: str) -> Iterator[pa.RecordBatch]:
    try:
        for batch in batches:
            for column in batch.columns:
                _check_values(column)
            yield batch
    except MemoryError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise unreadable(what, error) from error


def _check_values(column: pa.Array) -> None:
    """Check every offset and index of a column: pyarrow would read what else is in memory where they are wrong.

    Texts may hold any bytes; scoring rejects the rows in which they are not UTF-8.

    Raises:
        ArrowInvalid: an offset or index is wrong.
    """
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        _check_values(column.storage)
    elif pa.types.is_dictionary(kind):
        column.validate()
        _check_values(column.dictionary)  # its indices are checked when it is decoded
    else:
        of_bytes = next((to for is_kind, to in _OF_BYTES if is_kind(kind)), None)
        (column.view(of_bytes()) if of_bytes else column).validate(full=True)


def _check(schema: pa.Schema) -> None:
    check_names(schema.names)


def _source(schema: pa.Schema, batches: Iterator[tuple[pa.RecordBatch, float]], typed_bytes: int) -> Source:
    plain = pa.schema([plain_field(name, kind) for name, kind in zip(schema.names, schema.types, strict=True)])
    return Source(schema.names, _rows(batches, typed_bytes), schema=plain)


def _rows(batches: Iterator[tuple[pa.RecordBatch, float]], typed_bytes: int) -> Iterator[Rows]:
    for batch, progress in batches:
        step = max(1, min(MAX_CHUNK_ROWS, int(_BATCH_BYTES / max(1, _bytes_of_row(batch)))))
        try:
            size = unpacked_bytes(batch) if typed_bytes else 0
            is_typed = size > typed_bytes / _MIN_PART
            if is_typed:
                count = max(math.ceil(batch.num_rows / step), round(size / typed_bytes))
                step = math.ceil(batch.num_rows / count)
            for start in range(0, batch.num_rows, step):
                part = batch.slice(start, step)
                parts = list(_typed(part) if is_typed else _as_csv(part))
                if start + step >= batch.num_rows:
                    parts[-1] = replace(parts[-1], progress=progress)
                yield from parts
        except pa.ArrowException as error:
            raise unreadable("file", error) from error


def _as_csv(batch: pa.RecordBatch) -> Iterator[Rows]:
    text = csv_text(batch)
    yield Rows(text, batch.num_rows, 0.0, len(text))


def _typed(batch: pa.RecordBatch) -> Iterator[Rows]:
    """Yield the rows as a packed batch if they can be one; a last row that may hold totals as CSV, in any case."""
    sound = sound_batch(batch)
    if sound is None:
        yield from _as_csv(batch)
        return
    rows = batch.num_rows - _may_end_in_totals(sound)
    if rows:
        kept = sound.slice(0, rows)
        size = csv_size(kept)
        yield Rows(pack(kept, size), rows, 0.0, size, is_typed=True)
    if rows < batch.num_rows:
        yield from _as_csv(batch.slice(rows))


def _may_end_in_totals(batch: pa.RecordBatch) -> bool:
    last = batch.slice(batch.num_rows - 1)
    return any(is_text(plain_type(column.type)) and is_label(column[0].as_py() or "") for column in last.columns)


def _bytes_of_row(batch: pa.RecordBatch) -> float:
    """Return about how many bytes a row takes, a text of a dictionary counted as often as it stands in a row."""
    coded = [column.dictionary for column in batch.columns if pa.types.is_dictionary(column.type)]
    longest = [pc.max(pc.binary_length(texts)).as_py() or 0 for texts in coded if is_text(texts.type)]
    return float(batch.nbytes / max(1, batch.num_rows) + sum(longest))
