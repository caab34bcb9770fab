"""A file scored with two models in one job, over HTTP and on the pages."""

import csv
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.settings import Settings
from jobs.store.connection import connect
from jobs.store.job_store import JobStore
from jobs.store.keys import JobKeys
from model.card import Card
from model.catalog import Catalog
from tests import second_model
from tests.e2e.test_jobs_api import multipart
from tests.stack import Stack, problem_of
from tests.web.reading import ended_job
from tests.web.records import HEADER, ROW

FILE = f"{HEADER},capital_gain\n{ROW},0\n{ROW.replace('39', '75')},9\n{ROW.replace('39', '61')},20000\n".encode()
BOTH = "income,income-lean"


@pytest.fixture(scope="module")
def lean(models: Path) -> Iterator[Card]:
    """A second model, published beside the first while the service runs, and withdrawn afterwards."""
    yield second_model.publish(Catalog(models, "income"))
    shutil.rmtree(models / second_model.NAME)


def versions(service: Stack) -> list[dict[str, Any]]:
    found = (service.get(f"/api/v1/models/{name}").json() for name in BOTH.split(","))
    return [{"name": model["name"], "version": model["version"]} for model in found]


def rows_of(service: Stack, job: dict[str, Any]) -> list[list[str]]:
    return list(csv.reader(io.StringIO(service.get(job["links"]["results"]).text)))


@pytest.fixture(scope="module")
def job(service: Stack, lean: Card) -> Iterator[dict[str, Any]]:
    found = service.upload(FILE, model=BOTH, filename="people.csv").json()
    yield found
    service.request("POST", f"{found['links']['page']}/delete")


def test_the_results_hold_the_columns_of_each(service: Stack, job: dict[str, Any]) -> None:
    assert (job["state"], job["model"], job["models"]) == ("succeeded", versions(service)[0], versions(service))
    assert (job["threshold"], job["explain"]) == (0.5, None)
    header, *rows = rows_of(service, job)
    assert header[8:] == [
        *("prediction_income", "probability_income", "prediction_income-lean", "probability_income-lean", "error")
    ]
    alone = {name: service.score(FILE, model=name) for name in BOTH.split(",")}
    for at, (_, results) in zip((8, 10), alone.values(), strict=True):
        expected = [row[8:10] for row in list(csv.reader(io.StringIO(results.decode())))[1:]]
        assert [row[at : at + 2] for row in (rows[0], rows[2])] == [expected[0], expected[2]]
    assert rows[1][8:12] == [""] * 4
    assert rows[1][12].startswith("out_of_range in age: 75")
    assert "models" not in alone["income"][0]


def test_the_summary_and_the_page_say_how_far_they_agree(service: Stack, job: dict[str, Any]) -> None:
    summary = service.get(job["links"]["summary"]).json()
    rows = [row for row in rows_of(service, job)[1:] if not row[-1]]
    assert [model["name"] for model in summary["models"]] == BOTH.split(",")
    assert [sum(model["predictions"].values()) for model in summary["models"]] == [2, 2]
    equal = sum(row[8] == row[10] for row in rows)
    apart = sum(abs(float(row[9]) - float(row[11])) for row in rows) / 2
    assert summary["agreement"] == {
        "rows": 2,
        "equal": equal,
        "share": equal / 2,
        "mean_difference": pytest.approx(apart, abs=2e-6),
    }
    assert list(summary["drift"]) == [*HEADER.split(","), "capital_gain"]
    page = ended_job(service, job["links"]["page"])
    text = page.text("comparison")
    assert "Model comparison: income and income-lean" in text
    assert f"The models agree on {equal / 2:.1%} of 2 scored rows." in text
    counted = {row[0]: [int(count) for count in row[1:]] for row in page.rows("comparison-table")}
    assert [sum(counts) for counts in zip(*counted.values(), strict=True)] == [2, 2]
    assert "agreement" not in service.get(service.upload(FILE).json()["links"]["summary"]).json()


