"""A broken model is said to be broken, with the reason, wherever it is asked for; and never "not found".

No worker runs here: the web alone can tell.
"""

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from jobs.settings import Settings
from model.card import Card
from model.catalog import Catalog
from tests.web.records import HEADER, RECORD, ROW
from web import create_app
from web.services import create_services

CSV = f"{HEADER}\n{ROW}\n".encode()
Damage = Callable[[Path], object]


def _of_another_scikit_learn(folder: Path) -> None:
    card = json.loads((folder / "card.json").read_text())
    card["libraries"]["scikit-learn"] = "0.1"
    (folder / "card.json").write_text(json.dumps(card))


DAMAGES: dict[str, tuple[Damage, str]] = {
    "no card": (lambda folder: (folder / "card.json").unlink(), "is missing"),
    "card cut off": (lambda folder: (folder / "card.json").write_text('{"name": "income"}'), "is not a model card"),
    "no artifact": (lambda folder: (folder / "model.skops").unlink(), "is missing"),
    "artifact altered": (lambda folder: (folder / "model.skops").write_bytes(b"PK"), "was altered"),
    "another scikit-learn": (_of_another_scikit_learn, "made by scikit-learn 0.1"),
    "no folder": (shutil.rmtree, "is missing"),
    "no version": (lambda folder: (folder.parent / "current").write_text("?"), "should hold a version"),
}


@pytest.fixture
def folder(models: Path, tmp_path: Path) -> Path:
    """An income model of the test's own."""
    shutil.copytree(models / "income", tmp_path / "models" / "income")
    return tmp_path / "models"


@pytest.fixture
def client(folder: Path, server: Settings) -> FlaskClient:
    own = replace(create_services(server), catalog=Catalog(folder, "income"))
    return create_app(server, own).test_client()


def broken(folder: Path, damage: str) -> str:
    """Damage the current version; what is said about it."""
    harm, words = DAMAGES[damage]
    harm(folder / "income" / (folder / "income" / "current").read_text().strip())
    return words


def everywhere(client: FlaskClient) -> dict[str, Any]:
    """The answers at every address where the model is asked for."""
    upload = {"file": (io.BytesIO(CSV), "people.csv"), "model": "income"}
    return {
        "model": client.get("/api/v1/models/income"),
        "sample": client.get("/api/v1/models/income/sample.csv"),
        "upload": client.post("/api/v1/jobs?model=income", data=CSV, content_type="text/csv"),
        "form upload": client.post("/api/v1/jobs", data=upload, content_type="multipart/form-data"),
        "score": client.post("/api/v1/score", data=CSV, content_type="text/csv"),
        "preflight": client.post("/api/v1/preflight", data=CSV, content_type="text/csv"),
        "prediction": client.post("/api/v1/predictions", json={"record": RECORD}),
        "home": client.get("/"),
        "page": client.get("/models/income"),
        "quick form": client.get("/models/income/prediction", query_string=RECORD),
        "classic": client.get("/probability"),
        "upload by page": client.post("/jobs", data={"file": (io.BytesIO(CSV), "people.csv")}),
    }


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_broken_model_is_said_to_be_broken_everywhere(client: FlaskClient, folder: Path, damage: str) -> None:
    assert client.get("/models/income").status_code == 200
    words = broken(folder, damage)
    for place, answer in everywhere(client).items():
        assert answer.status_code == 503, place
        assert words in answer.text, place
        assert "broken_model" in answer.text, place
        assert str(folder) not in answer.text, "where it lies on the server is nobody's business"
        assert answer.headers["Retry-After"] == "60"
    (listed,) = client.get("/api/v1/models").json["models"]  # type: ignore[index]
    assert listed["name"] == "income"
    assert listed["default"]
    assert words in listed["broken"]
    ready = client.get("/readyz")
    assert ready.status_code == 503
    assert "model" in ready.json["missing"]  # type: ignore[index]
    assert words in ready.json["broken"]  # type: ignore[index]
    page = client.get("/models/income").text
    assert "This model is broken" in page


