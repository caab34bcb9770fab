"""Write results as an Excel workbook, in little memory.

XlsxWriter makes the workbook with its header. It writes a cell at a time, which is too slow for the rows: their XML is
made here, once for each distinct value of a column, and put into its place in the sheet.
"""

import datetime
import io
import math
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from shutil import copyfileobj
from typing import IO, Any, BinaryIO, Self

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import xlsxwriter
from xlsxwriter.utility import xl_col_to_name, xl_range

from jobs.formats.results import Column, ResultReader, Results

_MAX_CELL = 32_767
# A larger number of digits would not be what came in.
_MAX_EXACT = 10**15
_FIRST_DAY = datetime.date(1900, 1, 1)
_DAY_ZERO = datetime.datetime(1899, 12, 31)
# Excel takes 1900 for a leap year.
_DAYS_BEFORE_LEAP_DAY = 59
_DAY = datetime.timedelta(days=1)
_SHEET = "xl/worksheets/sheet1.xml"
# Larger levels take more time than all else, for little.
_COMPRESSION_LEVEL = 3
_BATCH_CELLS = 131_072
_MAX_ZIP32_BYTES = 2**31 - 1
_COPY_BYTES = 1024 * 1024
_MARKUP = re.compile("[&<>]")
# Excel reads `_xHHHH_` as the character with this code, which is how those are written that XML cannot hold.
_ESCAPED = re.compile("_(?=x[0-9a-fA-F]{4}_)")
_NO_XML = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]")
_OUTER_SPACE = re.compile(r"\A\s|\s\Z")


class CellTooLong(Exception):
    """Raised when a text is longer than a cell of Excel can be."""


def write_xlsx(out: BinaryIO, reader: ResultReader, chunks: Iterable[Results]) -> None:
    """Write the results as an Excel workbook. Texts are never taken for formulas or links.

    Nothing is written before all rows are known to fit.

    Raises:
        CellTooLong: a text does not fit into a cell.
    """
    book = _EmptyWorkbook.of(reader.names)
    with tempfile.TemporaryFile() as rows:
        count = 0
        for chunk in chunks:
            columns = reader.columns(chunk)
            for xml in _rows_as_xml(columns, count, book.write_cell):
                rows.write(xml)
            count += len(columns[0].codes)
        book.write(out, rows, count)


@dataclass(frozen=True, slots=True)
class _EmptyWorkbook:
    """A workbook without rows: its parts, of which the sheet is cut in two where the rows belong."""

    parts: zipfile.ZipFile
    before: bytes
    after: bytes
    width: int
    write_cell: Callable[[Any], str]

    @classmethod
    def of(cls, names: Sequence[str]) -> Self:
        """Return the workbook with these names in its first row."""
        made = io.BytesIO()
        book = xlsxwriter.Workbook(made, {"constant_memory": True})
        sheet = book.add_worksheet("Results")
        sheet.freeze_panes(1, 0)
        bold = book.add_format({"bold": True})
        for column, name in enumerate(names):
            sheet.write_string(0, column, name[:_MAX_CELL], bold)
        # A row that shows which numbers the formats get.
        for column, shown in enumerate(("yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss", "hh:mm:ss")):
            sheet.write_number(1, column, 0, book.add_format({"num_format": shown}))
        book.close()
        parts = zipfile.ZipFile(made)
        before, formats, after = re.split(rb"(?<=</row>)(<row.*)(?=</sheetData>)", parts.read(_SHEET), flags=re.DOTALL)
        day, moment, time = map(int, re.findall(rb' s="(\d+)"', formats))
        return cls(parts, before, after, len(names), _CellWriter(day, moment, time))

    def write(self, out: BinaryIO, rows: IO[bytes], count: int) -> None:
        """Write the workbook with ``count`` rows, the XML of which has been written to a file."""
        area = b'<dimension ref="%s"/>' % xl_range(0, 0, count, self.width - 1).encode()
        before = re.sub(rb'<dimension ref="[^"]*"/>', area, self.before, count=1)
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=_COMPRESSION_LEVEL) as archive:
            for part in self.parts.infolist():
                if part.filename != _SHEET:
                    archive.writestr(part, self.parts.read(part))
                    continue
                is_large = len(before) + rows.tell() + len(self.after) > _MAX_ZIP32_BYTES
                rows.seek(0)
                with archive.open(_SHEET, "w", force_zip64=is_large) as target:
                    target.write(before)
                    copyfileobj(rows, target, _COPY_BYTES)
                    target.write(self.after)


