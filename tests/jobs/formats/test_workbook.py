"""A workbook of results holds the values as they are, whichever program reads it."""

import datetime as dt
import io
from decimal import Decimal
from typing import Any

import pyarrow as pa
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook
from openpyxl.utils.escape import unescape
from python_calamine import CalamineWorkbook

from jobs.formats.cells import csv_column
from jobs.formats.results import ResultReader
from jobs.formats.source import Kind
from jobs.formats.workbook import write_xlsx
from jobs.state import Job
from tests.jobs.formats.files import parquet
from tests.jobs.formats.test_results import job_of, scored


def as_workbook(job: Job, chunks: list[bytes]) -> bytes:
    out = io.BytesIO()
    write_xlsx(out, ResultReader.of(job), chunks)
    return out.getvalue()


def by_calamine(workbook: bytes) -> list[list[Any]]:
    sheet = CalamineWorkbook.from_filelike(io.BytesIO(workbook)).get_sheet_by_index(0)
    return [[None if value == "" else value for value in row] for row in sheet.to_python()]


def by_openpyxl(workbook: bytes) -> list[list[Any]]:
    rows = load_workbook(io.BytesIO(workbook), read_only=True).worksheets[0].iter_rows(values_only=True)
    # It leaves the codes of characters to others, and tells empty texts from missing ones.
    return [[(unescape(value) or None) if isinstance(value, str) else value for value in row] for row in rows]


TYPES = {
    "tiny": pa.array([1, None, -3], pa.int8()),
    "whole": pa.array([10**15 - 1, None, 10**15], pa.int64()),
    "part": pa.array([0.1 + 0.2, None, float("inf")]),
    "text": pa.array(["<r>a</r>", None, "=1+1"]),
    "flag": pa.array([True, None, False]),
    "day": pa.array([dt.date(1900, 1, 1), None, dt.date(1850, 1, 1)]),
    "moment": pa.array([dt.datetime(1900, 1, 1, 6), None, dt.datetime(2024, 2, 29, 12, 30)], pa.timestamp("ms")),
    "zoned": pa.array([dt.datetime(2024, 2, 29, 12), None, None], pa.timestamp("us", "UTC")),
    "clock": pa.array([dt.time(6), None, dt.time(23, 59, 59)], pa.time32("s")),
    "fine": pa.array([10**9, None, 10**9 + 1], pa.timestamp("ns")),
    "span_of_ns": pa.array([1001, None, 1000], pa.duration("ns")),
    "amount": pa.array([Decimal("1.50"), None, Decimal("-2.00")]),
    "span": pa.array([90, None, 0], pa.duration("s")),
    "nested": pa.array([[1, 2], None, []]),
    "nothing": pa.nulls(3),
}


def test_columns_of_arrow_types_have_cells_of_their_own_types() -> None:
    rows = by_openpyxl(as_workbook(*scored(parquet(pa.table(TYPES)))))
    columns = dict(zip(rows[0], zip(*rows[1:], strict=True), strict=True))
    assert {name: (values[0], values[2]) for name, values in columns.items() if name in TYPES} == {
        "tiny": (1, -3),
        "whole": (10**15 - 1, "1000000000000000"),
        "part": (0.1 + 0.2, "inf"),
        "text": ("<r>a</r>", "=1+1"),
        "flag": (True, False),
        "day": (dt.datetime(1900, 1, 1), "1850-01-01"),
        "moment": (dt.datetime(1900, 1, 1, 6), dt.datetime(2024, 2, 29, 12, 30)),
        "zoned": ("2024-02-29 12:00:00+00:00", None),
        "clock": (dt.time(6), dt.time(23, 59, 59)),
        "fine": (dt.datetime(1970, 1, 1, 0, 0, 1), "1970-01-01 00:00:01.000000001"),
        "span_of_ns": ("1001", "0:00:00.000001"),
        "amount": ("1.50", "-2.00"),
        "span": ("0:01:30", "0:00:00"),
        "nested": ("[1,2]", "[]"),
        "nothing": (None, None),
    }
    assert {columns[name][1] for name in TYPES} == {None}


