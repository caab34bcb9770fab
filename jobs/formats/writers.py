"""Write results as Parquet or JSON lines, chunk by chunk, in little memory."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.formats.results import ResultReader

_GROUP_ROWS = 131_072


def write_parquet(out: BinaryIO, reader: ResultReader, chunks: Iterable[bytes]) -> None:
    """Write the results as Parquet, a row group at a time; meanwhile, the next chunk is read."""
    file = pq.ParquetWriter(pa.output_stream(out), reader.schema, compression="snappy")
    with file as writer, ThreadPoolExecutor(1) as pool:
        waiting: list[pa.Table] = []
        for table in _one_ahead(pool, reader.table, chunks):
            waiting.append(table)
            if sum(table.num_rows for table in waiting) >= _GROUP_ROWS:
                writer.write_table(pa.concat_tables(waiting), row_group_size=2 * _GROUP_ROWS)
                waiting = []
        if waiting:
            writer.write_table(pa.concat_tables(waiting), row_group_size=2 * _GROUP_ROWS)


def _one_ahead(
    pool: ThreadPoolExecutor, read: Callable[[bytes], pa.Table], chunks: Iterable[bytes]
) -> Iterator[pa.Table]:
    """Yield what is read of each chunk, while the pool reads the next one."""
    ahead: Future[pa.Table] | None = None
    for chunk in chunks:
        ready, ahead = ahead, pool.submit(read, chunk)
        if ready:
            yield ready.result()
    if ahead:
        yield ahead.result()


def write_json_lines(out: BinaryIO, reader: ResultReader, chunks: Iterable[bytes]) -> None:
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
