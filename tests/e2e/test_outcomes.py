"""Actual outcomes arrive later, and the model's page shows how well it was predicted."""

import csv
import io
from typing import Any

import pytest

from tests.stack import Stack, wait_until
from tests.web.records import RECORD


@pytest.fixture(scope="module")
def job(service: Stack) -> dict[str, Any]:
    sample = service.get("/api/v1/models/income/sample.csv").text
    header, *rows = sample.splitlines()
    broken = rows[0].split(",")
    broken[header.split(",").index("age")] = "old"
    text = "\n".join([header, *rows, ",".join(broken), *rows * 3, ""])
    job, results = service.score(text.encode(), filename="outcomes.csv")
    predictions = [row["prediction"] for row in csv.DictReader(io.StringIO(results.decode()))]
    return {**job, "predictions": predictions, "rejected": len(rows) + 1}


def post(service: Stack, text: str, model: str = "income") -> Any:
    headers = {"Content-Type": "text/csv"}
    return service.request("POST", f"/api/v1/models/{model}/outcomes", content=text.encode(), headers=headers)


def outcomes(service: Stack) -> Any:
    return service.get("/api/v1/models/income/outcomes").raise_for_status().json()["weeks"]


def test_outcomes_of_rows_and_predictions_become_figures_on_the_models_page(
    service: Stack, job: dict[str, Any]
) -> None:
    answer = service.request("POST", "/api/v1/predictions", json={"record": RECORD}).json()
    wait_until(lambda: service.get(f"/api/v1/history/predictions/{answer['id']}").status_code == 200)
    told = [(number, label) for number, label in enumerate(job["predictions"], 1) if label]
    wrong = {number for number, _ in told[::5]}
    other = {">50K": "<=50K", "<=50K": ">50K"}
    lines = [f"{job['id']},{number},{other[label] if number in wrong else label}" for number, label in told]
    accepted = post(service, "\n".join(["job,row,value", *lines]))
    assert accepted.json() == {"accepted": len(told), "rejected": 0, "errors": []}
    single = post(service, f"value;prediction\r\n {answer['prediction'].upper()} ;{answer['id']}\r\n")
    assert single.json() == {"accepted": 1, "rejected": 0, "errors": []}
    [week] = wait_until(lambda: [week for week in outcomes(service) if week["rows"] == len(told) + 1])
    accuracy = week["accuracy"]
    assert accuracy["value"] == pytest.approx((len(told) + 1 - len(wrong)) / (len(told) + 1))
    assert accuracy["interval"][0] < accuracy["value"] < accuracy["interval"][1]
    assert 0 <= week["roc_auc"]["value"] <= 1
    assert sum(part["rows"] for part in week["calibration"]) == len(told) + 1
    page = service.get("/models/income").text
    assert "Live performance" in page
    assert "Calibration on actual outcomes" in page
    # What was wrong is told again, right: it takes the place of what was told first.
    corrected = [f"{job['id']},{number},{label}" for number, label in told]
    post(service, "\n".join(["job,row,value", *corrected])).raise_for_status()
    wait_until(lambda: outcomes(service)[0]["accuracy"]["value"] == 1)
    wait_until(lambda: 'scoreline_model_falls_short{metric="accuracy",model="income"' in service.get("/metrics").text)


def test_each_line_that_cannot_be_used_is_told_with_its_fault(service: Stack, job: dict[str, Any]) -> None:
    lines = [
        f"{job['id']},1,{job['predictions'][0]}", f"{job['id']},1,rich", f"{job['id']},0,>50K",
        f"{job['id']},99999,>50K", f"{job['id']},{job['rejected']},>50K", f"{'0' * 32},1,>50K", "nothing,1,>50K",
        f"{job['id']},1", f"{job['id']},1,",
    ]  # fmt: skip
    response = post(service, "\n".join(["job,row,value", *lines])).json()
    assert (response["accepted"], response["rejected"]) == (1, 8)
    assert [(fault["row"], fault["code"]) for fault in response["errors"]] == [
        (2, "unknown_category"), (3, "not_an_integer"), (4, "unknown_row"), (5, "no_prediction"), (6, "unknown_job"),
        (7, "unknown_job"), (8, "ragged"), (9, "missing"),
    ]  # fmt: skip
    faults = post(service, f"prediction,value\n{'0' * 32},>50K\n'; DROP TABLE outcomes,>50K\n").json()["errors"]
    assert [fault["code"] for fault in faults] == ["unknown_prediction", "unknown_prediction"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "empty_file"), ("job,row,value\n", "no_rows"), ("a,b\n1,2\n", "missing_columns"),
        ("job,row,value\n\x00", "undecodable"),
    ],
)  # fmt: skip
def test_a_file_that_is_none_of_outcomes_is_refused(service: Stack, text: str, code: str) -> None:
    response = post(service, text)
    assert (response.status_code, response.json()["code"]) == (422, code)


def test_outcomes_of_an_unknown_model_are_refused(service: Stack) -> None:
    assert post(service, "job,row,value\n", "nothing").status_code == 404
