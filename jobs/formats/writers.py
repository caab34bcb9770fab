"""Write results as Parquet or JSON lines, chunk by chunk, in little memory."""

import base64
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import BinaryIO

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.formats.results import ResultReader, Results

_GROUP_ROWS = 131_072
# Where Arrow looks for the schema that a Parquet file was written with.
_SCHEMA_KEY = "ARROW:schema"


def write_parquet(out: BinaryIO, reader: ResultReader, chunks: Iterable[Results]) -> None:
    """Write the results as Parquet, a row group at a time; meanwhile, the next chunk is read."""
    rest = iter(chunks)
    first = list(islice(rest, 1))
    if first:
        reader = reader.coded(first[0])
    # Codes are how texts are written, not what readers get: they read the schema of the results.
    file = pq.ParquetWriter(pa.output_stream(out), reader.table_schema, compression="snappy", store_schema=False)
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
    names = _unique(reader.names)
    for chunk in chunks:
        for row in reader.rows(chunk):
            record = dict(zip(names, row, strict=True))
            out.write(orjson.dumps(record, default=str, option=orjson.OPT_APPEND_NEWLINE))
        out.flush()


def _unique(names: Sequence[str]) -> list[str]:
    """Return the names, with ``_2``, ``_3``, … appended to those that there are already."""
    taken: dict[str, None] = {}
    for name in names:
        candidates = (name, *(f"{name}_{number}" for number in range(2, len(names) + 2)))
        taken[next(one for one in candidates if one not in taken)] = None
    return list(taken)
