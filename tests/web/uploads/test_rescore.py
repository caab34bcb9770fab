"""A job scored again from its own results, against a running service and without JavaScript."""

import csv
import io
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from jobs.settings import Settings
from jobs.store.connection import connect
from jobs.store.job_store import JobStore
from jobs.store.keys import JobKeys
from tests.e2e.test_lying_uploads import response_to
from tests.e2e.test_slow_clients import head
from tests.stack import Stack
from tests.web.reading import Page, ended_job, page_of
from tests.web.records import HEADER, ROW
from web import create_app

GOOD = [
    ROW,
    ROW.replace("39", '"51"').replace("Never-married", '"Married-civ-spouse"'),
    ROW.replace("State-gov", "?").replace("39", " 61 "),
]
# Each rejected, every kind with which a record can be.
BAD = [
    ROW.replace("39", "", 1),
    ROW.replace("39", '"1,234"'),
    ROW.replace("39", '"a ""b"" of\ntwo"').replace("40", "x"),
    ROW.replace("39", "39.5"),
    ROW.replace("39", "200").replace("Bachelors", "Bachelor"),
    "39,State-gov",
    '"x"',
    f"{ROW},a,b,1,2",
    f'{ROW},a,b,"note, with ""quotes"" and\nmore","{"long " * 60}"',
    f"{ROW},a,b,,,",
    f'{ROW},"so \\"",b',
    f'"39"x{ROW[2:]},a,b,one too many',
    f"{ROW},one\rtwo,b",
    f"{ROW},\udcff\udcfe,b",
    f'{ROW},"\udcff"x',
]
WIDE = f"{HEADER},note,number"


def wide(record: str) -> str:
    """A record with a value for the two columns that the model does not use."""
    return f'{record},"ä ""note""; a|b\tc\r\nd",007'


def file_of(delimiter: str, line_end: str, copies: int = 1) -> bytes:
    records = [*map(wide, GOOD + BAD[:5]), *BAD[5:], wide(ROW)]
    text = line_end.join([WIDE, *records * copies])
    if delimiter != ",":
        text = text.replace(delimiter, ".").replace(",", delimiter)
    return text.encode("utf-8", "surrogateescape")


def again(service: Stack, job: dict[str, Any], **form: str) -> httpx.Response:
    return service.request("POST", f"{job['links']['page']}/again", data=form)


