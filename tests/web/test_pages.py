"""The pages as people use them, against a running service and without JavaScript."""

import csv
import io
import math
import re
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element, TreeBuilder

import httpx
import pytest

from jobs.predictions import PredictionStore, new_id
from jobs.settings import Settings
from jobs.store import JobStore, NewJob, connect
from model.catalog import Catalog
from model.income_features import FEATURES
from tests.stack import Stack, wait_until
from web import page_forms
from web.page_words import duration, grouped, percent_done, sentence, size
from web.predictions import make_request

CLASSIC = {
    "age": "39",
    "work": "State-gov",
    "education": "Bachelors",
    "status": "Never-married",
    "race": "White",
    "sex": "Male",
    "hours": "40",
}
RECORD = {f.name: CLASSIC[page_forms.CLASSIC_NAMES.get(f.name, f.name)] for f in FEATURES}
QUICK = "/models/income/prediction"
HEADER = ",".join(RECORD)
ROW = ",".join(RECORD.values())
FAULTY = f"{HEADER}\n{ROW}\n{ROW.replace('39', '<b>old</b>')}\n{ROW.replace('39', '200')}\n{ROW},x\n".encode()


class Page(HTMLParser):
    """A page as a tree; reading it fails where a browser would have to guess."""

    VOID = frozenset({"meta", "link", "input"})

    def __init__(self, response: httpx.Response) -> None:
        super().__init__()
        self.status = response.status_code
        self._builder, self._open = TreeBuilder(), list[str]()
        self.feed(response.text)
        assert not self._open, f"never closed: {self._open}"
        self.root: Element = self._builder.close()
        ids = [element.attrib["id"] for element in self.root.iter() if "id" in element.attrib]
        assert len(ids) == len(set(ids)), "an id stands twice"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._builder.start(tag, {name: value or "" for name, value in attrs})
        if tag in self.VOID:
            self._builder.end(tag)
        else:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        self._builder.end(tag)

    def handle_data(self, data: str) -> None:
        if self._open:
            self._builder.data(data)

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """The elements of a kind with these attributes; an underscore at the end of a name does not count."""
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
        return [e for e in self.root.iter(tag) if all(e.get(name) == value for name, value in wanted.items())]

    def text(self, element_id: str | None = None) -> str:
        found = self.root if element_id is None else self.root.find(f".//*[@id='{element_id}']")
        assert found is not None, f"nothing has the id {element_id}"
        return " ".join("".join(found.itertext()).split())

    def field(self, name: str) -> Element:
        return next(e for tag in ("input", "select") for e in self.all(tag, name=name))

    def choices(self, name: str) -> dict[str, str]:
        return {option.attrib["value"]: "".join(option.itertext()) for option in self.field(name).iter("option")}

    def values(self, method: str) -> dict[str, str]:
        """What a browser would send of an untouched form."""
        (form,) = self.all("form", method=method)
        found = {e.attrib["name"]: e.get("value", "") for e in form.iter("input")}
        for select in form.iter("select"):
            options = list(select.iter("option"))
            chosen = next((option for option in options if "selected" in option.attrib), options[0])
            found[select.attrib["name"]] = chosen.attrib["value"]
        return found

    @property
    def refresh(self) -> str | None:
        found = self.all("meta", http_equiv="refresh")
        return found[0].attrib["content"] if found else None

    def links(self) -> list[str]:
        return [link.attrib["href"] for link in self.all("a")]


def page_of(service: Stack, path: str, **query: str) -> Page:
    return Page(service.get(path, params=query))


def upload_by_form(service: Stack, data: bytes, name: str = "people.csv", **fields: str) -> httpx.Response:
    form = {"model": "income", "threshold": "0.5", **fields}
    return service.request("POST", "/jobs", data=form, files={"file": (name, data, "text/csv")})


def ended_job(service: Stack, path: str) -> Page:
    """The page of a job once it no longer refreshes itself."""

    def look() -> Page | None:
        page = page_of(service, path)
        return None if page.refresh else page

    found = wait_until(look)
    assert isinstance(found, Page)
    return found


@pytest.fixture
def job_path(service: Stack) -> Iterator[str]:
    """The page of a job with one row scored and three rejected."""
    path = upload_by_form(service, FAULTY).headers["Location"]
    yield path
    service.request("POST", f"{path}/delete")


# One record


def test_a_person_fills_in_the_form_and_sees_the_probability(service: Stack) -> None:
    form = page_of(service, "/")
    assert form.text().count("Income over 50K")
    (element,) = form.all("form", method="get")
    assert element.attrib["action"] == QUICK
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


