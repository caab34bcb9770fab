"""One record, now: by JSON, alone or many at once, waited for or fetched later."""

import concurrent.futures
from typing import Any

import pytest

from model.schema import Value
from model.scorer import Scorer
from tests.stack import Stack, problem_of, wait_until

RECORD: dict[str, Any] = {
    "age": 39, "workclass": "State-gov", "education": "Bachelors", "marital_status": "Never-married",
    "race": "White", "sex": "Male", "hours_per_week": 40,
}  # fmt: skip


def predict(service: Stack, headers: dict[str, str] | None = None, **body: Any) -> Any:
    return service.request("POST", "/api/v1/predictions", json=body, headers=headers or {})


def test_a_record_gets_its_prediction_and_the_reasons(service: Stack, scorer: Scorer) -> None:
    answer = predict(service, record=RECORD).raise_for_status().json()
    values: dict[str, Value] = {**RECORD, "age": 39.0, "hours_per_week": 40.0}
    [expected] = scorer.predict_records([values]).positive
    assert answer["prediction"] == "<=50K"
    assert answer["probability"] == round(float(expected), 6) == 0.150521
    assert answer["threshold"] == 0.5
    assert answer["model"] == {"name": "income", "version": scorer.card.version}
    assert [part["feature"] for part in answer["contributions"]] == list(RECORD)
    odds = answer["baseline"] + sum(part["effect"] for part in answer["contributions"])
    assert odds == pytest.approx(float(scorer._additive.decision(_columns(scorer, values))[0]))  # type: ignore[union-attr]
    assert service.get(answer["links"]["self"]).json() == answer


def _columns(scorer: Scorer, values: dict[str, Value]) -> Any:
    from model.columns import code_records  # noqa: PLC0415

    return code_records([values], scorer.card.features)


def test_the_threshold_decides(service: Stack) -> None:
    answer = predict(service, record=RECORD, threshold=0.15, model="income").json()
    assert (answer["prediction"], answer["threshold"]) == (">50K", 0.15)


@pytest.mark.parametrize(("changes", "faults"), [
    ({"age": "abc"}, [("age", "not_a_number")]),
    ({"age": 200, "sex": "Mal"}, [("age", "out_of_range"), ("sex", "unknown_category")]),
    ({"age": 39.5}, [("age", "not_an_integer")]),
    ({"age": True}, [("age", "not_a_number")]),
    ({"age": None, "race": ""}, [("age", "missing"), ("race", "missing")]),
    ({"age": [39]}, [("age", "not_a_number")]),
    ({"sex": {"a": 1}}, [("sex", "unknown_category")]),
    ({"age": 10**400}, [("age", "not_a_number")]),
])  # fmt: skip
def test_every_fault_of_a_record_is_named(
    service: Stack, changes: dict[str, Any], faults: list[tuple[str, str]]
) -> None:
    response = predict(service, record={**RECORD, **changes})
    assert response.status_code == 422
    assert [(error["column"], error["code"]) for error in response.json()["errors"]] == faults


def test_a_model_may_be_named_with_its_version(service: Stack, scorer: Scorer) -> None:
    named = f"income@{scorer.card.version}"
    answer = service.request("POST", "/api/v1/predictions", json={"model": named, "record": RECORD})
    assert answer.json()["model"] == {"name": "income", "version": scorer.card.version}
    for wrong, expected in (
        ("income@000000000000", (422, "unknown_model")),
        (f"income,{named}", (422, "bad_parameter")),
    ):
        answer = service.request("POST", "/api/v1/predictions", json={"model": wrong, "record": RECORD})
        assert problem_of(answer) == expected


def test_values_may_be_texts_and_names_spelt_otherwise(service: Stack) -> None:
    spelt = {"Age": " 39 ", "WorkClass": "state-gov", "education": "bachelors", "Marital Status": "never-married",
             "race": "white", "sex": "male", "hours-per-week": "40", "note": "not used"}  # fmt: skip
    assert predict(service, record=spelt).json()["probability"] == 0.150521


def test_missing_workclass_is_a_value(service: Stack) -> None:
    unknown = {name: value for name, value in RECORD.items() if name != "workclass"}
    answers = [
        predict(service, record={**unknown, **more}).json() for more in ({}, {"workclass": None}, {"workclass": "?"})
    ]
    assert len({answer["probability"] for answer in answers}) == 1


