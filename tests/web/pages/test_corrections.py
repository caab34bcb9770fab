"""The part of a job's page on which rejected rows are corrected, without JavaScript."""

import csv
import io
import json
from typing import Any

import httpx

from tests.stack import Stack
from tests.web.reading import Page, ended_job, page_of
from tests.web.records import FAULTY, HEADER, ROW


def upload(service: Stack, path: str, data: bytes) -> httpx.Response:
    return service.request("POST", f"{path}/corrections", files={"file": ("rejects.csv", data, "text/csv")})


def rejected(service: Stack, page: Page) -> list[dict[str, str]]:
    (address,) = [link for link in page.links() if "shape=records" in link]
    return list(csv.DictReader(io.StringIO(service.get(address).text)))


def written(records: list[dict[str, Any]]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(records[0]))
    writer.writeheader()
    writer.writerows(records)
    return out.getvalue().encode()


def test_an_edited_file_becomes_a_job_that_says_what_it_corrects(service: Stack) -> None:
    path = service.upload(FAULTY).json()["links"]["page"]
    page = page_of(service, path)
    (form,) = page.all("form", id="corrections-form")
    assert form.attrib["action"] == f"{path}/corrections"
    records = rejected(service, page)
    assert [record["_row"] for record in records] == ["2", "3", "4"]
    answer = upload(service, path, written([record | {"age": "39"} for record in records[:2]]))
    assert answer.status_code == 303
    corrected = ended_job(service, answer.headers["Location"])
    assert path in corrected.links()
    assert "Corrects rejected rows of" in corrected.text("job")
    assert answer.headers["Location"] in page_of(service, path).links()
    assert [record["_row"] for record in rejected(service, corrected)] == ["4"]
    # Once the corrected job is gone, nothing leads there.
    service.request("POST", f"{path}/delete")
    assert "Corrects" not in page_of(service, answer.headers["Location"]).text("job")


def test_a_file_that_does_not_fit_is_explained_on_the_page(service: Stack) -> None:
    path = service.upload(FAULTY).json()["links"]["page"]
    rows = [{"_row": row, "age": 39} for row in (1, 9, 12)]
    for data, status, texts in (
        (b"", 422, ["The file is empty"]),
        (b"age\n1\n", 422, ["Required columns are missing", "_row"]),
        (written(rows[1:]), 422, ["A row does not exist", "Row 9: it does not exist", "Row 12: It does not exist"]),
        (written(rows[:1]), 422, ["A row was not rejected", "nothing to correct"]),
        (b"\x89PNG\r\n\x1a\n", 415, ["This file cannot be read", "PNG image"]),
    ):
        page = Page(upload(service, path, data))
        assert page.status == status
        assert "#corrections" in page.links()
        for text in texts:
            assert text in page.text("main")


def test_only_jobs_with_rejected_rows_offer_corrections(service: Stack) -> None:
    page = page_of(service, service.upload(f"{HEADER}\n{ROW}\n".encode()).json()["links"]["page"])
    assert not page.all("section", id="corrections")
    path = service.upload(FAULTY).json()["links"]["page"]
    address = service.get(f"{path}/corrections")
    assert (address.status_code, address.headers["Location"]) == (303, path)


def test_the_grid_knows_what_to_enter(service: Stack) -> None:
    page = page_of(service, service.upload(FAULTY).json()["links"]["page"])
    (grid,) = page.all("div", id="grid")
    texts = json.loads(grid.attrib["data-texts"])
    assert texts["expected"]["sex"] == "Enter Female or Male."
    assert texts["expected"]["education"].startswith("Choose one of ")
    assert texts["expected"]["age"].startswith("Enter a whole number, 17 to 90")
    assert texts["row_column"] == "_row"
