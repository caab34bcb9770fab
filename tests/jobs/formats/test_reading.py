"""Whatever the format, a file's rows come as CSV, one record for each, in order, with every value."""

import csv
import datetime as dt
import decimal
import io
import struct
import tempfile
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import xlsxwriter
from structlog.testing import capture_logs

from jobs.errors import UploadRefused
from jobs.formats.detection import Format, detect
from jobs.formats.frames import ReadOptions
from jobs.formats.process import SourceHeader, reading
from tests.jobs.formats.files import arrow_file, arrow_stream, json_lines, ods, parquet, xls, xlsx, zipped

MAX_BYTES = 64 * 1024 * 1024
PEOPLE = [["age", "name"], [39, "Ann"], [40.5, "Bob, Jr."], [None, "007"]]


def read(data: bytes, kind: Format | None = None, sheet: str | None = None, wanted: list[str] | None = None,
         memory: int = 1024) -> tuple[SourceHeader, str, Any]:  # fmt: skip
    kind = kind or detect(data[:65536], None, "", None)
    with tempfile.TemporaryFile() as file:
        file.write(data)
        with reading(file, ReadOptions(kind, sheet, wanted or [], MAX_BYTES, memory)) as reader:
            parts = list(reader.rows)
    text = b"".join(part.text for part in parts).decode()
    assert sum(part.rows for part in parts) == len(list(csv.reader(io.StringIO(text))))
    return reader.header, text, reader.kinds


def refused(data: bytes, kind: Format | None = None, **options: Any) -> tuple[str, str]:
    with pytest.raises(UploadRefused) as caught:
        read(data, kind, **options)
    return caught.value.code, caught.value.detail


def test_a_workbook_gives_numbers_dates_and_results_of_formulas_as_their_values() -> None:
    day, moment = dt.date(2024, 1, 5), dt.datetime(2024, 1, 5, 10, 30)
    rows = [
        ["whole", "part", "text", "flag", "day", "moment", "clock", "formula"],
        [1, 0.1, "a", True, day, moment, dt.time(10, 30), "=1+1"],
        [-2, 1e20, 'say "hi", all', False, day, moment, dt.time(0, 0), None],
    ]
    header, text, kinds = read(xlsx(("People", rows)))
    assert header == SourceHeader(rows[0], ["People"], "People", None)
    assert text.splitlines() == [
        "1,0.1,a,true,2024-01-05,2024-01-05 10:30:00,10:30:00,0",
        '-2,1e+20,"say ""hi"", all",false,2024-01-05,2024-01-05 10:30:00,00:00:00,',
    ]
    assert kinds == [["integer"], ["number"], ["text"], ["boolean"], ["date"], ["datetime"], ["time"], ["integer"]]