def test_the_reasons_are_those_of_the_api_the_strongest_first(service: Stack) -> None:
    page = page_of(service, QUICK, **RECORD)
    asked = service.request("POST", "/api/v1/predictions", json={"record": RECORD}).json()
    effects = sorted((part["effect"] for part in asked["contributions"]), key=lambda effect: -abs(effect))
    rows = [[" ".join("".join(cell.itertext()).split()) for cell in row] for row in page.all("tr")[1:]]
    assert [row[2] for row in rows] == [f"\N{MULTIPLICATION SIGN} {math.exp(effect):.2f}" for effect in effects]
    assert all(
        row[1].startswith(("Raises" if effect > 0 else "Lowers", "Hardly"))
        for row, effect in zip(rows, effects, strict=True)
    )
    assert rows[0][:2] == ["Marital statusNever married", "Lowers it strongly"]


def test_a_wrong_value_keeps_what_was_typed_and_says_what_is_wrong_beside_the_field(service: Stack) -> None:
    typed = CLASSIC | {"age": "abc", "education": "Bachelor", "hours": "40.5", "work": ""}
    page = page_of(service, "/probability", **typed)
    assert page.status == 422
    assert page.values("get") == typed
    assert page.field("age").attrib["type"] == "text", "a number input would hide it"
    for name, words in {"age": "“abc” is not a number", "education": "Did you mean “Bachelor's degree”?"}.items():
        assert words in page.text(f"{name}-error")
        assert page.field(name).attrib["aria-invalid"] == "true"
        assert f"{name}-error" in page.field(name).attrib["aria-describedby"].split()
        assert f"#{name}" in page.links()
    assert "not a whole number" in page.text("hours-error")
    assert "aria-invalid" not in page.field("work").attrib, "not known is a value of its own"
    assert page.text().startswith("Error: ")


@pytest.mark.parametrize("name", CLASSIC)
def test_a_missing_parameter_is_a_fault_of_its_field(service: Stack, name: str) -> None:
    page = page_of(service, "/probability", **{key: value for key, value in CLASSIC.items() if key != name})
    assert page.status == 422
    assert page.text(f"{name}-error")
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
    assert f"“{value}”" in page.text(f"{name}-error")


@pytest.mark.parametrize("path", ["/", "/models/income"])
def test_every_choice_of_the_form_has_its_label_and_is_accepted(service: Stack, path: str) -> None:
    page = page_of(service, path)
    with service.client() as client:
        for feature in FEATURES:
            label = page.all("label", for_=feature.name)
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
    assert page_of(service, "/").values("get") == {f.name: page_forms.text_of(f.default) for f in FEATURES}


def test_an_address_without_values_leads_to_the_form(service: Stack) -> None:
    answer = service.get(QUICK)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/models/income")


def test_a_prediction_that_takes_longer_shows_when_it_is_there(service: Stack) -> None:
    settings = Settings(data_dir=service.folder)
    store, card = PredictionStore(connect(settings), settings), Catalog(settings.models_dir, "income").card()
    values, _ = card.record_schema.validate_record(RECORD)
    identifier, request = new_id(), make_request(card, [{"values": values}], None)
    store.submit({identifier: request}, due=time.time() + 3600)  # nobody is told of it
    waiting = page_of(service, f"/predictions/{identifier}", **RECORD)
    assert waiting.status == 202
    address = str(waiting.refresh).partition("url=")[2]
    store.submit({identifier: request}, due=0)
    wait_until(lambda: service.get(address).status_code == 200)
    page = Page(service.get(address))
    assert page.text("probability") == page_of(service, QUICK, **RECORD).text("probability")
    assert page.values("get") == RECORD


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
    (download,) = [link for link in page.links() if "results" in link]
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
    rows = [[" ".join("".join(cell.itertext()).split()) for cell in row] for row in page.all("tr")[1:]]
    assert [row[:3] for row in rows] == [["2", "age", "<b>old</b>"], ["3", "age", "200"], ["4", "whole row", "x"]]
    assert "is not a number" in rows[0][3]
    (download,) = [link for link in page.links() if "rejects" in link]
    assert len(list(csv.reader(io.StringIO(service.get(download).text)))) == 4


def test_the_threshold_of_the_form_decides(service: Stack) -> None:
    path = upload_by_form(service, f"{HEADER}\n{ROW}\n".encode(), threshold="0.01").headers["Location"]
    page = ended_job(service, path)
    (download,) = [link for link in page.links() if "results" in link]
    assert service.get(download).text.splitlines()[1].split(",")[-3] == ">50K"
    service.request("POST", f"{path}/delete")


