"""Write results as Parquet, Excel or JSON lines, chunk by chunk, in little memory."""

import datetime
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, BinaryIO

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import xlsxwriter

from jobs.formats.results import ResultReader

_GROUP_ROWS = 131_072
_MAX_CELL = 32_767
# A larger number of digits would not be what came in.
_MAX_EXACT = 10**15
_FIRST_DAY = datetime.date(1900, 1, 1)


class CellTooLong(Exception):
    """Raised when a text is longer than a cell of Excel can be."""


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


def write_xlsx(out: BinaryIO, reader: ResultReader, chunks: Iterable[bytes]) -> None:
    """Write the results as an Excel workbook. Texts are never taken for formulas or links.

    Raises:
        CellTooLong: a text does not fit into a cell.
    """
    book = xlsxwriter.Workbook(out, {"constant_memory": True, "use_zip64": True})
    sheet = book.add_worksheet("Results")
    sheet.freeze_panes(1, 0)
    bold = book.add_format({"bold": True})
    for column, name in enumerate(reader.names):
        sheet.write_string(0, column, name[:_MAX_CELL], bold)
    _SheetWriter(book, sheet).write(row for chunk in chunks for row in reader.rows(chunk))
    book.close()


class _SheetWriter:
    """Writes rows, each value in a cell of its own type."""

    def __init__(self, book: Any, sheet: Any) -> None:
        self._sheet = sheet
        self._day = book.add_format({"num_format": "yyyy-mm-dd"})
        self._moment = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        self._time = book.add_format({"num_format": "hh:mm:ss"})

    def write(self, rows: Iterator[Sequence[Any]]) -> None:
        text, number = self._sheet.write_string, self._sheet.write_number
        for at, row in enumerate(rows, 1):
            for column, value in enumerate(row):
                if value is None:
                    continue
                if type(value) is str:
                    if len(value) > _MAX_CELL:
                        raise CellTooLong
                    text(at, column, value)
                elif (type(value) is float and math.isfinite(value)) or (
                    type(value) is int and abs(value) < _MAX_EXACT
                ):
                    number(at, column, value)
                else:
                    self._write_other(at, column, value)

    def _write_other(self, at: int, column: int, value: Any) -> None:
        if isinstance(value, bool):
            self._sheet.write_boolean(at, column, value)
        elif isinstance(value, datetime.datetime) and value.tzinfo is None and value.date() >= _FIRST_DAY:
            self._sheet.write_datetime(at, column, value, self._moment)
        elif type(value) is datetime.date and value >= _FIRST_DAY:
            self._sheet.write_datetime(at, column, value, self._day)
        elif isinstance(value, datetime.time):
            self._sheet.write_datetime(at, column, value, self._time)
        else:
            text = orjson.dumps(value).decode() if isinstance(value, (dict, list)) else str(value)
            if len(text) > _MAX_CELL:
                raise CellTooLong
            self._sheet.write_string(at, column, text)
