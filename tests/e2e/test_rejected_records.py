"""The rejected rows of a job as records: a file to be edited, and pages for a grid."""

import csv
import io
from typing import Any

import pytest

from tests.e2e.test_jobs_api import GOOD, HEADER
from tests.stack import Stack, problem_of

BAD_AGE, BAD_SEX = GOOD.replace("39", "abc"), GOOD.replace("Male", "M")
BOTH = BAD_AGE.replace("Male", "M")


def records_of(service: Stack, job: dict[str, Any], **query: Any) -> list[dict[str, str]]:
    text = service.get(job["links"]["rejects"], params={"shape": "records", **query}).raise_for_status().text
    return list(csv.DictReader(io.StringIO(text)))


def page_of(service: Stack, job: dict[str, Any], **query: Any) -> Any:
    return service.get(f"{job['links']['rejects']}/records", params=query).raise_for_status().json()


def test_rejected_records_come_as_they_were_with_row_and_errors(service: Stack) -> None:
    job, _ = service.score("\n".join([HEADER, GOOD, BOTH, GOOD, BAD_SEX]).encode())
    response = service.get(job["links"]["rejects"], params={"shape": "records"})
    lines = response.text.splitlines()
    assert lines[0] == f"{HEADER},_row,_errors"
    assert [line.rpartition(',"')[0] for line in lines[1:]] == [f"{BOTH},2", f"{BAD_SEX},4"]
    first, second = records_of(service, job)
    assert first["_errors"].startswith("not_a_number in age: ")
    assert "; unknown_category in sex: " in first["_errors"]
    assert second["_errors"].startswith("unknown_category in sex: ")


def test_the_added_columns_take_names_that_no_column_has(service: Stack) -> None:
    job, _ = service.score(f"{HEADER},_row,_errors_2,_errors\n{BAD_SEX},7,x,y\n".encode())
    [record] = records_of(service, job)
    assert (record["_row"], record["_errors_2"], record["_errors"], record["_row_2"]) == ("7", "x", "y", "1")
    assert record["_errors_3"].startswith("unknown_category")


def test_the_dialect_and_the_fields_are_those_of_the_file(service: Stack) -> None:
    row = BAD_SEX.replace(",", ";")
    file = f'{HEADER.replace(",", ";")};note\r\n{row};"a;""b""\r\nc"\r\n{row};6" nail\r\n'
    job, _ = service.score(file.encode())
    text = service.get(job["links"]["rejects"], params={"shape": "records"}).text
    assert text.startswith(f'{HEADER.replace(",", ";")};note;_row;_errors\r\n{row};"a;""b""\r\nc";1;"unknown')
    assert f'\r\n{row};6" nail;2;"unknown' in text
    assert text.endswith("\r\n")


def test_broken_records_show_the_fields_that_fit(service: Stack) -> None:
    job, _ = service.score(f'{HEADER}\n{GOOD},surplus\n39,State-gov\n{GOOD}\n"39"x{GOOD[2:]}\n'.encode())
    records = records_of(service, job)
    assert [record["_row"] for record in records] == ["1", "2", "4"]
    assert [record["_errors"].partition(":")[0] for record in records] == ["ragged", "ragged", "malformed"]
    assert (records[0]["hours_per_week"], records[1]["sex"]) == ("40", "")


def test_formulas_may_be_escaped(service: Stack) -> None:
    job, _ = service.score(f"{HEADER},note\n{BAD_SEX},=1+1\n".encode())
    assert records_of(service, job, escape="formulas")[0]["note"] == "'=1+1"


def test_pages_hold_all_rejected_records_in_order(service: Stack) -> None:
    rows = [BOTH if n % 3 == 0 else BAD_SEX if n % 3 == 1 else GOOD for n in range(1, 61)]
    job, _ = service.score("\n".join([HEADER, *rows]).encode())
    found: list[Any] = []
    cursor = ""
    while cursor is not None:
        page = page_of(service, job, limit=7, cursor=cursor)
        assert page["total"] == 40
        found += page["records"]
        cursor = page["next_cursor"]
    assert [record["_row"] for record in found] == [n for n in range(1, 61) if n % 3 < 2]
    assert found[0]["values"] == BAD_SEX.split(",")
    assert [(error["column"], error["code"], error["value"]) for error in found[1]["errors"]] == [
        ("age", "not_a_number", "abc"),
        ("sex", "unknown_category", "M"),
    ]
    columns = {column["name"]: column for column in page["columns"]}
    assert columns["sex"] == {"name": "sex", "features": ["sex"], "choices": ["Female", "Male"]}
    assert columns["age"]["choices"] is None


def test_pages_may_hold_only_the_records_with_a_value(service: Stack) -> None:
    rows = [BAD_SEX, BAD_AGE, GOOD.replace("Male", ""), BOTH]
    job, _ = service.score("\n".join([HEADER, *rows]).encode())
    for value, expected in (("M", [1, 4]), ("", [3]), ("Male", [2]), ("m", [])):
        assert [r["_row"] for r in page_of(service, job, column="sex", value=value)["records"]] == expected
    response = service.get(f"{job['links']['rejects']}/records", params={"column": "nothing"})
    assert problem_of(response) == (422, "bad_parameter")


@pytest.mark.parametrize("query", ["/records?limit=0", "/records?limit=1001", "/records?cursor=x", "?shape=rows"])
def test_invalid_parameters_are_refused(service: Stack, query: str) -> None:
    job, _ = service.score(f"{HEADER}\n{BAD_SEX}\n".encode())
    assert problem_of(service.get(f"{job['links']['rejects']}{query}")) == (422, "bad_parameter")


def test_a_job_without_rejected_rows_has_no_records(service: Stack) -> None:
    job, _ = service.score(f"{HEADER}\n{GOOD}\n".encode())
    assert records_of(service, job) == []
    page = page_of(service, job)
    assert (page["records"], page["next_cursor"], page["total"]) == ([], None, 0)


def test_pages_of_large_records_are_short_and_complete(service: Stack) -> None:
    rows = [f"{BAD_SEX},{n},{'x' * 400_000}" for n in range(1, 31)]
    job, _ = service.score("\n".join([f"{HEADER},id,text", *rows]).encode())
    found: list[str] = []
    cursor, pages = "", 0
    while cursor is not None:
        page = page_of(service, job, limit=1000, cursor=cursor)
        found += [record["values"][7] for record in page["records"]]
        cursor, pages = page["next_cursor"], pages + 1
    assert found == [str(n) for n in range(1, 31)]
    assert 2 < pages < 10