@pytest.mark.parametrize(
    ("data", "fields", "status", "words"),
    [
        (
            f"{HEADER.replace('sex', 'gender').replace('age', 'agee')}\n{ROW}\n".encode(),
            {},
            422,
            "Column 'age' is missing",
        ),
        (b"", {}, 422, "The file is empty"),
        (HEADER.encode(), {}, 422, "The file has no rows"),
        (b"PK\x03\x04 xl/workbook.xml", {}, 415, "This is not a CSV file"),
        (f"{HEADER}\n{ROW}\n".encode(), {"threshold": "7"}, 422, "The threshold is not right"),
        (f"{HEADER}\n{ROW}\n".encode(), {"model": "nothing"}, 422, "There is no such model"),
    ],
)
def test_a_refused_file_shows_the_form_again_with_what_to_do(
    service: Stack, data: bytes, fields: dict[str, str], status: int, words: str
) -> None:
    before = page_of(service, "/jobs").links()
    page = Page(upload_by_form(service, data, **fields))
    assert page.status == status
    assert words in page.text("main")
    assert page.field("file").attrib["aria-invalid"] == "true"
    assert page.values("post")["threshold"] == fields.get("threshold", "0.5")
    assert page_of(service, "/jobs").links() == before, "nothing was stored"


def test_a_misspelt_column_is_named(service: Stack) -> None:
    page = Page(upload_by_form(service, f"{HEADER.replace('age', 'agee')}\n{ROW}\n".encode()))
    assert "The file has agee: did you mean that one?" in page.text("main")


def test_a_large_file_that_is_refused_at_once_still_gets_its_page(service: Stack) -> None:
    answer = upload_by_form(service, b"a,b\n" + b"1,2\n" * 8_000_000)
    assert "The file lacks columns" in Page(answer).text("main")


def test_a_running_job_is_canceled_and_offers_what_is_finished(service: Stack) -> None:
    path = upload_by_form(service, f"{HEADER}\n".encode() + f"{ROW}\n".encode() * 1_500_000).headers["Location"]
    running = page_of(service, path)
    assert running.refresh == "2"
    assert f"{path}/cancel" in [form.attrib["action"] for form in running.all("form")]
    assert page_of(service, "/jobs").refresh == "5"
    answer = service.request("POST", f"{path}/cancel")
    assert (answer.status_code, answer.headers["Location"]) == (303, path)
    page = ended_job(service, path)
    assert "canceled before it was done" in page.text("main")
    (partial,) = [link for link in page.links() if "results" in link]
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
    ("method", "path", "status", "words"),
    [
        ("GET", "/nothing", 404, "Page not found"),
        ("GET", "/jobs/0123456789abcdef", 404, "There is no such job"),
        ("GET", "/models/nothing", 404, "There is no such model"),
        ("GET", "/predictions/nothing", 404, "There is no such prediction"),
        ("POST", "/", 405, "cannot be used that way"),
        ("GET", "/jobs?state=lost", 422, "something that does not exist"),
        ("GET", "/jobs?cursor=lost", 422, "something that does not exist"),
        ("POST", "/jobs/0123456789abcdef/cancel", 404, "There is no such job"),
    ],
)
def test_errors_are_pages_that_say_what_to_do_next(
    service: Stack, method: str, path: str, status: int, words: str
) -> None:
    page = Page(service.request(method, path))
    assert page.status == status
    assert words in page.text("main")
    assert {"/", "/jobs"} <= set(page.links())
    assert service.get(f"/api/v1{path.partition('?')[0]}/nothing").headers["Content-Type"] == "application/problem+json"


def test_deleting_a_job_that_is_gone_leads_to_the_list(service: Stack) -> None:
    answer = service.request("POST", "/jobs/0123456789abcdef/delete")
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
    answer = service.request("POST", "/jobs/gone/delete", headers={"Origin": service.url})
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
        assert all(e.get("type") == "hidden" or e.attrib["id"] in labels for e in page.all(tag))
    for element in page.root.iter():
        for address in (element.get("src"), element.get("href")):
            assert not address or not urlsplit(address).netloc
            if address and element.tag in ("link", "script"):
                assert service.get(address).status_code == 200


def test_the_first_load_stays_small(service: Stack) -> None:
    page = service.get("/")
    parts = [link.attrib["href"] for link in Page(page).all("link")]
    assert len(page.content) + sum(len(service.get(part).content) for part in parts) < 50_000


def test_the_page_of_a_model_shows_its_card(service: Stack) -> None:
    card = service.get("/api/v1/models/income").json()
    text = page_of(service, "/models/income").text("main")
    for words in (card["version"], "32,561 rows", "16,281 records", f"{card['metrics']['roc_auc']:.4f}", "CC BY 4.0"):
        assert words in text


# Words


def test_words_for_numbers_sizes_and_times() -> None:
    assert [grouped(n) for n in (0, 7, 1234567, 1234.5, 2.5, 0.126)] == ["0", "7", "1,234,567", "1,234", "2.5", "0.13"]
    assert [size(n) for n in (1, 999, 1000, 4_104_734, 1_100_000_000)] == [
        "1 byte",
        "999 bytes",
        "1.0 kB",
        "4.1 MB",
        "1.1 GB",
    ]
    assert [duration(s) for s in (0.2, 59, 61, 3725)] == ["less than a second", "59 s", "1 min 1 s", "1 h 2 min"]
    assert percent_done(0.9999) == "99%"
    assert sentence("a text") == "A text."
