"""Files of other formats are scored as the same rows are in CSV: every row once, in order, with the same answers."""

import io
import json
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.jobs.formats.files import arrow_file, arrow_stream, json_lines, parquet, xls, xlsx, zipped
from tests.stack import Stack, problem_of

NAMES = ["id", "age", "workclass", "education", "marital_status", "race", "sex", "hours_per_week"]
ROWS: list[list[Any]] = [
    [n, 17 + n % 75, "State-gov", "Bachelors", "Never-married", "White", "Male", 40] for n in range(1, 301)
]
CSV_FILE = "\n".join([",".join(NAMES), *(",".join(map(str, row)) for row in ROWS), ""]).encode()
TABLE = pa.table({name: [row[at] for row in ROWS] for at, name in enumerate(NAMES)})
BOOK = xlsx(("Cover", [["Nothing here"]]), ("People", [["Our people"], [], NAMES, *ROWS]))
WAIT = {"Prefer": "wait=60, until=ended"}
FILES = {
    "people.xlsx": xlsx(("People", [NAMES, *ROWS])),
    "people.xls": xls(("People", [NAMES, *ROWS])),
    "people.parquet": parquet(TABLE, row_group_size=100),
    "people.arrows": arrow_stream(TABLE),
    "people.arrow": arrow_file(TABLE),
    "people.jsonl": json_lines(dict(zip(NAMES, row, strict=True)) for row in ROWS),
}


def upload(service: Stack, data: bytes, name: str = "people", **query: Any) -> httpx.Response:
    headers = {"Content-Type": "application/octet-stream", **WAIT}
    return service.request("POST", "/api/v1/jobs", content=data, headers=headers, params={"filename": name, **query})


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_any_format_gets_the_results_of_the_same_rows_in_csv(service: Stack, name: str) -> None:
    _, expected = service.score(CSV_FILE)
    job = upload(service, FILES[name], name).raise_for_status().json()
    assert (job["state"], job["converting"], job["progress"]) == ("succeeded", None, 1.0)
    assert job["format"] == {"arrows": "arrow"}.get(suffix := name.partition(".")[2], suffix)
    assert job["rows"]["total"] == len(ROWS)
    results = service.get(job["links"]["results"]).raise_for_status().content
    assert results == expected
    assert service.get(job["links"]["page"]).status_code == 200
    assert job["bytes"] == len(FILES[name])


def test_a_form_takes_a_workbook_and_its_sheet(service: Stack) -> None:
    files = {"file": ("book.xlsx", BOOK)}
    for sheet in ("People", "2"):
        response = service.request("POST", "/api/v1/jobs", files=files, data={"sheet": sheet, "model": "income"})
        job = service.ended(response.raise_for_status().json())
        assert (job["state"], job["sheet"], job["rows"]["total"]) == ("succeeded", "People", len(ROWS))
        # The rows above the header, one of them empty.
        assert job["skipped_lines"] == 2
        assert service.get(job["links"]["results"]).text.startswith("Our people\n\nid,age,")
    refused = service.request("POST", "/api/v1/jobs", files=files)
    assert problem_of(refused) == (422, "missing_columns")
    assert refused.json()["detail"].endswith(
        "; the sheet 'Cover' was read, there are also 'People': choose one with 'sheet'"
    )


@pytest.mark.parametrize("name", ["people.xlsx", "people.jsonl"])
def test_totals_below_the_last_row_are_rejected_as_such_and_foretold(service: Stack, name: str) -> None:
    totals = ["Total", 12_345, *[None] * 5, 9_999]
    rows = [*ROWS[:2], totals, ROWS[2], totals]
    lines = json_lines(dict(zip(NAMES, row, strict=True)) for row in rows)
    data = xlsx(("People", [NAMES, *rows])) if name == "people.xlsx" else lines
    headers = {"Content-Type": "application/octet-stream"}
    preview = service.request("POST", "/api/v1/preflight", content=data, headers=headers, params={"filename": name})
    assert {"code": "totals_line", "column": None, "count": 1} in preview.json()["faults"]
    job = upload(service, data, name).raise_for_status().json()
    assert job["rows"] == {"total": 5, "scored": 3, "rejected": 2, "warned": 0, "repaired": 0}
    *others, last = service.get(job["links"]["results"]).text.splitlines()
    assert last.endswith(',"totals_line: the last line of the file holds totals, not a record"')
    assert "totals_line" not in "".join(others)


def test_the_sheet_may_be_a_field_after_the_file(service: Stack) -> None:
    fields = [("file", ("book.xlsx", BOOK)), ("sheet", (None, "People")), ("threshold", (None, "0.9"))]
    job = service.ended(service.request("POST", "/api/v1/jobs", files=fields).raise_for_status().json())
    assert (job["state"], job["sheet"], job["threshold"]) == ("succeeded", "People", 0.9)


