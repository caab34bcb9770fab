"""What a file is taken for, by its first bytes and by what is said of it."""

import json

import pytest

from jobs.errors import UploadRefused
from jobs.formats.detection import Format, detect

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
