"""Single predictions and the page of a model as people use them, without JavaScript."""

import math
import re

import pytest

from model.census.income_features import FEATURES
from tests.stack import Stack, wait_until
from tests.web.reading import Page, page_of
from tests.web.records import CLASSIC, QUICK, RECORD
from web.pages import forms


def test_a_person_fills_in_the_form_and_sees_the_probability(service: Stack) -> None:
    form = page_of(service, "/")
    assert form.text().count("Income over 50K")
    (element,) = form.all("form", method="get")
    assert element.attrib["action"] == f"{QUICK}#outcome"
    page = page_of(service, QUICK, **form.values("get") | RECORD)
    assert page.status == 200
    shown = page.text("probability")
    asked = service.request("POST", "/api/v1/predictions", json={"record": RECORD}).json()
    assert shown == f"{asked['probability'] * 100:.2f}%"
    assert page.text("decision") == asked["prediction"]
    assert page.values("get") == RECORD
    assert shown in page.text(), "the title says it too"


def test_the_classic_address(service: Stack) -> None:
    page = page_of(service, "/probability", **CLASSIC)
    assert page.status == 200
    assert page.text("probability") == page_of(service, QUICK, **RECORD).text("probability")
    assert re.fullmatch(r"\d+\.\d\d%", page.text("probability"))
    assert page.values("get") == CLASSIC


@pytest.mark.parametrize(("path", "record"), [(QUICK, RECORD), ("/probability", CLASSIC)])
def test_the_record_may_come_in_a_body(service: Stack, path: str, record: dict[str, str]) -> None:
    page = Page(service.request("POST", path, data=record))
    assert page.status == 200
    assert page.text("probability") == page_of(service, path, **record).text("probability")
    assert page.values("get") == record
    assert Page(service.request("POST", path, data=record | {"age": "abc"})).beside("age")
    assert Page(service.request("POST", path)).status == 422


def test_a_custom_threshold_is_called_so(service: Stack) -> None:
    for threshold, text in ((0.3, "(below the 30% custom threshold)"), (0.5, "(below the 50% threshold)")):
        body = {"record": RECORD, "threshold": threshold}
        prediction = service.request("POST", "/api/v1/predictions", json=body).json()
        assert text in page_of(service, f"/predictions/{prediction['id']}").text("outcome")


def test_a_body_that_is_too_large_for_a_record_is_refused(service: Stack) -> None:
    answer = service.request("POST", QUICK, data=RECORD | {"age": "9" * 20_000_000})
    assert answer.status_code == 413
    assert "too large" in Page(answer).text("main")


def test_contributions_are_those_of_the_api_the_strongest_first(service: Stack) -> None:
    page = page_of(service, QUICK, **RECORD)
    asked = service.request("POST", "/api/v1/predictions", json={"record": RECORD}).json()
    effects = sorted((part["effect"] for part in asked["contributions"]), key=lambda effect: -abs(effect))
    rows = page.rows("outcome")
    assert [row[2] for row in rows] == [f"\N{MULTIPLICATION SIGN} {math.exp(effect):.2f}" for effect in effects]
    assert all(
        ("raises" if effect > 0 else "lowers") in row[1].lower() or row[1] == "Almost no effect"
        for row, effect in zip(rows, effects, strict=True)
    )
    assert rows[0][:2] == ["Marital statusNever married", "Strongly lowers"]


def test_an_invalid_value_is_kept_with_a_message_beside_the_field(service: Stack) -> None:
    typed = CLASSIC | {"age": "abc", "education": "Bachelor", "hours": "40.5", "work": ""}
    page = page_of(service, "/probability", **typed)
    assert page.status == 422
    assert page.values("get") == typed
    assert page.field("age").attrib["type"] == "text", "a number input would hide it"
    for name, text in {"age": "“abc” is not a number", "education": "Did you mean “Bachelor's degree”?"}.items():
        assert text in page.beside(name)
        assert page.field(name).attrib["aria-invalid"] == "true"
        assert f"#{page.field(name).attrib['id']}" in page.links()
    assert "not a whole number" in page.beside("hours")
    assert "aria-invalid" not in page.field("work").attrib, "not known is a value of its own"
    assert page.text().startswith("Error: ")


