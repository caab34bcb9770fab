"""Uploads whose rows are explained, over HTTP."""

import csv
import io
from typing import Any

import pytest

from tests.e2e.test_jobs_api import FILE, GOOD, HEADER, multipart
from tests.stack import Stack, problem_of

COLUMNS = ["explain_1_feature", "explain_1_effect", "explain_2_feature", "explain_2_effect"]


def test_each_row_has_its_strongest_features_after_the_error(service: Stack) -> None:
    job, results = service.score(FILE, explain=2)
    assert job["explain"] == 2
    header, good, bad = csv.reader(io.StringIO(results.decode()))
    assert header[7:] == ["prediction", "probability", "error", *COLUMNS]
    record = dict(zip(HEADER.split(","), GOOD.split(","), strict=True))
    answer = service.request("POST", "/api/v1/predictions", json={"record": record}).json()
    strongest = sorted(answer["contributions"], key=lambda part: -abs(part["effect"]))[:2]
    assert good[10::2] == [part["feature"] for part in strongest]
    assert [float(text) for text in good[11::2]] == pytest.approx([part["effect"] for part in strongest], abs=5e-7)
    assert bad[9].startswith("not_a_number")
    assert bad[10:] == [""] * 4
    assert service.upload(FILE).json()["explain"] is None


def test_names_that_the_file_uses_are_left_to_it(service: Stack) -> None:
    _, results = service.score(f"{HEADER},explain_1_effect\n{GOOD},mine\n".encode(), explain=1)
    header, row = csv.reader(io.StringIO(results.decode()))
    assert header[-2:] == ["explain_1_feature", "explain_1_effect_2"]
    assert row[7] == "mine"


@pytest.mark.parametrize("explain", ["0", "8", "-1", "two", "1.5", "٣", "9" * 400])
def test_other_than_a_number_of_features_is_refused(service: Stack, explain: str) -> None:
    assert problem_of(service.upload(FILE, explain=explain)) == (422, "bad_parameter")


@pytest.mark.parametrize("file_first", [True, False])
def test_it_may_be_a_form_field_before_or_after_the_file(service: Stack, file_first: bool) -> None:
    parts: list[tuple[str, Any]] = [("file", ("staff.csv", FILE)), ("explain", (None, "1"))]
    job = multipart(service, *(parts if file_first else parts[::-1])).raise_for_status().json()
    header = service.get(job["links"]["results"]).text.partition("\n")[0]
    assert header.endswith("error,explain_1_feature,explain_1_effect")
    parts[1] = ("explain", (None, "99"))
    assert problem_of(multipart(service, *(parts if file_first else parts[::-1]))) == (422, "bad_parameter")


def test_a_job_scored_again_is_explained_again_and_its_page_shows_which_rows_were_rejected(service: Stack) -> None:
    job = service.upload(FILE, explain=3).json()
    page = service.get(job["links"]["page"]).text
    assert "Top 3 features per row" in page
    assert page.count('<tr class="rejected">') == 1
    answer = service.request("POST", f"{job['links']['page']}/again")
    assert answer.status_code == 303
    second = service.ended({"links": {"self": f"/api/v1{answer.headers['Location']}"}})
    assert second["explain"] == 3
    assert service.get(second["links"]["results"]).content == service.get(job["links"]["results"]).content


def test_a_preview_takes_no_notice_of_it(service: Stack) -> None:
    asked = {"content": FILE, "headers": {"Content-Type": "text/csv"}}
    plain = service.request("POST", "/api/v1/preflight", **asked).json()
    assert service.request("POST", "/api/v1/preflight", params={"explain": "2"}, **asked).json() == plain
