"""Uploads and the pages of jobs as people use them, without JavaScript."""

import csv
import io
import re

import pytest

from jobs.settings import Settings
from jobs.store.chunks import NewJob
from jobs.store.connection import connect
from jobs.store.job_store import JobStore
from tests.stack import Stack, wait_until
from tests.web.reading import Page, ended_job, page_of, upload_by_form
from tests.web.records import HEADER, ROW


def test_upload_by_form_watch_download(service: Stack) -> None:
    form = page_of(service, "/")
    (element,) = form.all("form", method="post")
    names = [field.attrib["name"] for field in element.iter("input")]
    assert names[-1] == "file", "the fields stand before the file, so that they are known when it comes"
    sample = next(link for link in form.links() if link.endswith("sample.csv"))
    answer = upload_by_form(service, service.get(sample).content, "sample.csv")
    assert answer.status_code == 303
    path = answer.headers["Location"]
    page = ended_job(service, path)
    assert "Succeeded" in page.text("main")
    assert "sample.csv" in page.text("main")
    (download,) = [link for link in page.links() if "results" in link and "format" not in link]
    rows = list(csv.DictReader(io.StringIO(service.get(download).text)))
    assert len(rows) == 20
    assert all(row["probability"] and not row["error"] for row in rows)
    assert path in page_of(service, "/jobs").links()
    deleted = service.request("POST", f"{path}/delete")
    assert (deleted.status_code, deleted.headers["Location"]) == (303, "/jobs")
    assert page_of(service, path).status == 404
    assert path not in page_of(service, "/jobs").links()


def test_the_rejected_rows_are_shown_with_their_reasons(service: Stack, job_path: str) -> None:
    page = ended_job(service, job_path)
    assert [row[:2] for row in page.rows("rejects")] == [["4", "x"], ["2", "<b>old</b>"], ["3", "200"]]
    assert page.rows("rejects")[1][2].startswith("“<b>old</b>” is not a number. Enter a whole number, 17 to 90")
    shown = page.text("rejects")
    for kind in ("Age: not a number (1 row)", "Age: out of range (1 row)", "Row: too few or too many fields (1 row)"):
        assert kind in shown
    assert "3 of 4 rows could not be scored" in shown
    (download,) = [link for link in page.links() if "rejects" in link and "shape" not in link]
    assert len(list(csv.reader(io.StringIO(service.get(download).text)))) == 4


def test_the_threshold_of_the_form_decides(service: Stack) -> None:
    path = upload_by_form(service, f"{HEADER}\n{ROW}\n".encode(), threshold="0.01").headers["Location"]
    page = ended_job(service, path)
    (download,) = [link for link in page.links() if "results" in link and "format" not in link]
    assert service.get(download).text.splitlines()[1].split(",")[-3] == ">50K"
    service.request("POST", f"{path}/delete")


@pytest.mark.parametrize(
    ("data", "fields", "status", "text"),
    [
        (
            f"{HEADER.replace('sex', 'gender').replace('age', 'agee')}\n{ROW}\n".encode(),
            {},
            422,
            "Column 'age' is missing",
        ),
        (b"", {}, 422, "The file is empty"),
        (HEADER.encode(), {}, 422, "The file has no data rows"),
        (b"PK\x03\x04 xl/workbook.xml", {}, 422, "This file cannot be read"),
        (f"{HEADER}\n{ROW}\n".encode(), {"threshold": "7"}, 422, "Invalid threshold"),
        (f"{HEADER}\n{ROW}\n".encode(), {"threshold": "half"}, 422, "Invalid threshold"),
        (f"{HEADER}\n{ROW}\n".encode(), {"model": "nothing"}, 422, "Model not found"),
    ],
)
def test_a_refused_file_shows_the_form_again_with_what_to_do(
    service: Stack, data: bytes, fields: dict[str, str], status: int, text: str
) -> None:
    before = page_of(service, "/jobs").links()
    page = Page(upload_by_form(service, data, **fields))
    assert page.status == status
    assert text in page.text("main")
    wrong, right = ("threshold", "file") if "threshold" in fields else ("file", "threshold")
    assert page.field(wrong).attrib["aria-invalid"] == "true"
    assert "aria-invalid" not in page.field(right).attrib
    assert f"#{wrong}" in page.links()
    assert page.values("post")["threshold"] == fields.get("threshold", "0.5")
    assert page_of(service, "/jobs").links() == before, "nothing was stored"