def test_a_workbook_of_an_old_excel_is_read_like_a_new_one() -> None:
    day, moment = dt.date(2024, 1, 5), dt.datetime(2024, 1, 5, 10, 30)
    rows = [["whole", "part", "text", "flag", "day", "moment"], [1, 0.1, "007", True, day, moment]]
    rows += [[-2, 1e20, 'Zürich, "x" \N{GRINNING FACE}', False, None, moment]]
    book = xls(("People", rows), ("Zweites", [["b"], [3]]))
    assert detect(book[:4096], None, "application/vnd.ms-excel", "people.csv") is Format.XLS
    header, text, kinds = read(book)
    assert header == SourceHeader(rows[0], ["People", "Zweites"], "People", None)
    assert text.splitlines() == [
        "1,0.1,007,true,2024-01-05,2024-01-05 10:30:00",
        '-2,1e+20,"Zürich, ""x"" \N{GRINNING FACE}",false,,2024-01-05 10:30:00',
    ]
    assert kinds == [["integer"], ["number"], ["text"], ["boolean"], ["date"], ["datetime"]]
    assert read(book, sheet="Zweites")[1] == "3\n"
    code, _ = refused(book[: len(book) // 2])
    assert code == "unreadable_file"


def test_a_text_that_looks_like_a_number_stays_a_text() -> None:
    _, text, kinds = read(xlsx(("People", [["zip", "n"], ["1234", 1], ["0123", 2], ["2024-01-05", 3]])))
    assert text == '"1234",1\n0123,2\n"2024-01-05",3\n'
    assert kinds == [["text"], ["integer"]]


def test_title_lines_empty_rows_and_empty_columns_of_a_sheet_are_passed_over() -> None:
    rows = [
        ["Export of 5 May, by Ann", None, 7],
        [],
        [None, "Age", "name"],
        [],
        [None, 39, "Ann"],
        [None, None, None],
        [None, 40, "Bob"],
    ]
    header, text, _ = read(xlsx(("People", rows)), wanted=["age", "name"])
    assert (header.names, text) == (["Age", "name"], "39,Ann\n40,Bob\n")
    assert header.preamble == '"Export of 5 May, by Ann",,7\n\n'


def test_a_title_of_several_lines_becomes_one_line() -> None:
    rows = [["Export\nof 5 May\r\n", "Ann"], ["Age"], [39]]
    header, text, _ = read(xlsx(("People", rows)), wanted=["age"])
    assert (header.names, text, header.preamble) == (["Age"], "39\n", "Export of 5 May ,Ann\n")


def test_rows_above_a_header_that_are_longer_than_what_is_searched_for_one_are_refused() -> None:
    titles = [["x" * 30_000]] * 3
    with pytest.raises(UploadRefused) as refused:
        read(xlsx(("People", [*titles, ["age"], [39]])), wanted=["age"])
    assert refused.value.code == "too_wide"


def test_a_column_without_a_name_is_kept_if_it_holds_something() -> None:
    header, text, _ = read(xlsx(("People", [["age"], [39, "a remark"]])))
    assert (header.names, text) == (["age", ""], "39,a remark\n")


def test_errors_of_formulas_and_what_a_merged_cell_covers_are_missing() -> None:
    file = io.BytesIO()
    book = xlsxwriter.Workbook(file)
    sheet = book.add_worksheet()
    sheet.write_row(0, 0, ["a", "b", "c"])
    sheet.write_formula(1, 0, "=1/0", None, "#DIV/0!")
    sheet.merge_range(1, 1, 1, 2, "both")
    sheet.write_row(2, 0, [1, 2, 3])
    sheet.set_row(2, None, None, {"hidden": True})
    book.close()
    assert read(file.getvalue())[1] == ",both,\n1,2,3\n"


def test_dates_before_1900_are_read_where_the_format_has_them_and_never_turned_into_others() -> None:
    day = 'office:value-type="date" office:date-value="{}"'
    name = 'office:value-type="string"'
    rows = [[(name, "born")], [(day.format("1850-03-01"), "x")], [(day.format("2001-03-01"), "x")]]
    assert read(ods(rows))[1] == "1850-03-01\n2001-03-01\n"
    file = xlsx(("People", [["born"], [dt.date(2001, 3, 1)], ["1850-03-01"]]))
    assert read(file)[1] == '2001-03-01\n"1850-03-01"\n'


def test_sheets_are_chosen_by_name_or_number() -> None:
    book = xlsx(("First", PEOPLE), ("Zweites", [["b"], [1]]), ("2", [["c"], [3]]))
    assert read(book)[0].sheet == "First"
    assert read(book, sheet="zweites")[1] == "1\n"
    assert read(book, sheet="2")[1] == "3\n"
    assert read(book, sheet="3")[1] == "3\n"
    code, detail = refused(book, sheet="Drittes")
    assert code == "unknown_sheet"
    assert "'First', 'Zweites', '2'" in detail


COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)
BROKEN = {
    "encrypted": (COMPOUND + "EncryptedPackage".encode("utf-16-le") + bytes(500), "unreadable_file", "password"),
    "encrypted-ods": (ods([], "<manifest:encryption-data/>"), "unreadable_file", "password"),
    "old": (COMPOUND, "unreadable_file", "cannot be read"),
    "macros": (zipped({"[Content_Types].xml": "", "xl/workbook.xml": "", "xl/vbaProject.bin": b"x"}),
               "unsupported_media_type", "macros"),
    "document": (zipped({"[Content_Types].xml": "", "docProps/app.xml": ""}), "unsupported_media_type", "no workbook"),
    "damaged": (xlsx(("A", PEOPLE))[:-100], "unreadable_file", "cannot be read"),
    "bomb": (zipped({"[Content_Types].xml": "", "xl/workbook.xml": bytes(MAX_BYTES + 1)}), "too_large", "unpacked"),
    "wide": (xlsx(("A", [["x"] * 16384])), "too_wide", "16384 columns"),
    "empty": (xlsx(("A", []), ("B", PEOPLE)), "empty_file", "'A' is empty; the workbook also has 'A', 'B'"),
}  # fmt: skip


def lying(data: bytes, entry: str) -> bytes:
    """An archive whose directory says that an entry is small when it is unpacked."""
    at = data.rindex(b"PK\x01\x02", 0, data.rindex(entry.encode()))
    return data[: at + 24] + (1000).to_bytes(4, "little") + data[at + 28 :]


@pytest.mark.parametrize("entry", ["xl/sharedStrings.xml", "xl/worksheets/sheet1.xml"])
def test_a_workbook_that_is_larger_than_its_directory_says_is_refused_before_it_is_unpacked(entry: str) -> None:
    parts: dict[str, str | bytes] = {"[Content_Types].xml": "", "xl/workbook.xml": "", entry: bytes(200_000_000)}
    bomb = lying(zipped(parts), entry)
    assert len(bomb) < 400_000
    code, detail = refused(bomb, memory=64)
    assert (code, "larger than its directory says" in detail) == ("unreadable_file", True), detail
    assert read(xlsx(("A", PEOPLE)))[0].names == PEOPLE[0]


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_workbook_that_can_be_read_is_refused_by_what_it_is(kind: str) -> None:
    data, code, words = BROKEN[kind]
    found, detail = refused(data)
    assert (found, words in detail) == (code, True), detail


def test_a_sheet_that_needs_more_memory_than_allowed_harms_only_its_own_process() -> None:
    rows = [["a"] * 1000] * 1000
    code, _ = refused(xlsx(("A", rows)), memory=16)
    assert code in ("too_large", "unreadable_file")


def test_what_arrow_has_reserved_does_not_count_as_memory_that_a_file_may_take() -> None:
    # A batch is read as a whole: 200 MB of zeros, in few bytes.
    stream = io.BytesIO()
    table = pa.table({"a": pa.array(np.zeros(25_000_000, np.int64))})
    with pa.ipc.new_stream(stream, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    code, detail = refused(stream.getvalue(), memory=64)
    assert (code, "more than 64 MiB" in detail) == ("too_large", True), detail


TABLE = pa.table({
    "whole": pa.array([1, None, -3], pa.int32()),
    "part": pa.array([1.0, float("nan"), None]),
    "text": pa.array(["a,b", "", None]),
    "flag": pa.array([True, False, None]),
    "day": pa.array([dt.date(1850, 1, 5), None, dt.date(2024, 1, 5)]),
    "moment": pa.array([dt.datetime(2024, 1, 5, 1, 2, 3), None, None], pa.timestamp("ms", "UTC")),
    "amount": pa.array([decimal.Decimal("1.50"), None, decimal.Decimal("-2.00")], pa.decimal128(10, 2)),
    "word": pa.array(["x", "y", "x"]).dictionary_encode(),
    "nested": pa.array([{"a": [1, 2]}, None, {"a": []}]),
    "bytes": pa.array([b"ab", b"\xff", None]),
    "clock": pa.array([dt.time(1, 2, 3), None, None], pa.time32("ms")),
    "nothing": pa.nulls(3),
})  # fmt: skip
LINES = [
    '1,1,"a,b",true,1850-01-05,2024-01-05 01:02:03.000Z,1.50,x,"{""a"":[1,2]}",ab,01:02:03.000,',
    ',nan,"",false,,,,y,,/w==,,',
    '-3,,,,2024-01-05,,-2.00,x,"{""a"":[]}",,,',
]


@pytest.mark.parametrize("write", [parquet, arrow_stream, arrow_file])
def test_columns_of_every_arrow_type_are_read(write: Any) -> None:
    header, text, kinds = read(write(TABLE))
    assert header.names == TABLE.column_names
    assert text.splitlines() == LINES
    assert kinds is None


def test_a_row_of_one_missing_value_is_still_a_row() -> None:
    assert read(parquet(pa.table({"a": [1, None, 3]})))[1] == '1\n""\n3\n'
    assert read(json_lines([{"a": 1}, {"a": None}, {}]))[1] == '1\n""\n""\n'


def test_large_tables_come_in_parts() -> None:
    table = pa.table({"n": pa.array(range(200_000)), "t": pa.array(["x" * 100] * 200_000)})
    for write in (parquet, arrow_stream, arrow_file):
        _, text, _ = read(write(table))
        assert [int(line.partition(",")[0]) for line in text.splitlines()] == list(range(200_000))


def test_long_texts_of_a_dictionary_come_in_parts_however_often_they_stand_in_rows() -> None:
    texts = pa.DictionaryArray.from_arrays(pa.array([0, 1] * 1200), pa.array(["x" * 100_000, 'y, "z"']))
    for write in (arrow_stream, arrow_file):
        _, text, _ = read(write(pa.table({"n": range(2400), "t": texts})), memory=128)
        assert len(text) > 1200 * 100_000
        assert text.splitlines()[-1] == '2399,"y, ""z"""'


def test_a_damaged_parquet_or_arrow_file_is_refused() -> None:
    for write in (parquet, arrow_stream, arrow_file):
        data = write(TABLE)
        assert refused(data[: len(data) // 2])[0] == "unreadable_file"
    wide = pa.table({f"c{n}": [1] for n in range(2001)})
    assert refused(parquet(wide))[0] == "too_wide"
    many = pa.table({"n": pa.array([7]).take(pa.array([0] * 10)), "text": ["x" * 8_000_000] * 10})
    assert refused(parquet(many, use_dictionary=False))[0] == "too_large"


def lying_arrow(kind: pa.DataType, length: int) -> bytes:
    """A stream in which the second text claims this length; compressed, so that it lies among other data in memory."""
    text = b"abcdef" * 10
    offsets = struct.pack("<4i", 0, 3, 3 + length, len(text))
    buffers = [pa.py_buffer(part) for part in (bytes([0b011]), offsets, text)]
    file, options = io.BytesIO(), pa.ipc.IpcWriteOptions(compression="zstd")
    batch = pa.RecordBatch.from_arrays([pa.Array.from_buffers(kind, 3, buffers, 1)], names=["a"])
    with pa.ipc.new_stream(file, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    return file.getvalue()


@pytest.mark.parametrize("length", [100, 5_000, 1_000_000])
@pytest.mark.parametrize("kind", [pa.string(), pa.binary()])
def test_an_arrow_file_cannot_have_the_memory_behind_its_data_read(kind: pa.DataType, length: int) -> None:
    assert refused(lying_arrow(kind, length))[0] == "unreadable_file"


def test_bytes_that_are_no_text_reject_their_row_alone() -> None:
    texts = pa.array([b"ab", b"\xff", b"c"]).view(pa.string())
    for column in (texts, texts.cast(pa.large_string()), texts.dictionary_encode()):
        with tempfile.TemporaryFile() as file:
            file.write(arrow_stream(pa.table({"a": column})))
            with reading(file, ReadOptions(Format.ARROW, None, [], MAX_BYTES, 1024)) as reader:
                assert b"".join(part.text for part in reader.rows) == b"ab\n\xff\nc\n"


def long_header(cells: int, length: int) -> bytes:
    """A small workbook whose header is long: all its cells are one text."""
    with zipfile.ZipFile(io.BytesIO(xlsx(("A", [["age"] * cells, [1] * cells])))) as book:
        entries: dict[str, str | bytes] = {name: book.read(name) for name in book.namelist()}
    entries["xl/sharedStrings.xml"] = bytes(entries["xl/sharedStrings.xml"]).replace(b"<t>age", b"<t>" + b"a" * length)
    return zipped(entries)


@pytest.mark.parametrize(("data", "kind"), [
    pytest.param(long_header(100, 300_000), Format.XLSX, id="many names of one text"),
    pytest.param(long_header(1, 2_000_000), Format.XLSX, id="one long name"),
    pytest.param(parquet(pa.table({"a" * 2_000_000: [1]})), Format.PARQUET, id="a long name in Parquet"),
    pytest.param(arrow_stream(pa.table({"a" * 2_000_000: [1]})), Format.ARROW, id="a long name in Arrow"),
    pytest.param(json_lines([{"a" * 2_000_000: 1}]), Format.JSONL, id="a long name in JSON"),
    pytest.param(json_lines([{f"{n}{'a' * 900_000}": 1} for n in range(5)]), Format.JSONL, id="long names in JSON"),
])  # fmt: skip
def test_names_are_as_long_as_fields_and_records_of_csv_may_be(data: bytes, kind: Format) -> None:
    assert refused(data, kind)[0] == "too_wide"


def far_away() -> bytes:
    """A small workbook with a cell in the last corner of its sheet, so that the whole sheet would be in memory."""
    with zipfile.ZipFile(io.BytesIO(xlsx(("A", PEOPLE)))) as book:
        entries: dict[str, str | bytes] = {name: book.read(name) for name in book.namelist()}
    cell = b'<row r="1048576"><c r="ALL1048576"><v>1</v></c></row></sheetData>'
    sheet = "xl/worksheets/sheet1.xml"
    entries[sheet] = bytes(entries[sheet]).replace(b"</sheetData>", cell)
    return zipped(entries)


def nested_bytes() -> bytes:
    """A table of lists of texts that are none, which no column of ours can hold."""
    texts = pa.array([b"\xff secret"]).view(pa.string())
    return arrow_stream(pa.table({"a": pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), texts)}))


@pytest.mark.parametrize("make", [far_away, nested_bytes])
def test_a_reader_that_fails_writes_nothing_of_the_file_into_the_log(
    make: Callable[[], bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    with capture_logs() as lines:
        assert refused(make())[0] in ("unreadable_file", "too_large")
    assert capfd.readouterr().err == ""
    assert "secret" not in str(lines)


def test_of_very_many_sheets_the_first_are_listed() -> None:
    with zipfile.ZipFile(io.BytesIO(xlsx(("A", PEOPLE)))) as book:
        entries: dict[str, str | bytes] = {name: book.read(name) for name in book.namelist()}
    more = b"".join(b'<sheet name="%d" sheetId="%d" r:id="rId1"/>' % (number, number) for number in range(2, 20_000))
    entries["xl/workbook.xml"] = bytes(entries["xl/workbook.xml"]).replace(b"</sheets>", more + b"</sheets>")
    header, _, _ = read(zipped(entries), sheet="19999")
    assert (header.sheets[:2], header.sheet) == (["A", "2"], "19999")
    assert len(header.sheets) == 1000


def test_json_lines_have_the_columns_of_all_lines() -> None:
    records = [
        {"a": 1, "b": "x"},
        {"b": "1", "c": [1, {"d": None}], "a": 2.5},
        {"a": True, "big": 12345678901234567890123},
        {"b": ""},
    ]
    header, text, kinds = read(b"\xef\xbb\xbf" + json_lines(records).replace(b"\n", b"\r\n\n"))
    assert header.names == ["a", "b", "c", "big"]
    assert text.splitlines() == [
        "1,x,,", '2.5,"1","[1,{""d"":null}]",', "true,,,12345678901234567890123", ',"",,'
    ]  # fmt: skip
    assert kinds == [["boolean", "integer", "number"], ["text"], ["json"], ["integer"]]


def test_a_line_that_is_no_object_is_a_malformed_record_and_harms_no_other() -> None:
    _, text, _ = read(b'{"a": 1, "b": 2}\n{"a": oops}\n[1]\n{"a": 3}\n')
    assert text.splitlines() == ["1,2", '"{""a"": oops}"?', '"[1]"?', "3,"]


def test_json_lines_that_cannot_be_read_are_refused_with_their_row() -> None:
    long = b'{"a": 1}\n{"a": "' + b"x" * 100_000_000 + b'"}\n'
    assert refused(long) == ("too_wide", "row 2 is longer than 4194304 bytes")
    assert refused(b"1\n2\n", Format.JSONL)[0] == "no_header"
    assert refused(b"\n", Format.JSONL)[0] == "empty_file"
    assert refused(b"{}\n", Format.JSONL)[0] == "no_header"
    many = json_lines({f"n{n}": n} for n in range(2001))
    assert refused(many)[0] == "too_wide"