def test_a_broken_model_among_others_leaves_them_alone_and_works_again_once_mended(
    client: FlaskClient, folder: Path
) -> None:
    shutil.copytree(folder / "income", folder / "other")
    assert "income" in client.get("/models/other").text, "its card is that of another model"
    assert client.get("/models/other").status_code == 503
    assert client.get("/models/income").status_code == 200
    documents = {model["name"]: model for model in client.get("/api/v1/models").json["models"]}  # type: ignore[index]
    assert "is that of version" in documents["other"]["broken"]
    assert "broken" not in documents["income"]
    artifact = Catalog(folder, "income").artifact_path()
    whole = artifact.read_bytes()
    artifact.write_bytes(b"")
    assert client.get("/models/income").status_code == 503
    artifact.write_bytes(whole)
    assert client.get("/models/income").status_code == 200


def test_a_form_for_another_model_does_not_suffer_from_a_broken_default(
    client: FlaskClient, folder: Path, server: Settings
) -> None:
    shutil.copytree(folder / "income", folder / "other")
    for path in (folder / "other").glob("*/card.json"):
        Card.load(path).model_copy(update={"name": "other"}).save(path)
    broken(folder, "no artifact")
    fields = {"model": "other", "file": (io.BytesIO(CSV), "people.csv")}
    answer = client.post("/jobs", data=fields, content_type="multipart/form-data")
    assert answer.status_code == 303
    job = answer.headers["Location"]
    stored = create_services(server).store.get(job.removeprefix("/jobs/"))
    assert stored is not None
    assert stored.model == "other"
    client.post(f"{job}/delete")


def test_an_older_version_serves_while_the_current_one_is_broken(client: FlaskClient, folder: Path) -> None:
    income = folder / "income"
    older = (income / "current").read_text().strip()
    newer = "0123456789ab"
    shutil.copytree(income / older, income / newer)
    (income / "current").write_text(newer)
    found = {v["version"]: v for v in client.get("/api/v1/models/income/versions").json["versions"]}  # type: ignore[index]
    assert (found[older]["current"], found[older]["broken"]) == (False, None)
    assert found[older]["trained_at"]
    assert found[newer]["current"]
    assert "is that of version" in found[newer]["broken"]
    assert client.get("/api/v1/models/income").status_code == 503
    answer = client.get(found[older]["links"]["self"])
    assert (answer.status_code, answer.json["version"]) == (200, older)  # type: ignore[index]
    assert client.get(f"/models/income/versions/{older}").status_code == 200
    page = client.get("/models/income").text
    assert f"/models/income/versions/{older}" in page
    assert f"/models/income/versions/{newer}" not in page


@pytest.mark.parametrize("version", ["0123456789ab", "../income", "Ü"])
def test_an_unknown_version_is_named_with_those_there_are(client: FlaskClient, folder: Path, version: str) -> None:
    there_is = (folder / "income" / "current").read_text().strip()
    query = {"version": version}
    answers = [
        client.get("/api/v1/models/income", query_string=query),
        client.get("/api/v1/models/income/sample.csv", query_string=query),
        client.post("/api/v1/jobs", query_string=query, data=CSV, content_type="text/csv"),
        client.post("/api/v1/preflight", query_string=query, data=CSV, content_type="text/csv"),
        client.post("/api/v1/predictions", json={"record": RECORD, **query}),
    ]
    for answer in answers:
        assert answer.status_code == 422
        assert "has no version" in answer.text
        assert there_is in answer.text
        assert answer.json["code"] == "unknown_model"  # type: ignore[index]
    assert client.get("/models/income/versions/nothing").status_code == 404
    assert client.get("/api/v1/models/nothing/versions").status_code == 404
    assert client.get("/api/v1/models/nothing", query_string=query).status_code == 404