def test_a_misspelt_column_is_named(service: Stack) -> None:
    page = Page(upload_by_form(service, f"{HEADER.replace('age', 'agee')}\n{ROW}\n".encode()))
    assert "The file has “agee”: did you mean that column?" in page.text("main")


def test_a_large_file_that_is_refused_at_once_still_gets_its_page(service: Stack) -> None:
    answer = upload_by_form(service, b"a,b\n" + b"1,2\n" * 8_000_000)
    assert "Required columns are missing" in Page(answer).text("main")


def test_a_running_job_is_canceled_and_offers_what_is_finished(service: Stack) -> None:
    path = upload_by_form(service, f"{HEADER}\n".encode() + f"{ROW}\n".encode() * 600_000).headers["Location"]
    wait_until(lambda: service.get(f"/api/v1{path}").json()["progress"] > 0)
    with service.frozen("-m worker", "bulk"):
        running = page_of(service, path)
        assert running.refresh == "2"
        assert f"{path}/cancel" in [form.attrib["action"] for form in running.all("form")]
        assert page_of(service, "/jobs").refresh == "5"
        answer = service.request("POST", f"{path}/cancel")
    assert (answer.status_code, answer.headers["Location"]) == (303, path)
    page = ended_job(service, path)
    assert "Rows scored so far can be downloaded." in page.text("main")
    (partial,) = [link for link in page.links() if "results" in link and "format" not in link]
    assert service.get(partial).status_code == 200
    assert path in page_of(service, "/jobs", state="canceled").links()
    assert path not in page_of(service, "/jobs", state="succeeded").links()
    service.request("POST", f"{path}/delete")


def test_a_failed_job_says_why(service: Stack) -> None:
    settings = Settings(data_dir=service.folder)
    store = JobStore(connect(settings), settings)
    new = NewJob("income", "v", "broken.csv", "utf-8", ",", "\n", 0.5, b"", b"", {}, 7, shown=True)
    store.begin(new)
    store.fail(new.id, "no row could be scored")
    page = page_of(service, f"/jobs/{new.id}")
    store.remove(new.id)
    assert "The job failed. No row could be scored." in page.text("main")
    assert not [link for link in page.links() if "results" in link]


def test_the_list_goes_on_page_by_page(service: Stack) -> None:
    paths = [upload_by_form(service, f"{HEADER}\n{ROW}\n".encode()).headers["Location"] for _ in range(3)]
    seen: list[str] = []
    address = "/jobs?limit=2"
    while address:
        page = Page(service.get(address))
        seen += [link for link in page.links() if re.fullmatch(r"/jobs/\w+", link)]
        older = page.all("a", rel="next")
        address = older[0].attrib["href"] if older else ""
    assert [path for path in seen if path in paths] == paths[::-1]
    assert len(seen) == len(set(seen))
    for path in paths:
        service.request("POST", f"{path}/delete")


def test_the_upload_form_offers_its_options_folded(service: Stack) -> None:
    page = page_of(service, "/")
    (form,) = page.all("form", method="post")
    (folded,) = form.iter("details")
    assert "open" not in folded.attrib
    names = [field.attrib["name"] for field in folded.iter() if field.tag in ("input", "select")]
    assert names == ["model", "explain", "sheet", "encoding", "delimiter", "decimal", "drop_results"]


def test_a_form_with_options_is_scored_by_them(service: Stack) -> None:
    data = f"{HEADER}\n{ROW}\n".replace(",", "\t").replace("\t40", "\t40,0").encode("cp1250")
    options = {"explain": "2", "encoding": "cp1250", "delimiter": "\t", "decimal": ",", "model": "income"}
    job = service.get(f"/api/v1{upload_by_form(service, data, **options).headers['Location']}").json()
    assert (job["explain"], job["encoding"], job["delimiter"], job["decimal"]) == (2, "cp1250", "\t", ",")


def test_options_are_kept_when_a_file_is_refused(service: Stack) -> None:
    page = Page(upload_by_form(service, b"a;b\n1;2\n", delimiter=";", explain="3"))
    assert page.status == 422
    assert "line 1 was taken as the header, with a semicolon as delimiter" in page.text("main")
    assert (page.values("post")["delimiter"], page.values("post")["explain"]) == (";", "3")
