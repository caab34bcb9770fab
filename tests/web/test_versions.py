"""Two versions of a model side by side: each can be asked for, by its name, wherever a model is named."""

import csv
import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.card import Card, sample_csv
from model.catalog import Catalog, version_of
from model.census import census_model, income
from model.files import sha256_of
from model.scorer import Scorer
from tests.stack import Stack, problem_of
from tests.web.reading import Page, ended_job, page_of, upload_by_form
from tests.web.records import RECORD


@pytest.fixture(scope="module")
def other(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scorer]:
    """A version of the income model that is not the current one, trained on fewer records."""
    frame, labels = income.load_records(census_model.TRAINING)
    elsewhere = Catalog(tmp_path_factory.mktemp("elsewhere"), "income")
    card = income.publish(income.make_income_pipeline().fit(frame[:2000], labels[:2000]), elsewhere)
    folder = models / "income" / card.version
    shutil.copytree(elsewhere.directory / "income" / card.version, folder)
    yield Scorer.load(elsewhere)
    shutil.rmtree(folder)


@pytest.fixture
def unreadable(models: Path, scorer: Scorer) -> Iterator[str]:
    """A version whose file is the one that its card names, but no pipeline: only a worker can find that out."""
    sha256 = sha256_of(b"no pipeline")
    version = version_of(sha256)
    folder = models / "income" / version
    scorer.card.model_copy(update={"version": version, "artifact_sha256": sha256}).save(folder / "card.json")
    (folder / "model.skops").write_bytes(b"no pipeline")
    yield version
    shutil.rmtree(folder)


def probabilities_of(scorer: Scorer, card: Card) -> list[str]:
    records = list(csv.DictReader(io.StringIO(sample_csv(card))))
    values = [card.record_schema.validate_record(record)[0] for record in records]
    return [f"{p:.6f}" for p in scorer.predict_records(values).positive]


def probabilities_in(results: bytes) -> list[str]:
    return [row["probability"] for row in csv.DictReader(io.StringIO(results.decode()))]


def test_files_are_scored_with_the_version_that_was_asked_for(service: Stack, scorer: Scorer, other: Scorer) -> None:
    card, data = other.card, sample_csv(other.card).encode()
    job, results = service.score(data, model="income", version=card.version)
    assert job["model"] == {"name": "income", "version": card.version}
    assert probabilities_in(results) == probabilities_of(other, card) != probabilities_of(scorer, card)
    current, results = service.score(data)
    assert current["model"]["version"] == scorer.card.version
    assert probabilities_in(results) == probabilities_of(scorer, card)
    path = upload_by_form(service, data, version=card.version).headers["Location"]
    ended_job(service, path)
    assert service.get(f"/api/v1{path}").json()["model"]["version"] == card.version
    assert Page(upload_by_form(service, data, version="0123456789ab")).status == 422
    for address in (path, f"/jobs/{job['id']}", f"/jobs/{current['id']}"):
        service.request("POST", f"{address}/delete")


def test_records_are_predicted_with_the_version_that_was_asked_for(service: Stack, other: Scorer) -> None:
    asked = {"record": RECORD, "version": other.card.version}
    answer = service.request("POST", "/api/v1/predictions", json=asked).json()
    values = other.card.record_schema.validate_record(RECORD)[0]
    assert answer["model"]["version"] == other.card.version
    assert answer["probability"] == pytest.approx(other.predict_records([values]).positive[0], abs=1e-6)
    now = service.request("POST", "/api/v1/predictions", json={"record": RECORD}).json()
    assert answer["probability"] != now["probability"]
    asked["version"] = "0123456789ab"
    assert problem_of(service.request("POST", "/api/v1/predictions", json=asked)) == (422, "unknown_model")


def test_a_preflight_and_the_documents_of_a_version(service: Stack, scorer: Scorer, other: Scorer) -> None:
    version, data = other.card.version, sample_csv(other.card).encode()
    csv_ = {"Content-Type": "text/csv"}
    looked = service.request("POST", "/api/v1/preflight", params={"version": version}, content=data, headers=csv_)
    example = looked.json()["examples"][0]
    assert f"{float(example['probability']):.6f}" == probabilities_of(other, other.card)[0]
    assert service.get("/api/v1/models/income", params={"version": version}).json()["version"] == version
    sample = service.get("/api/v1/models/income/sample.csv", params={"version": version}).text
    assert sample == sample_csv(other.card)
    listed = service.get("/api/v1/models/income/versions").json()
    found = {entry["version"]: entry for entry in listed["versions"]}
    assert {name: entry["current"] for name, entry in found.items()} == {version: False, scorer.card.version: True}
    assert all(entry["broken"] is None and entry["trained_at"] for entry in found.values())


def test_the_page_of_a_version_predicts_and_uploads_with_it(service: Stack, other: Scorer) -> None:
    version = other.card.version
    address = f"/models/income/versions/{version}"
    assert address in page_of(service, "/models/income").links()
    page = page_of(service, address)
    assert page.values("post")["model"] == f"income@{version}"
    (form,) = page.all("form", method="get")
    answer = page_of(service, form.attrib["action"].partition("#")[0], **RECORD)
    values = other.card.record_schema.validate_record(RECORD)[0]
    assert answer.text("probability") == f"{other.predict_records([values]).positive[0] * 100:.2f}%"
    assert answer.values("post")["model"] == f"income@{version}"
    assert page_of(service, "/models/income").values("post")["model"] == "income"


def test_what_only_a_worker_finds_broken_is_said_with_its_reason_too(service: Stack, unreadable: str) -> None:
    reason = f"income/{unreadable}/model.skops is not a skops artifact"
    asked = {"record": RECORD, "version": unreadable}
    answer = service.request("POST", "/api/v1/predictions", json=asked)
    assert problem_of(answer) == (503, "broken_model")
    assert reason in answer.json()["detail"]
    job = service.upload(service.get("/api/v1/models/income/sample.csv").content, version=unreadable).json()
    assert job["state"] == "failed"
    assert reason in job["error"]["detail"]
    for said in (answer.text, job["error"]["detail"]):
        assert str(service.folder) not in said
    service.request("DELETE", job["links"]["self"])
