"""What was scored and predicted can be found again, exported and deleted."""

import csv
import io
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.stack import Stack, wait_until
from tests.web.records import RECORD

NAME = "=history of tests;.csv"


@pytest.fixture(scope="module")
def job(service: Stack) -> Iterator[dict[str, Any]]:
    """A job that has ended, with a rejected row, and reached the history."""
    sample = service.get("/api/v1/models/income/sample.csv").text
    job, _ = service.score(f"{sample}forty{sample.splitlines()[1].removeprefix('39')}\n".encode(), filename=NAME)
    wait_until(lambda: service.get(f"/api/v1/history/jobs/{job['id']}").status_code == 200)
    yield job
    service.request("DELETE", "/api/v1/history/jobs", params={"q": job["id"]})


@pytest.fixture(scope="module")
def prediction(service: Stack) -> dict[str, Any]:
    """A prediction that has reached the history."""
    answer = service.request("POST", "/api/v1/predictions", json={"record": {**RECORD, "age": 61}}).json()
    wait_until(lambda: service.get(f"/api/v1/history/predictions/{answer['id']}").status_code == 200)
    return dict(answer)


def test_a_job_is_found_after_its_results_are_gone(service: Stack, job: dict[str, Any]) -> None:
    summary = service.get(job["links"]["summary"]).json()
    service.request("DELETE", job["links"]["self"]).raise_for_status()
    assert service.get(job["links"]["self"]).status_code == 404
    found = service.get("/api/v1/history/jobs", params={"q": NAME}).json()
    [listed] = found["jobs"]
    assert found["next_cursor"] is None
    for name in ("id", "state", "filename", "model", "bytes", "threshold", "rows", "created_at", "finished_at"):
        assert listed[name] == job[name]
    assert (listed["owner"], listed["visibility"]) == (None, "private")
    details = service.get(listed["links"]["self"]).json()
    assert details["summary"] == summary
    assert details["error"] is None
    assert "<td>Not a number</td>" in service.get(f"/history/jobs/{job['id']}").text


def test_a_prediction_is_found_with_record_and_answer(service: Stack, prediction: dict[str, Any]) -> None:
    [found] = service.get("/api/v1/history/predictions", params={"q": prediction["id"]}).json()["predictions"]
    assert found["record"]["age"] == 61
    assert found["prediction"] == prediction["prediction"] == found["answer"]["prediction"]
    assert found["probability"] == prediction["probability"]
    assert found["answer"]["contributions"] == prediction["contributions"]
    assert service.get(found["links"]["self"]).json() == found


@pytest.mark.parametrize(
    ("filters", "matches"),
    [
        ({"model": "income", "state": "succeeded"}, True),
        ({"model": "nothing"}, False),
        ({"version": "' OR '1'='1"}, False),
        ({"owner": "\x00"}, False),
        ({"from": "2000-01-01", "to": "2100-01-01T00:00:00+02:00"}, True),
        ({"to": "2000-01-01"}, False),
        ({"from": "9999-12-31"}, False),
        ({"state": "failed"}, False),
    ],
)
def test_jobs_are_found_by_filters(service: Stack, job: dict[str, Any], filters: dict[str, str], matches: bool) -> None:
    found = service.get("/api/v1/history/jobs", params={**filters, "q": NAME}).raise_for_status().json()["jobs"]
    assert [entry["id"] for entry in found] == ([job["id"]] if matches else [])


