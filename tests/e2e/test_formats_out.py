"""Results in every format: the same records, in order, with the types that came in."""

import csv
import io
import json
from typing import Any

import httpx
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from python_calamine import CalamineWorkbook

from tests.e2e.test_formats_in import CSV_FILE, FILES, NAMES, ROWS, TABLE, upload
from tests.e2e.test_jobs_api import FILE
from tests.stack import Stack, problem_of, wait_until

TYPES = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "parquet": "application/vnd.apache.parquet",
    "jsonl": "application/x-ndjson",
}


@pytest.fixture(scope="module")
def jobs(service: Stack) -> dict[str, dict[str, Any]]:
    """The same rows, uploaded in each format."""
    files = {"people.csv": CSV_FILE, **FILES}
    return {name: upload(service, data, name).raise_for_status().json() for name, data in files.items()}


def results(service: Stack, job: dict[str, Any], **query: Any) -> httpx.Response:
    return service.get(job["links"]["results"], params=query).raise_for_status()


def sheet(data: bytes) -> list[list[Any]]:
    return CalamineWorkbook.from_filelike(io.BytesIO(data)).get_sheet_by_index(0).to_python()


def expected(service: Stack, jobs: dict[str, dict[str, Any]]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(results(service, jobs["people.csv"]).text)))


@pytest.mark.parametrize("name", ["people.csv", *FILES])
def test_every_format_in_comes_out_in_every_format(service: Stack, jobs: dict[str, dict[str, Any]], name: str) -> None:
    wanted = expected(service, jobs)
    table = pq.read_table(io.BytesIO(results(service, jobs[name], format="parquet").content))
    rows = sheet(results(service, jobs[name], format="xlsx").content)
    records = [json.loads(line) for line in results(service, jobs[name], format="jsonl").content.splitlines()]
    assert rows[0] == table.column_names == list(records[0]) == list(wanted[0])
    assert len(rows) - 1 == len(table) == len(records) == len(ROWS)
    for row, cells, values, record in zip(wanted, rows[1:], table.to_pylist(), records, strict=True):
        for at, column in enumerate(row):
            found = {str(values[column] or ""), str(record[column] or ""), str(cells[at]).removesuffix(".0")}
            if column == "probability":
                assert {float(text) for text in found if text} == ({float(row[column])} if row[column] else set())
            else:
                assert found == {row[column]}, column
    whole = pa.string() if name == "people.csv" else pa.int64()
    assert [table.schema.field(column).type for column in ("id", "race", "probability")] == [
        whole, pa.string(), pa.float64()
    ]  # fmt: skip


@pytest.mark.parametrize("kind", TYPES)
def test_the_format_is_asked_for_by_parameter_or_by_accept(
    service: Stack, jobs: dict[str, dict[str, Any]], kind: str
) -> None:
    job = jobs["people.xlsx"]
    asked = results(service, job, format=kind)
    accepted = service.get(job["links"]["results"], headers={"Accept": f"{TYPES[kind]}, */*;q=0.1"})
    for response in (asked, accepted):
        assert response.headers["Content-Type"].partition(";")[0] == TYPES[kind]
        assert response.headers["Content-Disposition"] == f'attachment; filename="people.scored.{kind}"'
    assert "Accept" in accepted.headers["Vary"]
    plain = service.get(job["links"]["results"], headers={"Accept": "text/html,*/*;q=0.8"})
    assert plain.headers["Content-Type"].startswith("text/csv")


def test_other_formats_are_refused_with_a_list(service: Stack, jobs: dict[str, dict[str, Any]]) -> None:
    address = jobs["people.csv"]["links"]["results"]
    response = service.get(address, headers={"Accept": "image/png"})
    assert problem_of(response) == (406, "not_acceptable")
    assert "application/x-ndjson" in response.json()["detail"]
    assert problem_of(service.get(address, params={"format": "docx"})) == (422, "bad_parameter")
    for kind in ("xlsx", "parquet", "excel-csv"):
        assert problem_of(service.get(address, params={"format": kind, "follow": "true"})) == (422, "bad_parameter")


def test_csv_for_excel_has_a_mark_and_its_line_ends(service: Stack) -> None:
    data = FILE.replace(b"\n", b"\n").rstrip(b"\n").replace(b"State-gov", b'"=1+1\nx"', 1) + b"\n"
    job = upload(service, data, "a.csv").raise_for_status().json()
    text = results(service, job, format="excel-csv").content
    assert text.startswith(b"\xef\xbb\xbf")
    assert text.count(b"\r\n") == 3
    assert b'"\'=1+1\nx"' in text


def test_partial_results_and_results_that_are_not_there_yet(service: Stack, jobs: dict[str, dict[str, Any]]) -> None:
    assert problem_of(service.get(f"/api/v1/jobs/{'0' * 32}/results?format=xlsx")) == (404, "unknown_job")
    with service.frozen("-m worker bulk"):
        response = service.request("POST", "/api/v1/jobs", content=CSV_FILE, headers={"Content-Type": "text/csv"})
        job = response.json()
        assert problem_of(service.get(job["links"]["results"], params={"format": "parquet"})) == (409, "not_ready")
        service.request("DELETE", job["links"]["self"])
    partial = results(service, job, format="parquet", partial="true").content
    assert pq.read_table(io.BytesIO(partial)).num_rows == 0
    assert sheet(results(service, job, format="xlsx", partial="true").content)[0][0] == NAMES[0]


def test_json_lines_can_be_followed(service: Stack) -> None:
    response = service.request("POST", "/api/v1/jobs", content=CSV_FILE, headers={"Content-Type": "text/csv"})
    lines = results(service, response.json(), format="jsonl", follow="true").content.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [str(row[0]) for row in ROWS]


def test_an_export_that_is_killed_breaks_the_transfer_off(service: Stack) -> None:
    big = pa.concat_tables([TABLE] * 400).append_column("remark", pa.array([f"{n:0100}" for n in range(400 * 300)]))
    job = upload(service, FILES["people.parquet"]).json()
    headers = {"Content-Type": "application/octet-stream", "Prefer": "wait=60, until=ended"}
    stored = pa.BufferOutputStream()
    pq.write_table(big, stored)
    job = service.request("POST", "/api/v1/jobs", content=stored.getvalue().to_pybytes(), headers=headers).json()
    assert job["state"] == "succeeded", job
    with service.client() as client, pytest.raises(httpx.HTTPError):
        with client.stream("GET", job["links"]["results"], params={"format": "jsonl"}) as response:
            assert response.status_code == 200
            for process in service.forks():
                process.kill()
            for _ in response.iter_raw():
                pass
    wait_until(lambda: not service.forks())
    with service.client() as client, client.stream("GET", job["links"]["results"], params={"format": "jsonl"}):
        pass
    wait_until(lambda: not [p for p in service.forks() if p.status() != psutil.STATUS_ZOMBIE])


def test_a_text_that_is_too_long_for_a_cell_is_said_not_cut(service: Stack) -> None:
    data = FILE.replace(b"State-gov", b"x" * 40_000, 1)
    job = upload(service, data, "a.csv").json()
    assert problem_of(service.get(job["links"]["results"], params={"format": "xlsx"})) == (406, "text_too_long")
    assert len(results(service, job, format="parquet").content) > 1000
