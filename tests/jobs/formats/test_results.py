"""Results come back as the rows came in, each value in its own type, with the added columns in theirs."""

import datetime as dt
import io
import json
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from python_calamine import CalamineWorkbook

from jobs.formats.results import ResultReader
from jobs.formats.workbook import CellTooLong, write_xlsx
from jobs.formats.writers import write_json_lines, write_parquet
from jobs.state import Job
from jobs.store.job_record import JobRecord
from tests.jobs.formats.files import arrow_stream, json_lines, parquet, xlsx
from tests.jobs.formats.test_reading import TABLE, read
from tests.jobs.store.conftest import NEW
from tests.jobs.store.test_job_record import stored

ADDED = (("prediction", False), ("probability", True), ("error", False))


def job_of(names: str, schema: str | None = None, kinds: Any = None, kind: str = "csv", delimiter: str = ",") -> Job:
    new = replace(NEW, header=f"{names},prediction,probability,error".replace(",", delimiter).encode(),
                  input_header=names.replace(",", delimiter).encode(), added_columns=ADDED, format=kind,
                  delimiter=delimiter)  # fmt: skip
    job = JobRecord(stored(JobRecord.encode_new(new, 1.0, 60))).job(new.id)
    return replace(job, schema=schema, kinds=kinds)


def scored(data: bytes) -> tuple[Job, list[bytes]]:
    """A job of this file, with results in two chunks: the last row of each is rejected."""
    header, text, kinds = read(data)
    lines = text.splitlines()
    half = len(lines) // 2
    parts = [[*(f"{line},yes,0.250000," for line in part[:-1]), f"{part[-1]},,,age: too old"]
             for part in (lines[:half], lines[half:])]  # fmt: skip
    job = job_of(",".join(header.names), header.schema, kinds, "xlsx" if kinds else "parquet")
    return job, ["\n".join([*part, ""]).encode() for part in parts]


def as_parquet(job: Job, chunks: list[bytes]) -> pa.Table:
    out = io.BytesIO()
    write_parquet(out, ResultReader.of(job), chunks)
    return pq.read_table(io.BytesIO(out.getvalue()))


def as_json(job: Job, chunks: list[bytes]) -> list[dict[str, Any]]:
    out = io.BytesIO()
    write_json_lines(out, ResultReader.of(job), chunks)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def as_sheet(job: Job, chunks: list[bytes]) -> list[list[Any]]:
    out = io.BytesIO()
    write_xlsx(out, ResultReader.of(job, numbers_in_csv=True), chunks)
    book = CalamineWorkbook.from_filelike(io.BytesIO(out.getvalue()))
    return book.get_sheet_by_index(0).to_python()


def test_a_value_that_does_not_fit_its_column_is_missing_alone() -> None:
    job, chunks = scored(parquet(pa.concat_tables([TABLE, TABLE])))
    expected = as_parquet(job, chunks)
    assert chunks[0].startswith(b"1,")
    table = as_parquet(job, [b"many" + chunks[0][1:], *chunks[1:]])  # as after a correction
    assert table["whole"].to_pylist() == [None, *expected["whole"].to_pylist()[1:]]
    for name in set(expected.column_names) - {"whole"}:
        assert str(table[name].to_pylist()) == str(expected[name].to_pylist()), name


@pytest.mark.parametrize("write", [parquet, arrow_stream])
def test_parquet_keeps_the_arrow_types_and_adds_typed_columns(write: Any) -> None:
    source = pa.concat_tables([TABLE.slice(0, 2), TABLE])
    table = as_parquet(*scored(write(source)))
    assert table.column_names == [*TABLE.column_names, "prediction", "probability", "error"]
    for name in ("whole", "part", "text", "flag", "day", "moment", "amount", "clock"):
        assert table[name].type == TABLE[name].type, name
        assert str(table[name].to_pylist()) == str(source[name].to_pylist()), name
    assert table["word"].to_pylist() == source["word"].to_pylist()
    assert table["nested"].to_pylist()[:2] == ['{"a":[1,2]}', None]
    assert [table[name].type for name in ("prediction", "probability", "error")] == [
        pa.string(), pa.float64(), pa.string()
    ]  # fmt: skip
    assert table["probability"].to_pylist() == [0.25, None, 0.25, 0.25, None]
    assert table["error"].to_pylist()[1] == "age: too old"