@pytest.mark.parametrize(
    "wrong",
    [
        {"from": "yesterday"}, {"to": "2026-02-30"}, {"cursor": "1-x y"}, {"limit": "0"}, {"limit": "1000"},
        {"state": "running"}, {"format": "xml"}, {"q": "x" * 2000},
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/api/v1/history/jobs", "/api/v1/history/predictions"])
def test_a_filter_that_makes_no_sense_is_refused(service: Stack, path: str, wrong: dict[str, str]) -> None:
    response = service.get(path, params=wrong)
    assert (response.status_code, response.json()["code"]) == (422, "bad_parameter")


def test_pages_are_joined_by_their_cursors(service: Stack) -> None:
    records = [{**RECORD, "age": age} for age in range(20, 29)]
    answer = service.request("POST", "/api/v1/predictions", json={"records": records}).json()
    last = f"/api/v1/history/predictions/{answer['id']}.8"
    wait_until(lambda: service.get(last).status_code == 200)
    seen: list[str] = []
    query = {"limit": "3", "model": "income"}
    for _ in range(3):
        page = service.get("/api/v1/history/predictions", params=query).json()
        seen += [entry["id"] for entry in page["predictions"]]
        query["cursor"] = page["next_cursor"]
    assert len(set(seen)) == len(seen) == 9
    assert {f"{answer['id']}.{place}" for place in range(9)} == set(seen)


def test_an_export_holds_all_that_the_pages_hold(service: Stack, job: dict[str, Any], prediction: Any) -> None:
    response = service.get("/api/v1/history/jobs", params={"format": "csv", "q": NAME, "escape": "formulas"})
    assert response.headers["Content-Disposition"] == 'attachment; filename="history.jobs.csv"'
    [row] = csv.DictReader(io.StringIO(response.text))
    assert (row["id"], row["name"], row["scored"]) == (job["id"], f"'{NAME}", str(job["rows"]["scored"]))
    assert row["finished"] == job["finished_at"]
    text = service.get("/api/v1/history/predictions", params={"format": "csv", "q": prediction["id"]}).text
    [row] = csv.DictReader(io.StringIO(text))
    assert (row["id"], row["prediction"]) == (prediction["id"], prediction["prediction"])
    assert '"age":61' in row["record"]


def test_deletion_needs_a_filter_and_deletes_what_matches(service: Stack) -> None:
    answer = service.request("POST", "/api/v1/predictions", json={"record": {**RECORD, "age": 83}}).json()
    address = f"/api/v1/history/predictions/{answer['id']}"
    wait_until(lambda: service.get(address).status_code == 200)
    refused = service.request("DELETE", "/api/v1/history/predictions")
    assert (refused.status_code, refused.json()["code"]) == (422, "bad_parameter")
    deleted = service.request("DELETE", "/api/v1/history/predictions", params={"q": '"age":83'}).json()
    assert deleted == {"deleted": 1}
    assert service.get(address).status_code == 404
    assert service.request("DELETE", "/api/v1/history/jobs", params={"owner": "nobody"}).json() == {"deleted": 0}


def test_the_service_is_ready_and_says_nothing_of_a_history_that_works(service: Stack) -> None:
    assert service.get("/readyz").json() == {"ready": True, "missing": []}


def test_the_page_searches_and_its_links_keep_the_filters(service: Stack, job: dict[str, Any]) -> None:
    query = {"from": "2000-01-01", "to": "2100-01-01", "model": "income", "q": NAME, "limit": "1"}
    page = service.get("/history", params=query).raise_for_status().text
    assert f"/history/jobs/{job['id']}" in page
    assert "Records per week" in page
    assert "format=csv&amp;escape=formulas" in page
    assert "from=2000-01-01&amp;to=2100-01-01" in page
    assert "Nothing found" in service.get("/history", params={**query, "q": "no such file"}).text
    assert service.get("/history", params={"from": "yesterday"}).status_code == 422


def test_the_page_of_a_prediction_leads_to_the_earlier_ones_for_its_record(service: Stack) -> None:
    record = {**RECORD, "age": 77}
    answer = service.request("POST", "/api/v1/predictions", json={"record": record}).json()
    wait_until(lambda: service.get(f"/api/v1/history/predictions/{answer['id']}").status_code == 200)
    form = service.get("/models/income/prediction", params={name: str(value) for name, value in record.items()}).text
    address = re.search(r'href="(/history/predictions\?record=[0-9a-f]{64})"', form)
    assert address
    earlier = service.get(address[1]).text
    assert f"/history/predictions/{answer['id']}" in earlier
    details = service.get(f"/history/predictions/{answer['id']}").text
    assert address[1] in details
    assert ">77<" in details