def new_job(service: Stack, answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 303, answer.text
    address = f"/api/v1{answer.headers['Location']}"
    return service.ended({"links": {"self": address}})


def files_of(service: Stack, job: dict[str, Any]) -> tuple[bytes, bytes]:
    return service.get(job["links"]["results"]).content, service.get(job["links"]["rejects"]).content


def rows_of(results: bytes, delimiter: str = ",", encoding: str = "utf-8") -> list[list[str]]:
    return list(csv.reader(io.StringIO(results.decode(encoding), newline=""), delimiter=delimiter))


def delete(service: Stack, *jobs: dict[str, Any]) -> None:
    for job in jobs:
        service.request("POST", f"{job['links']['page']}/delete")


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_same_model_and_threshold_give_the_same_bytes(service: Stack, delimiter: str, line_end: str) -> None:
    first = service.upload(file_of(delimiter, line_end), filename="people.tsv", threshold=0.3).json()
    codes = {item["code"] for item in service.get(first["links"]["summary"]).json()["rejects"]}
    assert len(codes) == 8, "every kind but for a model that fails"
    second = new_job(service, again(service, first))
    assert second["id"] != first["id"]
    same = ("state", "filename", "model", "threshold", "delimiter", "rows")
    assert {name: second[name] for name in same} == {name: first[name] for name in same}
    assert second["rows"] == {"total": 20, "scored": 4, "rejected": 16, "warned": 0, "repaired": 0}
    assert files_of(service, second) == files_of(service, first)
    assert service.get(second["links"]["summary"]).json() == service.get(first["links"]["summary"]).json()
    delete(service, first, second)


def test_another_threshold_changes_the_predictions_only(service: Stack) -> None:
    first = service.upload(file_of(",", "\n")).json()
    second = new_job(service, again(service, first, threshold="0.9"))
    assert second["threshold"] == 0.9
    before, after = (rows_of(files_of(service, job)[0], encoding="latin-1") for job in (first, second))
    at = before[0].index("prediction")
    assert [row[:at] + row[at + 1 :] for row in before] == [row[:at] + row[at + 1 :] for row in after]
    assert [row[at] for row in after[1:] if row[at]] == ["<=50K"] * 4
    assert ">50K" in [row[at] for row in before]
    delete(service, first, second)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_whatever_the_encoding_was(service: Stack, encoding: str) -> None:
    text = f"{HEADER},sep=,prediction\r\n\r\n" + "".join(f"{row},Käse,7\r\n" for row in GOOD)
    first = service.upload(f"sep=,\r\n{text}".encode(encoding)).json()
    second = new_job(service, again(service, first))
    assert files_of(service, second) == files_of(service, first)
    assert rows_of(files_of(service, second)[0], encoding=encoding)[0][-4:] == [
        "prediction",
        "prediction_2",
        "probability",
        "error",
    ]
    delete(service, first, second)


def test_a_file_of_many_chunks_keeps_every_row_in_its_place(service: Stack) -> None:
    rows = (f"{age},{ROW[3:]},{number}" for number in range(150_000) for age in [17 + number % 80])
    lines = [f"{HEADER},number", *(f"{row},x" if n % 997 == 0 else row for n, row in enumerate(rows))]
    first = service.upload("\n".join(lines).encode()).json()
    second = new_job(service, again(service, first))
    assert second["rows"] == first["rows"]
    assert files_of(service, second) == files_of(service, first)
    third = new_job(service, again(service, second, threshold="0.1"))
    numbers = [row[7] for row in rows_of(files_of(service, third)[0])[1:]]
    assert numbers == [str(number) for number in range(150_000)]
    delete(service, first, second, third)


def test_the_page_offers_it_with_what_the_job_had(service: Stack) -> None:
    job = service.upload(file_of(",", "\n"), threshold=0.35, filename="people.csv").json()
    page = ended_job(service, job["links"]["page"])
    (form,) = page.all("form", id="again")
    assert form.attrib["action"] == f"{job['links']['page']}/again"
    assert page.field("threshold").attrib["value"] == "0.35"
    assert not page.all("select"), "there is one model only"
    delete(service, job)


@pytest.mark.parametrize(
    ("form", "words", "kept"),
    [
        ({"threshold": "7"}, "Invalid threshold", "7"),
        ({"threshold": "<b>"}, "Enter a number from 0 to 1", "<b>"),
        ({"model": "nothing"}, "Model not found", "0.5"),
    ],
)
def test_a_refusal_shows_the_page_again_with_the_remedy(
    service: Stack, form: dict[str, str], words: str, kept: str
) -> None:
    job = service.upload(file_of(",", "\n")).json()
    before = page_of(service, "/jobs").links()
    page = Page(again(service, job, **form))
    assert page.status == 422
    assert page.text().startswith("Error: ")
    assert words in page.text("main")
    assert page.field("threshold").attrib["value"] == kept
    assert page_of(service, "/jobs").links() == before, "nothing was stored"
    delete(service, job)


@pytest.mark.parametrize(
    ("setting", "status", "words"),
    [
        ({"max_unfinished_jobs": 0}, 429, "Too many jobs are waiting"),
        ({"full_ratio": 0.0}, 503, "The service is out of storage space"),
    ],
)
def test_a_service_that_is_full_says_so(service: Stack, setting: dict[str, Any], status: int, words: str) -> None:
    job = service.upload(file_of(",", "\n")).json()
    settings = Settings(data_dir=service.folder).model_copy(update=setting)
    client = create_app(settings).test_client()
    answer = client.post(f"{job['links']['page']}/again")
    assert answer.status_code == status
    assert int(answer.headers["Retry-After"]) > 0
    assert words in answer.text
    assert "Score again" in answer.text
    delete(service, job)


@pytest.mark.parametrize("chunk", [0, 1])
def test_results_that_are_gone_leave_nothing_behind(service: Stack, chunk: int) -> None:
    settings = Settings(data_dir=service.folder)
    store = JobStore(connect(settings), settings)
    job = service.upload(file_of(",", "\n", 1000)).json()
    before = page_of(service, "/jobs").links()
    store.redis.hdel(JobKeys.of(job["id"]).output, str(chunk))
    page = Page(again(service, job))
    assert page.status == 404
    assert "Job not found" in page.text("main")
    assert "It may have expired or been deleted" in page.text("main")
    assert page_of(service, "/jobs").links() == before
    delete(service, job)
    assert again(service, job).status_code == 404


def test_a_job_without_all_its_results_is_not_scored_again(service: Stack) -> None:
    text = f"{HEADER}\n".encode() + f"{ROW}\n".encode() * 1_000_000
    job = service.upload(text, wait=0).json()
    service.request("POST", f"{job['links']['page']}/cancel")
    page = Page(again(service, job))
    assert page.status == 409
    assert "The job was canceled" in page.text("main")
    assert not page_of(service, job["links"]["page"]).all("form", id="again")
    delete(service, job)


@pytest.mark.parametrize("action", ["again", "cancel", "delete"])
def test_loading_the_answer_to_a_form_again_leads_to_the_job(service: Stack, action: str) -> None:
    job = service.upload(file_of(",", "\n")).json()
    assert again(service, job, threshold="7").status_code == 422
    answer = service.get(f"{job['links']['page']}/{action}")
    assert (answer.status_code, answer.headers["Location"]) == (303, job["links"]["page"])
    assert service.get(job["links"]["page"]).status_code == 200
    delete(service, job)
    assert service.get(f"{job['links']['page']}/{action}").status_code == 404


def test_a_form_of_another_site_makes_no_job(service: Stack) -> None:
    job = service.upload(file_of(",", "\n")).json()
    address = f"{job['links']['page']}/again"
    assert service.request("POST", address, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert service.get(job["links"]["page"]).status_code == 200
    delete(service, job)


FIELD = b'--x\r\nContent-Disposition: form-data; name="threshold"\r\n\r\n0.9'
URLENCODED, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"


@pytest.mark.parametrize(
    ("kind", "length", "body"),
    [
        pytest.param(URLENCODED, "Content-Length: 20000", b"threshold=0.9", id="shorter than announced"),
        pytest.param(URLENCODED, "Transfer-Encoding: chunked", b"d\r\nthreshold=0.9\r\n", id="without its last chunk"),
        pytest.param(MULTIPART, "Content-Length: 20000", FIELD + b"\r\n--x--\r\n", id="parts shorter than announced"),
        pytest.param(MULTIPART, f"Content-Length: {len(FIELD)}", FIELD, id="parts without an end"),
        pytest.param("multipart/form-data", f"Content-Length: {len(FIELD)}", FIELD, id="parts without a boundary"),
    ],
)
@pytest.mark.parametrize("action", ["again", "cancel", "delete"])
def test_a_form_that_breaks_off_does_nothing(service: Stack, action: str, kind: str, length: str, body: bytes) -> None:
    job = service.upload(file_of(",", "\n")).json()
    before = page_of(service, "/jobs").links()
    answer = response_to(
        service, head("POST", f"{job['links']['page']}/{action}", f"Content-Type: {kind}", length) + body
    )
    assert answer[:13] == b"HTTP/1.1 400 "
    assert page_of(service, "/jobs").links() == before
    delete(service, job)


@pytest.mark.parametrize("action", ["again", "cancel", "delete"])
def test_a_form_that_is_too_large_does_nothing(service: Stack, action: str) -> None:
    job = service.upload(file_of(",", "\n")).json()
    before = page_of(service, "/jobs").links()

    def file_part() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        yield from [b"x" * 65536] * 300
        yield b"\r\n--x--\r\n"

    headers = {"Content-Type": MULTIPART}
    answer = service.request("POST", f"{job['links']['page']}/{action}", content=file_part(), headers=headers)
    assert answer.status_code == 413
    assert page_of(service, "/jobs").links() == before
    delete(service, job)
