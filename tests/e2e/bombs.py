"""Small files that would be large, or take long, if all that they claim were believed: what becomes of each."""

import gzip
import io
import json
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from tests.e2e.test_jobs_api import FILE, GOOD, HEADER
from tests.jobs.formats.files import ODS_TYPE, arrow_file, arrow_stream, json_lines, parquet, xlsx, zipped

MIB = 1024 * 1024
NAMES = HEADER.split(",")
VALUES = GOOD.split(",")
ROW = dict(zip(NAMES, VALUES, strict=True))
ZIP_TYPES = '<?xml version="1.0"?><Types/>'
GZIP = {"Content-Encoding": "gzip"}


def squeezed(data: bytes) -> bytes:
    return gzip.compress(data, compresslevel=1)


@dataclass(frozen=True)
class Bomb:
    """A file, made when it is needed, and how it may be refused: at once, or by its job once that is converted."""

    make: Callable[[], bytes]
    codes: frozenset[str]
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)


def bomb(make: Callable[[], bytes], codes: str, headers: Mapping[str, str] | None = None, **query: str) -> Bomb:
    return Bomb(make, frozenset(codes.split()), headers or {}, query)


def workbook(**changes: Callable[[bytes], bytes]) -> bytes:
    """A workbook of one row, of which some parts are changed; a part is named by its last word."""
    with zipfile.ZipFile(io.BytesIO(xlsx(("A", [NAMES, VALUES])))) as book:
        parts: dict[str, str | bytes] = {name: book.read(name) for name in book.namelist()}
    for word, change in changes.items():
        name = next(name for name in parts if name.endswith(f"{word}.xml"))
        parts[name] = change(bytes(parts[name]))
    return zipped(parts)