def test_it_is_scored_again_with_both_and_a_job_of_one_model_can_be_compared(
    service: Stack, job: dict[str, Any]
) -> None:
    page = ended_job(service, job["links"]["page"])
    assert list(page.choices("model")) == ["income", "income-lean", BOTH]
    assert [option.attrib["value"] for option in page.all("option", selected="")] == [BOTH]
    again = service.request("POST", f"{job['links']['page']}/again", data={"threshold": "0.5"})
    second = service.ended({"links": {"self": f"/api/v1{again.headers['Location']}"}})
    assert second["models"] == job["models"]
    assert rows_of(service, second) == rows_of(service, job)
    single = service.upload(FILE).json()
    again = service.request("POST", f"{single['links']['page']}/again", data={"model": BOTH})
    third = service.ended({"links": {"self": f"/api/v1{again.headers['Location']}"}})
    assert third["models"] == job["models"]
    assert rows_of(service, third) == rows_of(service, job)


def test_a_rejected_row_is_corrected_for_both(service: Stack, lean: Card) -> None:
    broken = service.upload(FILE.replace(b"\n75", b"\nabc"), model=BOTH).json()
    assert broken["rows"]["rejected"] == 1
    body, headers = {"records": [{"_row": 2, "age": 75}]}, {"Prefer": "wait=60, until=ended"}
    corrected = service.request("POST", f"{broken['links']['self']}/corrections", json=body, headers=headers).json()
    whole = service.upload(FILE, model=BOTH).json()
    assert corrected["models"] == whole["models"]
    assert rows_of(service, corrected) == rows_of(service, whole)
    one, other = (service.get(found["links"]["summary"]).json() for found in (corrected, whole))
    assert one == other


@pytest.mark.parametrize("file_first", [True, False])
def test_the_models_may_be_a_form_field_before_or_after_the_file(service: Stack, lean: Card, file_first: bool) -> None:
    parts: list[tuple[str, Any]] = [
        ("file", ("people.csv", FILE)),
        ("model", (None, f"income,income-lean@{lean.version}")),
    ]
    job = multipart(service, *(parts if file_first else parts[::-1])).raise_for_status().json()
    assert job["models"] == versions(service)
    assert rows_of(service, job)[0][-5] == "prediction_income"


def test_what_makes_no_sense_with_two_is_refused(service: Stack, lean: Card) -> None:
    assert problem_of(service.upload(FILE, model=BOTH, explain=1)) == (422, "bad_parameter")
    assert problem_of(service.upload(FILE, model="income,income")) == (422, "bad_parameter")
    assert problem_of(service.upload(FILE, model="income,nothing")) == (422, "unknown_model")
    answer = service.upload(f"{HEADER}\n{ROW}\n".encode(), model=BOTH)
    assert problem_of(answer) == (422, "missing_columns")
    assert "capital_gain" in answer.json()["detail"]
    asked = {"params": {"model": BOTH}, "headers": {"Content-Type": "text/csv"}}
    preview = service.request("POST", "/api/v1/preflight", content=f"{HEADER}\n{ROW}\n", **asked).json()
    assert [column["name"] for column in preview["missing_columns"]] == ["capital_gain"]
    preview = service.request("POST", "/api/v1/preflight", content=FILE, **asked).json()
    assert [example["prediction"] for example in preview["examples"]] == ["<=50K"] * 3


def test_a_job_from_before_an_upgrade_is_shown_and_its_chunks_are_scored(service: Stack) -> None:
    settings = Settings(data_dir=service.folder)
    store = JobStore(connect(settings), settings)
    with service.frozen("-m worker", "bulk"):
        job = service.upload(f"{HEADER}\n{ROW}\n".encode(), wait=0).json()
        store.redis.hdel(JobKeys.of(job["id"]).job, "explain", "compared", "added")
        assert service.get(job["links"]["self"]).json()["explain"] is None
    assert service.ended(job)["rows"] == {"total": 1, "scored": 1, "rejected": 0, "warned": 0, "repaired": 0}
