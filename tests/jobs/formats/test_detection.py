"""What a file is taken for, by its first bytes and by what is said of it."""

import json

import pytest

from jobs.errors import UploadRefused
from jobs.formats.detection import Format, detect
from tests.jobs.formats.files import ODS_TYPE, zipped

RECORDS = [{"age": 39, "name": 'Ann "A" {b}'}, {"age": 40, "name": "Bob"}]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("filename", ["people.json", "people.csv", None])
def test_a_json_array_is_refused_with_the_way_out(indent: int | None, filename: str | None) -> None:
    with pytest.raises(UploadRefused, match=r"looks like a JSON array; .* or JSON lines") as refused:
        detect(json.dumps(RECORDS, indent=indent).encode(), None, "application/octet-stream", filename)
    assert refused.value.code == "unsupported_media_type"


def test_objects_on_lines_are_json_lines_and_a_header_in_brackets_is_csv() -> None:
    lines = "\n".join(map(json.dumps, RECORDS)).encode()
    assert detect(lines, None, "application/octet-stream", "people") is Format.JSONL
    assert detect(b"[age],[name]\n39,Ann\n", None, "text/csv", None) is Format.CSV
    assert detect(b'"[{""age"": 39}]",name\n1,Ann\n', None, "text/csv", None) is Format.CSV


@pytest.mark.parametrize(
    ("head", "asked", "media_type", "name", "expected"),
    [
        (b"a,b\n", None, "text/csv", "a.csv", Format.CSV),
        (b"a,b\n", None, "application/vnd.ms-excel", "a.csv", Format.CSV),
        (b'{"a": 1}\n', None, "text/csv", "people.jsonl", Format.JSONL),
        (b'{"a": 1}\n', None, "application/x-ndjson", None, Format.JSONL),
        (b'{"a": 1}\n', None, "application/octet-stream", None, Format.JSONL),
        (b'{"a": 1}\n', "csv", "", None, Format.CSV),
        (b"{a},b\n", None, "", None, Format.CSV),
        (b"PAR1....", "csv", "text/csv", "a.csv", Format.PARQUET),
        (b"PK\x03\x04....mimetype" + ODS_TYPE.encode(), None, "", None, Format.ODS),
        (b"\xff\xff\xff\xff\x10", None, "", None, Format.ARROW),
        (b"ARROW1\0\0", None, "", None, Format.ARROW),
    ],
)
def test_the_content_decides_then_what_the_client_says(
    head: bytes, asked: str | None, media_type: str, name: str | None, expected: Format
) -> None:
    assert detect(head, asked, media_type, name) is expected


def test_what_is_not_what_the_client_says_is_refused() -> None:
    for asked, media_type in (("parquet", ""), (None, "application/vnd.apache.parquet")):
        with pytest.raises(UploadRefused, match="not a file of the format Parquet"):
            detect(b"a,b\n", asked, media_type, None)
    with pytest.raises(UploadRefused, match="is none of"):
        detect(b"a,b\n", "docx", "", None)


def test_what_is_no_table_is_refused_by_its_first_bytes_whatever_its_size() -> None:
    """So a large file need not come as a whole before it is refused."""
    parts = {"[Content_Types].xml": "", "_rels/.rels": ""}
    for name, looks in (("word/document.xml", "Word document"), ("ppt/presentation.xml", "PowerPoint presentation")):
        with pytest.raises(UploadRefused, match=f"this looks like a {looks}; a file is needed as CSV, Excel"):
            detect(zipped({**parts, name: ""})[:4096], None, "", None)
    with pytest.raises(UploadRefused, match="OpenDocument text"):
        detect(zipped({"mimetype": "application/vnd.oasis.opendocument.text"}), None, "", "a.ods")
    assert detect(zipped({**parts, "xl/workbook.xml": "", "xl/embeddings/word/a": ""}), None, "", None) is Format.XLSX
    for text in (b"age,sex\n39,Male\n", b"[\n1,\n2\n]\n", b"oops\n"):
        with pytest.raises(UploadRefused, match="none of the first lines is a JSON object") as caught:
            detect(text, None, "", "people.jsonl")
        assert caught.value.code == "no_header"
    for text in (b"oops\n {}", b'\xef\xbb\xbf{"a"', b"\n\n"):
        assert detect(text, None, "", "people.jsonl") is Format.JSONL