def replaced(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    return lambda part: part.replace(old, new)


def cells(*more: bytes) -> Callable[[bytes], bytes]:
    return replaced(b"</sheetData>", b"".join(more) + b"</sheetData>")


def lying_zip() -> bytes:
    """An archive whose directory says that a part of 40 MiB is small."""
    data = bytearray(workbook(sheet1=lambda part: part + b" " * (40 * MIB)))
    size = struct.pack("<I", len(zipfile.ZipFile(io.BytesIO(bytes(data))).read("xl/worksheets/sheet1.xml")))
    return bytes(data).replace(size, struct.pack("<I", 5000))


def laughs(part: bytes) -> bytes:
    """Texts of texts of texts, ten times each."""
    entities = b'<!ENTITY a0 "ha">' + b"".join(
        b'<!ENTITY a%d "%b">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 11)
    )
    return part.replace(b"<sst", b"<!DOCTYPE x [" + entities + b"]><sst").replace(b"<t>age</t>", b"<t>&a10;</t>")


def sheet_of(cell: str, row: str = "") -> bytes:
    """An OpenDocument sheet of one cell."""
    urn = "urn:oasis:names:tc:opendocument:xmlns:"
    content = (
        f'<?xml version="1.0"?><office:document-content xmlns:office="{urn}office:1.0" xmlns:table="{urn}table:1.0" '
        f'xmlns:text="{urn}text:1.0"><office:body><office:spreadsheet><table:table table:name="A">'
        f'<table:table-row {row}><table:table-cell office:value-type="string" {cell}><text:p>age</text:p>'
        "</table:table-cell></table:table-row></table:table></office:spreadsheet></office:body></office:document-content>"
    )
    return zipped({"mimetype": ODS_TYPE, "content.xml": content, "META-INF/manifest.xml": "<manifest/>"})


def table(rows: int, remark: bytes = b"", **columns: pa.Array) -> pa.Table:
    own = {name: pa.array([value] * rows) for name, value in ROW.items() if name not in columns}
    own["age"] = columns.pop("age", pa.array([39] * rows))
    return pa.table(own | columns | ({"remark": pa.array([remark.decode()] * rows)} if remark else {}))


def dictionary(rows: int, size: int) -> pa.Table:
    """A table with a column of one long text, which is in its file once."""
    indices = pa.array([0] * rows, pa.int8())
    return table(rows, remark=b"").append_column(
        "remark", pa.DictionaryArray.from_arrays(indices, pa.array(["x" * size]))
    )


def packed_arrow(rows: int, size: int) -> bytes:
    file, data = io.BytesIO(), table(rows, b"x" * size)
    with pa.ipc.new_stream(file, data.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(data)
    return file.getvalue()


def changed_arrow(old: bytes, new: bytes) -> bytes:
    """A stream in which some bytes are others; of a table in which only the ages differ in length."""
    data = arrow_stream(table(3, age=pa.array(["39", "4", "41"])))
    assert data.count(old) == 1
    return data.replace(old, new)


OFFSETS = struct.pack("<4i", 0, 2, 3, 5)
TOO_LARGE = "too_large unreadable_file"
ANY = "too_large too_wide unreadable_file missing_columns unsupported_media_type empty_file no_header"

BOMBS = {
    "a workbook of 40 MiB of nothing": bomb(
        lambda: zipped({"[Content_Types].xml": ZIP_TYPES, "xl/workbook.xml": bytes(40 * MIB)}), "too_large"),
    "a workbook of 100 parts of 1 MiB": bomb(
        lambda: zipped({"xl/workbook.xml": ""} | {f"xl/{n}": bytes(MIB) for n in range(100)}), "too_large"),
    "an archive that lies about its sizes": bomb(lying_zip, ANY),
    "a workbook in a workbook": bomb(
        lambda: zipped({"xl/workbook.xml": workbook(), "[Content_Types].xml": ZIP_TYPES}), ANY),
    "a workbook without parts": bomb(lambda: zipped({"xl/workbook.xml": "", "xl/x": ""}), ANY),
    "a cell in the last corner": bomb(
        lambda: workbook(sheet1=cells(b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>')), ANY),
    "a cell behind the last corner": bomb(
        lambda: workbook(sheet1=cells(b'<row r="4294967295"><c r="ZZZZZZ4294967295"><v>1</v></c></row>')), ANY),
    "a cell of no row": bomb(lambda: workbook(sheet1=cells(b'<row r="-1"><c r="A-1"><v>1</v></c></row>')), ANY),
    "a text that does not exist": bomb(
        lambda: workbook(sheet1=replaced(b'<c r="A1" t="s"><v>0<', b'<c r="A1" t="s"><v>4000000000<')), ANY),
    "a billion laughs": bomb(lambda: workbook(sharedStrings=laughs), ANY),
    "an entity that is a file": bomb(lambda: workbook(sharedStrings=lambda part: part.replace(
        b"<sst", b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><sst').replace(
        b"<t>age</t>", b"<t>&a;</t>")), ANY),
    "a header of one text of 2 MiB": bomb(
        lambda: workbook(sharedStrings=replaced(b"<t>age</t>", b"<t>" + b"a" * 2 * MIB + b"</t>")), "too_wide"),
    "a sheet with a name of 1 MiB": bomb(
        lambda: workbook(workbook=replaced(b'name="A"', b'name="' + b"A" * MIB + b'"')), ANY),
    "a sheet of a billion columns": bomb(lambda: sheet_of('table:number-columns-repeated="1000000000"'), ANY),
    "a sheet of a billion rows": bomb(lambda: sheet_of("", 'table:number-rows-repeated="1000000000"'), ANY),
    "a sheet of a trillion cells": bomb(lambda: sheet_of(
        'table:number-columns-repeated="1000000"', 'table:number-rows-repeated="1000000"'), ANY),
    "a sheet of less than no columns": bomb(lambda: sheet_of('table:number-columns-repeated="-5"'), ANY),
    "Parquet of 40 MiB of zeros": bomb(
        lambda: parquet(table(40_000, b"\0" * 1000), use_dictionary=False, compression="zstd"), TOO_LARGE),
    "Parquet of one text, 100,000 times": bomb(lambda: parquet(dictionary(100_000, 100_000)), TOO_LARGE),
    "Parquet with a name of 2 MiB": bomb(lambda: parquet(pa.table({"a" * 2 * MIB: [1]})), "too_wide"),
    "Parquet of 3,000 columns": bomb(lambda: parquet(pa.table({f"c{n}": [1] for n in range(3000)})), "too_wide"),
    "Parquet without its end": bomb(lambda: parquet(table(100))[:-9], "unreadable_file"),
    "Parquet whose end is all of it": bomb(lambda: b"PAR1" + b"\xff\xff\xff\x7fPAR1", "unreadable_file"),
    "Arrow of 40 MiB, packed": bomb(lambda: packed_arrow(400, 100_000), TOO_LARGE),
    "Arrow of one text, 100,000 times": bomb(lambda: arrow_stream(dictionary(100_000, 100_000)), TOO_LARGE),
    "Arrow with an offset behind its data": bomb(
        lambda: changed_arrow(OFFSETS, struct.pack("<4i", 0, 2, 5000, 5)), "unreadable_file"),
    "Arrow with an offset far behind its data": bomb(
        lambda: changed_arrow(OFFSETS, struct.pack("<4i", 0, 2, 2**31 - 1, 5)), "unreadable_file"),
    "Arrow with a negative offset": bomb(
        lambda: changed_arrow(OFFSETS, struct.pack("<4i", 0, -5000, 3, 5)), "unreadable_file"),
    "Arrow with a name of 2 MiB": bomb(lambda: arrow_file(pa.table({"a" * 2 * MIB: [1]})), "too_wide"),
    "Arrow whose first part is 2 GiB": bomb(lambda: b"\xff\xff\xff\xff\xff\xff\xff\x7f" + b"x" * 99, "unreadable_file"),
    "Arrow without an end": bomb(lambda: arrow_file(table(9))[:200], "unreadable_file"),
    "JSON of 3,000 names": bomb(lambda: json_lines({f"n{n}": 1} for n in range(3000)), "too_wide"),
    "JSON with names of 6 MiB": bomb(
        lambda: json_lines({f"{n}{'a' * 900_000}": 1} for n in range(7)), "too_wide", format="jsonl"),
    "JSON with a line of 5 MiB": bomb(lambda: json_lines([ROW, {"a": "x" * 5 * MIB}]), "too_wide"),
    "JSON lines of 2,000 columns each": bomb(
        lambda: json_lines([ROW | {f"n{n}": 1 for n in range(1900)}, *({} for _ in range(40_000))]), TOO_LARGE),
    "JSON 100,000 deep": bomb(
        lambda: b'{"age": ' + b"[" * 100_000 + b"\n", "no_header missing_columns", format="jsonl"),
    "gzip of 40 MiB of spaces": bomb(lambda: squeezed(FILE + b" " * 40 * MIB), "too_large too_wide", GZIP),
    "gzip of 40 MiB of line ends": bomb(lambda: squeezed(FILE + b"\n" * 40 * MIB), "too_large", GZIP),
    "gzip of 40 MiB of quotes": bomb(lambda: squeezed(FILE + b'"' * 40 * MIB), "too_large too_wide", GZIP),
    "gzip of 40 MiB of delimiters": bomb(lambda: squeezed(FILE + b"," * 40 * MIB), "too_large too_wide", GZIP),
    "gzip of 40 MiB of rows": bomb(
        lambda: squeezed(FILE + f"{GOOD}\n".encode() * (40 * MIB // len(GOOD))), "too_large", GZIP),
    "gzip of 40 MiB before a header": bomb(lambda: squeezed(b"\n" * 40 * MIB + FILE), ANY, GZIP),
    "gzip of a workbook": bomb(
        lambda: squeezed(zipped({"xl/workbook.xml": bytes(40 * MIB)})), "too_large unsupported_media_type", GZIP),
    "10,000 members of gzip without a file": bomb(lambda: squeezed(b"") * 10_000, "empty_file", GZIP),
    "gzip with a name that never ends": bomb(
        lambda: b"\x1f\x8b\x08\x08" + bytes(6) + b"a" * 100_000, "malformed_body", GZIP),
    "a field of 2 MiB": bomb(lambda: FILE + b"3" * 2 * MIB + b"," + GOOD.encode(), "too_wide"),
    "3,000 lines before the header": bomb(lambda: b"Title\n" * 3000 + FILE, "missing_columns no_header"),
    "an object of one name, 10,000 times": bomb(
        lambda: b"{" + b",".join(b'"age": 1' for _ in range(10_000)) + b"}\n", "missing_columns", format="jsonl"),
    "an object with a number of 100,000 digits": bomb(
        lambda: json.dumps({"x": 1}).encode().replace(b"1", b"9" * 100_000) + b"\n", "missing_columns no_header"),
}  # fmt: skip