REFUSED = {
    "no-such-sheet": (BOOK, {"sheet": "Persons"}, 422, "unknown_sheet"),
    "other-columns": (parquet(TABLE.drop_columns(["age"])), {}, 422, "missing_columns"),
    "two-ages": (parquet(TABLE.append_column("Age", TABLE["age"])), {}, 422, "duplicate_columns"),
    "no-rows": (parquet(TABLE.slice(0, 0)), {}, 422, "no_rows"),
    "no-workbook": (zipped({"[Content_Types].xml": "", "word/document.xml": ""}), {}, 415, "unsupported_media_type"),
    "zip": (zipped({"people.csv": CSV_FILE}), {}, 415, "unsupported_media_type"),
    "damaged": (FILES["people.parquet"][:-50], {}, 422, "unreadable_file"),
    "not-parquet": (CSV_FILE, {"format": "parquet"}, 415, "unsupported_media_type"),
    "unknown-format": (CSV_FILE, {"format": "docx"}, 422, "bad_parameter"),
    "macros": (zipped({"[Content_Types].xml": "", "xl/workbook.xml": "", "xl/vbaProject.bin": "x"}), {}, 415,
               "unsupported_media_type"),
    "wide": (xlsx(("A", [["x"] * 16384])), {}, 422, "too_wide"),
    "threshold": (FILES["people.xlsx"], {"threshold": "2"}, 422, "bad_threshold"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_wrong_with_a_small_file_is_said_at_once_and_nothing_is_stored(service: Stack, kind: str) -> None:
    data, query, status, code = REFUSED[kind]
    before = service.get("/api/v1/jobs").json()["jobs"]
    assert problem_of(upload(service, data, **query)) == (status, code)
    assert service.get("/api/v1/jobs").json()["jobs"] == before


def test_what_is_wrong_with_a_large_file_fails_its_job_with_the_same_problem(service: Stack) -> None:
    long = pa.array(["x" * 1000] * 20_000)
    table = pa.table({"agee": [1] * 20_000, "remark": long})
    data = parquet(table, compression="none", use_dictionary=False)
    job = upload(service, data).raise_for_status().json()
    assert (job["state"], job["converting"]) == ("failed", None)
    assert (job["error"]["code"], job["error"]["status"]) == ("missing_columns", 422)
    assert job["error"]["errors"][0] == {
        "code": "missing_columns", "column": "age", "detail": "column 'age' is missing", "did_you_mean": "agee"
    }  # fmt: skip
    assert problem_of(service.get(job["links"]["results"])) == (409, "job_failed")
    lines = b'{"age": 39}\n' + b'{"age": "' + b"x" * 100_000_000 + b'"}\n'
    job = upload(service, lines, "a.jsonl").raise_for_status().json()
    assert (job["state"], job["error"]["code"], job["error"]["errors"][0]["row"]) == ("failed", "too_wide", 2)


def test_a_broken_line_of_json_is_rejected_alone(service: Stack) -> None:
    good = FILES["people.jsonl"].splitlines()
    broken = b'{"age": "a, b", oops'
    job = upload(service, b"\n".join([good[0], broken, good[1]]), "a.jsonl").raise_for_status().json()
    assert job["rows"] == {"total": 3, "scored": 2, "rejected": 1, "warned": 0, "repaired": 0}
    lines = service.get(job["links"]["results"]).text.splitlines()
    assert lines[1].startswith("1,18,")
    assert lines[2].startswith('"{""age"": ""a, b"", oops",,,,,,,,,,"malformed: ')
    assert lines[3].startswith("2,19,")
    other = service.get(job["links"]["results"], params={"format": "jsonl"}).content.splitlines()[1]
    assert json.loads(other)["id"] == broken.decode()
    [rejected] = service.get(f"{job['links']['self']}/rejects/records").json()["records"]
    assert rejected["values"] == [broken.decode(), *[""] * 7]
    assert "malformed: the line is not a JSON object" in service.get(job["links"]["results"]).text
    assert "malformed" in service.get(job["links"]["rejects"]).text


@pytest.mark.parametrize("kind", ["xlsx", "parquet", "jsonl"])
def test_results_in_other_formats_are_scored_once_more_without_their_old_columns(service: Stack, kind: str) -> None:
    job = upload(service, FILES["people.parquet"]).raise_for_status().json()
    once = service.get(job["links"]["results"], params={"format": kind}).content
    headers = {"Content-Type": "application/octet-stream"}
    query = {"filename": f"people.{kind}", "drop_results": "true"}
    report = service.request("POST", "/api/v1/preflight", content=once, headers=headers, params=query).json()
    again = upload(service, once, f"people.{kind}", drop_results="true").raise_for_status().json()
    text = service.get(again["links"]["results"]).text
    assert text.splitlines()[0] == ",".join([*NAMES, "prediction", "probability", "error"])
    assert [column["header"] for column in report["columns"]] == NAMES
    assert service.get(again["links"]["results"], params={"format": kind}).content[:4] == once[:4]
    assert [line.split(",")[-3:] for line in text.splitlines()] == [
        line.split(",")[-3:] for line in service.get(job["links"]["results"]).text.splitlines()
    ]


def test_results_can_be_followed_and_scored_again(service: Stack) -> None:
    response = service.request(
        "POST", "/api/v1/jobs", content=FILES["people.parquet"], headers={"Content-Type": "application/octet-stream"}
    )
    job = response.raise_for_status().json()
    followed = service.get(job["links"]["results"], params={"follow": "true"}).content
    assert followed == service.get(job["links"]["results"]).content
    again = service.request("POST", f"/jobs/{job['id']}/again", data={"threshold": "0.2"})
    assert again.status_code == 303
    copy = service.ended({"links": {"self": f"/api/v1{again.headers['Location']}"}})
    assert (copy["state"], copy["rows"]["total"]) == ("succeeded", len(ROWS))


def test_results_are_not_streamed_of_other_formats(service: Stack) -> None:
    headers = {"Content-Type": "application/octet-stream"}
    response = service.request("POST", "/api/v1/score", content=FILES["people.parquet"], headers=headers)
    assert problem_of(response) == (415, "unsupported_media_type")
    assert "/api/v1/jobs" in response.json()["detail"]


def test_an_idempotency_key_gives_the_first_job_of_a_workbook(service: Stack) -> None:
    headers = {"Content-Type": "application/octet-stream", "Idempotency-Key": "the workbook"}
    first, second = (
        service.request("POST", "/api/v1/jobs", content=FILES["people.xlsx"], headers=headers) for _ in range(2)
    )
    assert (first.status_code, second.status_code) == (202, 200)
    assert first.json()["id"] == second.json()["id"]
    assert json.loads(second.content)["format"] == "xlsx"


def test_a_large_table_becomes_what_the_same_rows_in_csv_become_whatever_is_done_with_it(service: Stack) -> None:
    ages = [200 if n % 1000 == 7 else 17 + n % 74 for n in range(20_000)]
    table = TABLE.take(pa.array([n % len(ROWS) for n in range(len(ages))])).set_column(1, "age", pa.array(ages))
    lines = [",".join(map(str, row.values())) for row in table.to_pylist()]
    as_csv, expected = service.score("\n".join([",".join(NAMES), *lines, ""]).encode())
    job = upload(service, parquet(table), "people.parquet").raise_for_status().json()
    assert (job["state"], job["rows"]) == ("succeeded", as_csv["rows"])
    assert job["rows"]["rejected"] == 20
    jobs = [(job, as_csv)]
    body = {"records": [{"_row": 8, "age": 39}, {"_row": 19_008, "age": "41"}]}
    corrected = [
        service.request("POST", f"{one['links']['self']}/corrections", json=body, headers=WAIT).json()
        for one in (job, as_csv)
    ]
    assert corrected[0]["rows"] == job["rows"] | {"scored": 19_982, "rejected": 18}
    jobs.append((corrected[0], corrected[1]))
    for one, other in jobs:
        for what in ("results", "rejects"):
            assert service.get(one["links"][what]).content == service.get(other["links"][what]).content
        assert service.get(one["links"]["summary"]).json() == service.get(other["links"]["summary"]).json()
    assert service.get(job["links"]["results"]).content == expected
    assert service.request("HEAD", job["links"]["results"]).headers["Content-Length"] == str(len(expected))
    part = service.get(job["links"]["results"], headers={"Range": "bytes=1000000-1000099"})
    assert (part.status_code, part.content) == (206, expected[1_000_000:1_000_100])
    assert part.headers["Content-Range"] == f"bytes 1000000-1000099/{len(expected)}"
    back = pq.read_table(
        io.BytesIO(service.get(corrected[0]["links"]["results"], params={"format": "parquet"}).content)
    )
    assert back.schema.types[: len(NAMES)] == table.schema.types
    assert back["age"].to_pylist() == [{7: 39, 19_007: 41}.get(n, age) for n, age in enumerate(ages)]
    again = service.request("POST", f"/jobs/{job['id']}/again", data={"threshold": "0.2"})
    copy = service.ended({"links": {"self": f"/api/v1{again.headers['Location']}"}})
    assert (copy["state"], copy["rows"]["total"]) == ("succeeded", len(ages))