ROWS = [
    ["n", "x", "zip", "flag", "day", "moment", "clock", "mixed"],
    [1, 0.1, "1234", True, dt.date(2024, 1, 5), dt.datetime(2024, 1, 5, 10, 30), dt.time(10, 30), "7"],
    [-2, 1e20, "0123", False, dt.date(2024, 2, 5), dt.datetime(2024, 1, 6, 10, 30), dt.time(11, 30), 7],
    [None, 2, "", None, None, None, None, 'say "hi"'],
    [3, -0.5, "=1+1", True, dt.date(2024, 1, 5), dt.datetime(2024, 1, 5, 10, 30), dt.time(1, 2, 3), True],
]


def plain(row: list[Any]) -> list[Any]:
    return ["" if value is None else value for value in row]


def test_a_workbook_comes_back_as_it_was_cell_by_cell() -> None:
    rows = [["'" + value if value == "=1+1" else value for value in row] for row in ROWS]
    job, chunks = scored(xlsx(("A", rows)))
    sheet = as_sheet(job, chunks)
    assert sheet[0] == [*ROWS[0], "prediction", "probability", "error"]
    assert [row[:8] for row in sheet[1:]] == [plain(row) for row in rows[1:]]
    assert [row[8:] for row in sheet[1:3]] == [["yes", 0.25, ""], ["", "", "age: too old"]]
    table = as_parquet(job, chunks)
    assert [field.type for field in table.schema][:8] == [
        pa.int64(), pa.float64(), pa.string(), pa.bool_(), pa.date32(), pa.timestamp("us"), pa.time64("us"), pa.string()
    ]  # fmt: skip
    assert table["n"].to_pylist() == [1, -2, None, 3]
    assert as_json(job, chunks)[0] == {
        "n": 1, "x": 0.1, "zip": "1234", "flag": True, "day": "2024-01-05", "moment": "2024-01-05T10:30:00",
        "clock": "10:30:00", "mixed": "7", "prediction": "yes", "probability": 0.25, "error": None,
    }  # fmt: skip


def test_json_lines_come_back_as_they_were() -> None:
    records = [
        {"a": 1, "b": "x", "c": [1, {"d": None}]},
        {"a": 2.5, "b": "7", "c": "[]"},
        {"a": True, "b": "", "c": None},
        {"a": 12345678901234567890, "b": "1,5", "c": {"e": "é"}},
    ]
    job, chunks = scored(json_lines(records))
    found = as_json(job, chunks)
    assert [{name: row[name] for name in "ab"} for row in found] == [{n: r[n] for n in "ab"} for r in records]
    assert [row["c"] for row in found] == [[1, {"d": None}], [], None, {"e": "é"}]
    assert as_json(*scored(parquet(pa.table({"n": [{"a": 1}] * 4, "m": [dt.date(1850, 1, 1)] * 4}))))[0] == {
        "n": {"a": 1}, "m": "1850-01-01", "prediction": "yes", "probability": 0.25, "error": None
    }  # fmt: skip


def test_csv_is_text_in_parquet_and_its_plain_numbers_are_numbers_in_a_sheet() -> None:
    job = job_of("zip,n,text", delimiter=";")
    chunks = [
        b'007;1.50;"a;b"\r\n;yes;0,250000;\r\n'.replace(b"\r\n;yes", b";yes"),
        b'12;1234567890123456;"";;;bad\r\n',
    ]
    assert as_parquet(job, chunks).to_pylist() == [
        {"zip": "007", "n": "1.50", "text": "a;b", "prediction": "yes", "probability": 0.25, "error": None},
        {"zip": "12", "n": "1234567890123456", "text": "", "prediction": None, "probability": None, "error": "bad"},
    ]
    assert as_sheet(job, chunks)[1:] == [
        ["007", 1.5, "a;b", "yes", 0.25, ""],
        [12.0, "1234567890123456", "", "", "", "bad"],
    ]
    assert [row["zip"] for row in as_json(job, chunks)] == ["007", "12"]


def test_records_that_are_broken_keep_their_error_in_its_place() -> None:
    job = job_of("a,b", kinds=[["integer"], ["text"]], kind="jsonl")
    chunks = [b'1,x,yes,0.5,\n"{""a"": oops"?,,,,malformed\n,"a\nb",no,0.1,\n']
    table = as_parquet(job, chunks)
    assert table["a"].to_pylist() == [1, None, None]
    assert table["b"].to_pylist() == ["x", None, "a\nb"]
    assert table["error"].to_pylist() == [None, "malformed", None]
    assert [row["error"] for row in as_json(job, chunks)] == [None, "malformed", None]


def test_a_text_that_no_cell_can_hold_is_not_cut() -> None:
    with pytest.raises(CellTooLong):
        as_sheet(job_of("a"), [b"%s,,,\n" % (b"x" * 32_768)])
