"""A preflight of a workbook or a table shows what one of a CSV file shows, and the sheets to choose from."""

import os

from tests.e2e.test_formats_in import BOOK, FILES, NAMES, TABLE
from tests.jobs.formats.files import parquet
from tests.stack import Stack, problem_of

BINARY = {"Content-Type": "application/octet-stream"}


def test_a_preflight_shows_columns_rows_predictions_and_sheets(service: Stack) -> None:
    for data, query in ((BOOK, {"sheet": "People"}), (FILES["people.parquet"], {}), (FILES["people.jsonl"], {})):
        response = service.request("POST", "/api/v1/preflight", content=data, headers=BINARY, params=query)
        report = response.raise_for_status().json()
        assert report["checked"]
        assert [column["header"] for column in report["columns"]] == NAMES
        assert (report["missing_columns"], report["rows_seen"], len(report["examples"])) == ([], 300, 5)
        assert report["examples"][0]["prediction"] == "<=50K"
        assert report["sheets"] == (["Cover", "People"] if query else [])
    cover = service.request("POST", "/api/v1/preflight", content=BOOK, headers=BINARY).json()
    assert (cover["sheet"], len(cover["missing_columns"])) == ("Cover", 7)


def test_a_preflight_says_what_is_wrong_or_that_the_file_is_too_large_for_it(service: Stack) -> None:
    other = service.request("POST", "/api/v1/preflight", content=BOOK, headers=BINARY, params={"sheet": "9"})
    assert problem_of(other) == (422, "unknown_sheet")
    large = parquet(TABLE.append_column("noise", [[os.urandom(40_000).hex() for _ in range(300)]]))
    report = service.request("POST", "/api/v1/preflight", content=large, headers=BINARY).json()
    assert (report["checked"], report["format"], report["columns"]) == (False, "parquet", [])


def test_a_preflight_speaks_of_lines_of_json_as_the_job_does(service: Stack) -> None:
    data = FILES["people.jsonl"].splitlines()[0] + b'\n{"age": oops\n'
    report = service.request(
        "POST", "/api/v1/preflight", content=data, headers=BINARY, params={"filename": "a.jsonl"}
    ).json()
    assert (report["complete"], report["rows_seen"]) == (True, 2)
    assert report["examples"][1]["error"] == "malformed: the line is not a JSON object"


def test_a_preflight_says_that_a_table_has_no_rows(service: Stack) -> None:
    report = service.request("POST", "/api/v1/preflight", content=parquet(TABLE.slice(0, 0)), headers=BINARY).json()
    assert (report["complete"], report["rows_seen"]) == (True, 0)