@dataclass(frozen=True, slots=True)
class _CellWriter:
    """Writes a value as the XML of a cell of its own type, after ``<c r="A1``.

    ``day``, ``moment`` and ``time`` are the numbers of the formats of dates.

    Raises:
        CellTooLong: a text does not fit into a cell.
    """

    day: int
    moment: int
    time: int

    def __call__(self, value: Any) -> str:  # noqa: PLR0911 - one line for each type
        if value is None:
            return '"/>'
        if type(value) is str:
            return _text(value)
        if (type(value) is float and math.isfinite(value)) or (type(value) is int and abs(value) < _MAX_EXACT):
            return f'"><v>{value!r}</v></c>'
        if isinstance(value, bool):
            return f'" t="b"><v>{value:d}</v></c>'
        if isinstance(value, datetime.datetime) and value.tzinfo is None and value.date() >= _FIRST_DAY:
            return f'" s="{self.moment}"><v>{_serial(value)!r}</v></c>'
        if type(value) is datetime.date and value >= _FIRST_DAY:
            return f'" s="{self.day}"><v>{_serial(datetime.datetime.combine(value, datetime.time()))!r}</v></c>'
        if isinstance(value, datetime.time):
            return f'" s="{self.time}"><v>{_serial(datetime.datetime.combine(_DAY_ZERO, value))!r}</v></c>'
        return _text(orjson.dumps(value).decode() if isinstance(value, (dict, list)) else str(value))


def _text(text: str) -> str:
    if len(text) > _MAX_CELL:
        raise CellTooLong
    text = _NO_XML.sub(lambda found: f"_x{ord(found[0]):04X}_", _ESCAPED.sub("_x005F_", text))
    if _MARKUP.search(text):
        text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    space = ' xml:space="preserve"' if _OUTER_SPACE.search(text) else ""
    return f'" t="inlineStr"><is><t{space}>{text}</t></is></c>'


def _serial(moment: datetime.datetime) -> float:
    """Return the days since the first of 1900, which is 1, as Excel counts them."""
    days = (moment - _DAY_ZERO) / _DAY
    return days + (days >= _DAYS_BEFORE_LEAP_DAY + 1)


def _rows_as_xml(columns: Sequence[Column], rows_before: int, write: Callable[[Any], str]) -> Iterator[memoryview]:
    """Yield some rows at a time as XML; the row of names and ``rows_before`` stand before them."""
    cells = {
        at: (
            _binary(f'<c r="{xl_col_to_name(at)}'),
            pa.array([write(value).encode() for value in column.values]),
            column,
        )
        for at, column in enumerate(columns)
        if column.values != [None]
    }
    count, step = len(columns[0].codes), max(1, _BATCH_CELLS // len(columns))
    for start in range(0, count, step):
        # Rows count from 1, and the first holds the names.
        numbers = pa.array(range(rows_before + start + 2, rows_before + min(count, start + step) + 2))
        numbers = numbers.cast(pa.string()).cast(pa.binary())
        parts = [_binary('<row r="'), numbers, _binary('">')]
        for opened, distinct, column in cells.values():
            parts += [opened, numbers, distinct.take(column.codes.slice(start, step))]
        _, _, xml = pc.binary_join_element_wise(*parts, _binary("</row>"), _binary("")).buffers()
        yield memoryview(xml)


def _binary(text: str) -> pa.Scalar:
    return pa.scalar(text.encode(), pa.binary())
