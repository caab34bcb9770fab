"""The pages as people use them, against a running service and without JavaScript."""

import csv
import io
import math
import re
from urllib.parse import urlsplit

import pytest

from jobs.settings import Settings
from jobs.store.chunks import NewJob
from jobs.store.connection import connect
from jobs.store.job_store import JobStore
from model.census.income_features import FEATURES
from tests.stack import Stack, wait_until
from tests.web.reading import Page, ended_job, page_of, upload_by_form
from tests.web.records import CLASSIC, HEADER, QUICK, RECORD, ROW
from web.pages import forms

# Single prediction


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


# The model


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


# Files


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


# All pages


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", "/nothing", 404, "Page not found"),
        ("GET", "/jobs/0123456789abcdef", 404, "Job not found It may have expired or been deleted."),
        ("GET", "/models/nothing", 404, "Model not found"),
        ("GET", "/predictions/nothing", 404, "Prediction not found"),
        ("POST", "/", 405, "Method not allowed"),
        ("GET", "/jobs?state=lost", 422, "Invalid parameter"),
        ("GET", "/jobs?cursor=lost", 422, "Invalid parameter"),
        ("POST", "/jobs/0123456789abcdef/cancel", 404, "Job not found"),
    ],
)
def test_errors_are_pages_that_say_what_to_do_next(
    service: Stack, method: str, path: str, status: int, text: str
) -> None:
    page = Page(service.request(method, path))
    assert page.status == status
    assert text in page.text("main")
    assert {"/", "/jobs"} <= set(page.links())
    assert service.get(f"/api/v1{path.partition('?')[0]}/nothing").headers["Content-Type"] == "application/problem+json"


def test_deleting_a_job_that_is_gone_leads_to_the_list(service: Stack) -> None:
    answer = service.request("POST", f"/jobs/{'0123456789abcdef' * 2}/delete")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/jobs")


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Origin": "http://elsewhere.example"}, False),
        ({"Origin": "null"}, False),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://elsewhere.example"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({}, True),
    ],
)
def test_forms_of_other_sites_change_nothing(
    service: Stack, job_path: str, headers: dict[str, str], allowed: bool
) -> None:
    answer = service.request("POST", f"{job_path}/delete", headers=headers)
    assert answer.status_code == (303 if allowed else 403)
    assert page_of(service, job_path).status == (404 if allowed else 200)


def test_the_own_origin_is_allowed(service: Stack) -> None:
    answer = service.request("POST", f"/jobs/{'0' * 32}/delete", headers={"Origin": service.url})
    assert answer.status_code == 303


@pytest.mark.parametrize("path", ["/", "/models/income", QUICK + "?age=1", "/jobs", "/nothing", "/api/v1/docs"])
def test_every_page_is_whole_and_asks_nobody_else(service: Stack, path: str) -> None:
    answer = service.get(path)
    page = Page(answer)
    assert page.root.attrib["lang"] == "en"
    assert len(page.all("h1")) == 1
    assert "#main" in page.links(), "the skip link"
    assert not page.all("style")
    assert not [element for element in page.root.iter() if "style" in element.attrib]
    assert all(script.attrib["src"] and not script.text for script in page.all("script"))
    assert "script-src" not in answer.headers["Content-Security-Policy"]
    assert "'unsafe" not in answer.headers["Content-Security-Policy"]
    labels = {label.attrib["for"] for label in page.all("label")}
    for tag in ("input", "select"):
        shown = [e for e in page.all(tag) if e.get("type") != "hidden"]
        assert all(e.get("aria-label") or e.attrib["id"] in labels for e in shown)
    for element in page.root.iter():
        for address in (element.get("src"), element.get("href")):
            assert not address or not urlsplit(address).netloc
            if address and element.tag in ("link", "script"):
                assert service.get(address).status_code == 200


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