@pytest.mark.parametrize("name", CLASSIC)
def test_a_missing_parameter_is_a_fault_of_its_field(service: Stack, name: str) -> None:
    page = page_of(service, "/probability", **{key: value for key, value in CLASSIC.items() if key != name})
    assert page.status == 422
    assert page.beside(name)
    assert [field.attrib["name"] for tag in ("input", "select") for field in page.all(tag, aria_invalid="true")] == [
        name
    ]


@pytest.mark.parametrize(
    ("name", "value"), [("age", "16"), ("age", "1e999"), ("hours", "\uff11\uff10"), ("race", "<b>x</b>")]
)
def test_a_bad_value_is_shown_as_it_was_typed(service: Stack, name: str, value: str) -> None:
    page = page_of(service, "/probability", **CLASSIC | {name: value})
    assert page.status == 422
    assert page.values("get")[name] == value
    assert f"“{value}”" in page.beside(name)


@pytest.mark.parametrize("path", ["/", "/models/income"])
def test_every_choice_of_the_form_has_its_label_and_is_accepted(service: Stack, path: str) -> None:
    page = page_of(service, path)
    with service.client() as client:
        for feature in FEATURES:
            label = page.all("label", for_=page.field(feature.name).attrib["id"])
            assert [element.text for element in label] == [feature.title]
            if not feature.categories:
                limits = {"type": "number", "min": str(feature.minimum), "max": str(feature.maximum), "step": "1"}
                assert limits.items() <= page.field(feature.name).attrib.items()
                continue
            not_known = {"": "Not known"} if feature.missing_allowed else {}
            assert page.choices(feature.name) == not_known | feature.labels
            for value in page.choices(feature.name):
                answer = Page(client.get(QUICK, params=RECORD | {feature.name: value}))
                assert answer.status == 200
                assert answer.values("get")[feature.name] == value


def test_the_form_begins_with_the_defaults_of_the_schema(service: Stack) -> None:
    assert page_of(service, "/").values("get") == {f.name: forms.field_text(f.default) for f in FEATURES}


def test_an_address_without_values_leads_to_the_form(service: Stack) -> None:
    answer = service.get(QUICK)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/models/income")


def test_a_slow_prediction_is_shown_when_it_is_ready(service: Stack) -> None:
    with service.frozen("-m worker interactive"):
        later = {"Prefer": "respond-async"}
        answer = service.request("POST", "/api/v1/predictions", json={"record": RECORD}, headers=later)
        waiting = page_of(service, f"/predictions/{answer.json()['id']}", **RECORD)
        assert waiting.status == 202
    address = str(waiting.refresh).partition("url=")[2]
    wait_until(lambda: service.get(address).status_code == 200)
    page = Page(service.get(address))
    assert page.text("probability") == page_of(service, QUICK, **RECORD).text("probability")
    assert page.values("get") == RECORD


def test_the_page_of_a_model_has_its_limitations_evaluation_and_provenance(service: Stack) -> None:
    page, card = page_of(service, "/models/income"), service.get("/api/v1/models/income").json()
    shown = page.text("about")
    headings = ("Limitations and out-of-scope use", "ROC curve", "Calibration", "Precision and recall by threshold",
                "Performance by group", "Feature effects", "Input features", "Provenance")  # fmt: skip
    for text in (*headings, card["caution"], card["artifact_sha256"], "CC BY 4.0"):
        assert text in shown
    low, high = card["metrics"]["intervals"]["roc_auc"]
    assert f"{low:.4f} to {high:.4f}" in shown
    for name in ("roc", "calibration", "thresholds", "effect-2"):
        assert page.all("svg", aria_describedby=f"{name}-table")
        assert len(page.rows(f"{name}-table")) > 9
    thresholds = {row[0]: row[1:] for row in page.rows("thresholds-table")}
    at_half = next(row for row in card["evaluation"]["thresholds"] if row["threshold"] == 0.5)
    assert thresholds["50%"][1] == f"{at_half['recall'] * 100:.1f}%"
    assert [row[:2] for row in page.rows("group-1")] == [["Male", "10,860"], ["Female", "5,421"]]
    assert any("Current" in row[1] for row in page.rows("about") if row[0].startswith(card["version"]))
