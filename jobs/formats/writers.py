"""Write results as Parquet or JSON lines, chunk by chunk, in little memory."""

import base64
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import BinaryIO

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jobs.formats.results import ResultReader, Results

_GROUP_ROWS = 131_072
# The share of distinct values in the first chunk beyond which a column is written without a dictionary.
_MAX_DISTINCT = 0.5
# Bytes of names that are written at once as JSON.
_MAX_KEY_BYTES = 16 * 1024 * 1024
# Where Arrow looks for the schema that a Parquet file was written with.
_SCHEMA_KEY = "ARROW:schema"


def write_parquet(out: BinaryIO, reader: ResultReader, chunks: Iterable[Results]) -> None:
    """Write the results as Parquet, a row group at a time; meanwhile, the next chunk is read."""
    rest = iter(chunks)
    first = list(islice(rest, 1))
    repeating: bool | list[str] = True
    if first:
        reader = reader.coded(first[0])
        repeating = _repeating(reader.table(first[0]))
    # Codes are how texts are written, not what readers get: they read the schema of the results.
    file = pq.ParquetWriter(
        pa.output_stream(out), reader.table_schema, compression="snappy", store_schema=False, use_dictionary=repeating
    )
    with file as writer, ThreadPoolExecutor(1) as pool:
        writer.add_key_value_metadata({_SCHEMA_KEY: base64.b64encode(reader.schema.serialize()).decode()})
        waiting: list[pa.Table] = []
        for table in _one_ahead(pool, reader.table, chain(first, rest)):
            waiting.append(table)
            if sum(table.num_rows for table in waiting) >= _GROUP_ROWS:
                _write_group(writer, waiting)
                waiting = []
        if waiting:
            _write_group(writer, waiting)


def _repeating(table: pa.Table) -> list[str]:
    """Return the columns but those of mostly distinct numbers, whose dictionary takes time and spares little room."""
    columns = zip(table.column_names, table.columns, strict=True)
    return [name for name, column in columns if not _is_distinct(column)]


def _is_distinct(column: pa.ChunkedArray) -> bool:
    is_number = pa.types.is_integer(column.type) or pa.types.is_float32(column.type) or pa.types.is_float64(column.type)
    return bool(is_number and pc.count_distinct(column).as_py() > _MAX_DISTINCT * len(column))


def _write_group(writer: pq.ParquetWriter, tables: Sequence[pa.Table]) -> None:
    writer.write_table(pa.concat_tables(tables).unify_dictionaries(), row_group_size=2 * _GROUP_ROWS)


def _one_ahead(
    pool: ThreadPoolExecutor, read: Callable[[Results], pa.Table], chunks: Iterable[Results]
) -> Iterator[pa.Table]:
    """Yield what is read of each chunk, while the pool reads the next one."""
    ahead: Future[pa.Table] | None = None
    for chunk in chunks:
        ready, ahead = ahead, pool.submit(read, chunk)
        if ready:
            yield ready.result()
    if ahead:
        yield ahead.result()


def write_json_lines(out: BinaryIO, reader: ResultReader, chunks: Iterable[Results]) -> None:
    """Write the results as JSON lines: an object for each record."""
    keys = [orjson.dumps(name) + b":" for name in _unique(reader.names)]
    # The names stand in each record: a chunk of short rows may become much longer.
    step = max(1, _MAX_KEY_BYTES // sum(map(len, keys)))
    for chunk in chunks:
        columns = reader.columns(chunk)
        # Each distinct value of a column is written once.
        fields = [
            pa.array([key + orjson.dumps(value, default=str) for value in column.values], pa.large_binary())
            for key, column in zip(keys, columns, strict=True)
        ]
        for start in range(0, len(columns[0].codes), step):
            rows = [texts.take(column.codes.slice(start, step)) for texts, column in zip(fields, columns, strict=True)]
            out.write(_joined_lines(rows))
        out.flush()


def _joined_lines(fields: Sequence[pa.LargeBinaryArray]) -> memoryview | bytes:
    """Return the records of these fields, each of which has its name already, as lines."""
    begin, between, end, nothing = (pa.scalar(text, pa.large_binary()) for text in (b"{", b",", b"}\n", b""))
    records = pc.binary_join_element_wise(*fields, between)
    data = pc.binary_join_element_wise(begin, records, end, nothing).buffers()[2]
    return b"" if data is None else memoryview(data)


def _unique(names: Sequence[str]) -> list[str]:
    """Return the names, with ``_2``, ``_3``, … appended to those that there are already."""
    taken: dict[str, None] = {}
    for name in names:
        candidates = (name, *(f"{name}_{number}" for number in range(2, len(names) + 2)))
        taken[next(one for one in candidates if one not in taken)] = None
    return list(taken)