def test_the_sheet_has_its_size_and_a_header_that_stays_in_view() -> None:
    workbook = workbook_of([["a", None, "c"], [None, None, None]], chunk_rows=2)
    sheet = load_workbook(io.BytesIO(workbook), read_only=True)["Results"]
    assert sheet.calculate_dimension() == "A1:E4"
    sheet = load_workbook(io.BytesIO(workbook))["Results"]
    assert (sheet.freeze_panes, [cell.font.b for cell in sheet[1]]) == ("A2", [True] * 5)
    assert [[cell.coordinate for cell in row if cell.value is not None] for row in sheet.iter_rows()] == [
        ["A1", "B1", "C1", "D1", "E1"], ["A2", "C2", "D2"], ["C3", "D3"], ["A4", "C4", "D4"]
    ]  # fmt: skip


def test_results_without_rows_are_a_sheet_of_the_header_alone() -> None:
    for read in (by_calamine, by_openpyxl):
        assert read(as_workbook(job_of("a"), [])) == [["a", "prediction", "probability", "error"]]


def workbook_of(columns: list[list[Any]], chunk_rows: int = 2) -> bytes:
    """A workbook of results with these columns, from chunks of a few rows."""
    kinds: list[set[Kind]] = [set() for _ in columns]
    fields = [csv_column(values, seen) for values, seen in zip(columns, kinds, strict=True)]
    lines = [
        ",".join([*row, f"yes,0.{at + 1},\n"]).encode("utf-8", "replace")
        for at, row in enumerate(zip(*fields, strict=True))
    ]
    names = ",".join(f"c{at}" for at in range(len(columns)))
    job = job_of(names, kinds=[sorted(seen) for seen in kinds], kind="xlsx")
    return as_workbook(job, [b"".join(lines[at : at + chunk_rows]) for at in range(0, len(lines), chunk_rows)])


# Excel has codes for these, but calamine leaves them as they are.
NO_CHARACTERS = "\ufffe\uffff"
WHOLE = st.integers(1 - 10**15, 10**15 - 1)
DAYS = st.dates(dt.date(1900, 3, 1), dt.date(9999, 12, 30))
VALUES: list[st.SearchStrategy[Any]] = [
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters=NO_CHARACTERS)),
    st.text(st.sampled_from("_x00aF41 \t\r\n\x00\x01\x1f&<>'\";,=")),
    WHOLE,
    st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False),
    st.booleans(),
    DAYS,
    st.builds(dt.datetime.combine, DAYS, st.times()).map(lambda moment: moment.replace(microsecond=0)),
    st.times().map(lambda time: time.replace(microsecond=0)),
]
COLUMN = st.one_of(
    *(st.lists(st.none() | value, min_size=5, max_size=5) for value in VALUES),
    st.lists(st.none() | st.one_of(*VALUES), min_size=5, max_size=5),
)


def as_moment(value: Any) -> Any:
    """The value, a date as its midnight: programs differ in this."""
    return dt.datetime.combine(value, dt.time()) if type(value) is dt.date else value


@settings(max_examples=50, deadline=None)
@given(st.lists(COLUMN, min_size=1, max_size=5))
def test_whatever_a_cell_holds_comes_back(columns: list[list[Any]]) -> None:
    workbook = workbook_of(columns)
    for read in (by_calamine, by_openpyxl):
        found = read(workbook)
        assert [row[len(columns) :] for row in found[1:]] == [["yes", float(f"0.{at}"), None] for at in range(1, 6)]
        for row, values in zip(found[1:], zip(*columns, strict=True), strict=True):
            for cell, value in zip(row, values, strict=False):
                assert as_moment(cell) == (as_moment(value) if value != "" else None), (read, columns)
                assert isinstance(cell, bool) is isinstance(value, bool)


ODD_TEXTS = [
    "", " a ", "\ta\n", "\xa0a", "a\rb", "a\r\nb", "a\u2028b", "\x00", "\x0b", "\x1f", "\ufffe", "\uffff",
    "_x0041_", "__x0041_", "_X0041_", "_x0041", "_x005F_", "<&>", "&amp;", "'a", "=1+1", "{=1}", "https://example.org",
]  # fmt: skip


def test_texts_read_as_those_that_xlsxwriter_writes_by_cell() -> None:
    file = io.BytesIO()
    book = xlsxwriter.Workbook(file, {"constant_memory": True})
    sheet = book.add_worksheet()
    for at, text in enumerate(ODD_TEXTS):
        sheet.write_string(at, 0, text)
    book.close()
    workbook = workbook_of([ODD_TEXTS])
    for read in (by_calamine, by_openpyxl):
        assert [row[0] for row in read(workbook)[1:]] == [row[0] for row in read(file.getvalue())]