def test_several_records_come_back_in_order_each_with_its_answer(service: Stack) -> None:
    records = [{**RECORD, "age": age} for age in range(17, 91)]
    records.insert(3, {**RECORD, "age": "x"})
    answer = predict(service, records=records).raise_for_status().json()
    assert len(answer["predictions"]) == len(records)
    assert answer["predictions"][3]["error"]["errors"][0]["code"] == "not_a_number"
    ages = [next(part["value"] for part in one["contributions"] if part["feature"] == "age")
            for n, one in enumerate(answer["predictions"]) if n != 3]  # fmt: skip
    assert ages == list(range(17, 91))
    assert service.get(answer["links"]["self"]).json() == answer
    assert service.get(answer["predictions"][5]["links"]["self"]).json() == answer["predictions"][5]


@pytest.mark.parametrize(("body", "expected"), [
    (b"{", (400, "malformed_body")),
    (b"[]", (400, "malformed_body")),
    (b'{"record": {"age": NaN}}', (400, "malformed_body")),
    (b"{}", (422, "bad_parameter")),
    (b'{"record": {"age": "\\ud800"}}', (400, "malformed_body")),
    (b'{"record": {"age": "\xff"}}', (400, "malformed_body")),
    (b'{"record": ' + b"[" * 100_000, (400, "malformed_body")),
    (b'{"record": {"age": 1e999}}', (422, "not_a_number")),
    (b'{"record": 5}', (422, "bad_parameter")),
    (b'{"records": []}', (422, "bad_parameter")),
    (b'{"record": {}, "records": [{}]}', (422, "bad_parameter")),
    (b'{"record": {}, "threshold": 7}', (422, "bad_threshold")),
    (b'{"record": {}, "model": "nobody"}', (422, "unknown_model")),
    (b'{"records": [' + b"{}," * 1000 + b"{}]}", (422, "bad_parameter")),
])  # fmt: skip
def test_a_body_that_is_wrong_is_refused(service: Stack, body: bytes, expected: tuple[int, str]) -> None:
    headers = {"Content-Type": "application/json"}
    assert problem_of(service.request("POST", "/api/v1/predictions", content=body, headers=headers)) == expected


def test_another_media_type_is_refused(service: Stack) -> None:
    response = service.request("POST", "/api/v1/predictions", data={"age": "39"})
    assert problem_of(response) == (415, "unsupported_media_type")


@pytest.mark.parametrize("prefer", ["respond-async", "wait=0"])
def test_a_client_that_will_not_wait_fetches_the_answer_later(service: Stack, prefer: str) -> None:
    response = predict(service, {"Prefer": prefer}, record=RECORD)
    assert response.status_code == 202
    assert int(response.headers["Retry-After"]) >= 1
    address = response.headers["Location"]
    assert address.endswith(response.json()["id"])
    answer = wait_until(lambda: (found := service.get(address)).status_code == 200 and found.json())
    assert answer["probability"] == 0.150521


@pytest.mark.parametrize("prediction_id", ["0" * 32, "x", "a.b", "..", "%00"])
def test_an_unknown_prediction_is_not_found(service: Stack, prediction_id: str) -> None:
    response = service.get(f"/api/v1/predictions/{prediction_id}")
    assert response.status_code == 404


def test_many_at_once_each_get_their_own_answer(service: Stack) -> None:
    ages = list(range(17, 91)) * 3
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda age: predict(service, record={**RECORD, "age": age}).json(), ages))
    assert [answer["contributions"][0]["value"] for answer in answers] == ages
    assert len({answer["id"] for answer in answers}) == len(ages)


def test_the_models_say_what_they_take(service: Stack) -> None:
    [listed] = service.get("/api/v1/models").json()["models"]
    model = service.get("/api/v1/models/income").json()
    assert listed == model
    assert model["default"] is True
    assert (model["classes"], model["positive_class"]) == (["<=50K", ">50K"], ">50K")
    features = {feature["name"]: feature for feature in model["features"]}
    assert list(features) == list(RECORD)
    assert features["workclass"]["missing_allowed"] is True
    assert (features["age"]["minimum"], features["age"]["maximum"], features["age"]["integer"]) == (17, 90, True)
    for feature in features.values():
        assert feature["example"] is not None
    assert predict(service, record={name: feature["example"] for name, feature in features.items()}).status_code == 200
    assert problem_of(service.get("/api/v1/models/nobody")) == (404, "unknown_model")


def test_the_sample_can_be_scored(service: Stack) -> None:
    sample = service.get("/api/v1/models/income/sample.csv").content
    job, _ = service.score(sample)
    assert job["rows"]["rejected"] == 0
    assert job["rows"]["scored"] == sample.count(b"\n") - 1


def test_the_service_says_how_it_is(service: Stack) -> None:
    assert service.get("/healthz").status_code == 200
    assert service.get("/readyz").json() == {"ready": True, "missing": []}
    assert problem_of(service.get("/api/v1/nothing")) == (404, "not_found")
    assert problem_of(service.request("PUT", "/api/v1/jobs")) == (405, "method_not_allowed")
