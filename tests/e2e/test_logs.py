"""The log of the running service: what happened to which job, in every process, and never a record's value."""

import json
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from jobs.messages import Queue, Task
from jobs.settings import Settings
from jobs.store import keys
from jobs.store.celery_message import encode
from jobs.store.connection import connect
from model import artifact
from model.catalog import Catalog, version_of
from model.census import census_model, income
from tests.stack import Stack, problem_of, wait_until
from tests.web.records import HEADER, RECORD, ROW

# In everything that the tests score, and in nothing that may be logged.
SECRET = "Kryptonian"
POISONED = ROW.replace("White", SECRET)


@pytest.fixture(scope="module")
def touchy(models: Path) -> Iterator[str]:
    """A model that raises on a category which its card has, with the value in the text, as scikit-learn does."""
    frame, labels = income.load_records(census_model.TRAINING)
    encoder = ColumnTransformer([("race", OneHotEncoder(handle_unknown="error"), ["race"])])
    pipeline = make_pipeline(encoder, LogisticRegression()).fit(frame[:2000], labels[:2000])
    catalog = Catalog(models, "income")
    known = catalog.card()
    features = [
        feature.model_copy(update={"categories": (*feature.categories, SECRET)}) if feature.name == "race" else feature
        for feature in known.features
    ]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.skops"
        digest = artifact.save(pipeline, file)
        changes = {"name": "touchy", "version": version_of(digest), "artifact_sha256": digest, "features": features,
                   "additive": False, "explanation": None}  # fmt: skip
        catalog.publish(type(known).model_validate(known.model_dump() | changes), file)
    yield "touchy"
    shutil.rmtree(models / "touchy")


def lines(service: Stack) -> list[dict[str, Any]]:
    text = (service.folder / "log").read_text()
    return [json.loads(line) for line in text[: text.rfind("\n")].splitlines()]


def of_job(service: Stack, job_id: str) -> list[dict[str, Any]]:
    return [line for line in lines(service) if line.get("job_id") == job_id]


def refusals(service: Stack) -> list[str]:
    return [line["code"] for line in lines(service) if line["event"] == "upload refused"]


def log_is_without_the_secret(service: Stack) -> None:
    assert SECRET not in (service.folder / "log").read_text()


def test_a_job_is_followed_through_web_and_workers(service: Stack) -> None:
    job, _ = service.score(f"{HEADER}\n{ROW}\n{POISONED}\n".encode(), filename=f"{SECRET}.csv")
    found = wait_until(lambda: [line for line in of_job(service, job["id"]) if line["event"] == "job ended"])
    events = {line["event"]: line for line in of_job(service, job["id"])}
    assert [events[name]["role"] for name in ("upload accepted", "job started", "job ended")] == ["web", "bulk", "bulk"]
    assert (events["upload accepted"]["rows"], events["upload accepted"]["model"]) == (2, "income")
    [end] = found
    assert (end["state"], end["scored"], end["rejected"]) == ("succeeded", 1, 1)
    assert end["time"].endswith("Z")
    log_is_without_the_secret(service)


def test_a_poisonous_record_is_told_of_without_what_is_in_it(service: Stack, touchy: str) -> None:
    job, results = service.score(f"{HEADER}\n{ROW}\n{POISONED}\n".encode(), model=touchy)
    assert job["rows"] == {"total": 2, "scored": 1, "rejected": 1, "warned": 0, "repaired": 0}
    assert SECRET.encode() in results
    wait_until(lambda: "job ended" in [line["event"] for line in of_job(service, job["id"])])
    events = {line["event"]: line for line in of_job(service, job["id"])}
    failed, poison = events["chunk attempt failed"], events["poison: rows rejected"]
    assert (failed["error"], failed["cause"], failed["attempt"]) == ("ScoringFailed", "ValueError", 1)
    assert any("row_predictions.py" in place for place in failed["raised_at"])
    assert (poison["rows"], poison["attempt"]) == (1, 2)
    single = service.request("POST", "/api/v1/predictions", json={"model": touchy, "record": RECORD | {"race": SECRET}})
    assert problem_of(single) == (422, "scoring_failed")
    wait_until(lambda: "record not scored" in [line["event"] for line in lines(service)])
    log_is_without_the_secret(service)


def test_what_is_refused_is_told_of_by_its_code_alone(service: Stack) -> None:
    bad = {**RECORD, "race": SECRET}
    assert service.request("POST", "/api/v1/predictions", json={"record": bad}).status_code == 422
    assert service.request("POST", "/api/v1/predictions", content=f'{{"a": "{SECRET}').status_code == 415
    assert service.get("/probability", params={"age": SECRET}).status_code == 422
    before = len(refusals(service))
    assert problem_of(service.upload(f"{HEADER},{SECRET},{SECRET}\n".encode(), threshold=SECRET))[0] == 422
    assert problem_of(service.upload(f'{HEADER}\n"{SECRET}\0'.encode()))[1] == "undecodable"
    wait_until(lambda: len(refusals(service)) == before + 2)
    assert refusals(service)[before:] == ["bad_threshold", "undecodable"]
    log_is_without_the_secret(service)


def test_bytes_that_gunicorn_cannot_read_are_not_repeated(service: Stack) -> None:
    """As when a client sends more of a file than it said: the rest looks like another request."""
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.sendall(f"{POISONED}\r\nGET /?{SECRET} HTTP/1.1\r\n\r\n".encode())
        assert b" 400 " in connection.recv(1024)
    wait_until(lambda: [line for line in lines(service) if line["event"].startswith("a request was refused")])
    log_is_without_the_secret(service)


def test_a_message_that_no_worker_knows_is_not_repeated(service: Stack) -> None:
    """As in the middle of an upgrade, when an old worker meets a new web's message."""
    settings = Settings(data_dir=service.folder)
    message = orjson.loads(encode(Task.PREDICT, {"ids": ["1"], "requests": [{"records": [SECRET]}]}))
    message["headers"]["task"] = "scoreline.unknown"
    redis = connect(settings)
    redis.lpush(keys.queue(Queue.INTERACTIVE), orjson.dumps(message))
    redis.close()
    wait_until(lambda: [line for line in lines(service) if "unregistered task" in line["event"]])
    log_is_without_the_secret(service)


def test_a_worker_process_that_dies_is_told_of_in_the_same_form(service: Stack) -> None:
    [_, victim, *_] = service.processes("-m worker interactive")
    victim.kill()
    [line] = wait_until(lambda: [line for line in lines(service) if f"pid:{victim.pid} exited" in line["event"]])
    assert (line["logger"], line["role"], line["level"]) == ("multiprocessing", "interactive", "error")
    wait_until(lambda: service.request("POST", "/api/v1/predictions", json={"record": RECORD}).status_code == 200)
