"""Versions that a worker cannot load are seen on the model's page, in the API, in /readyz and in /metrics."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from jobs.settings import Settings
from jobs.store.connection import connect
from jobs.store.heartbeat import Heartbeat, Node
from jobs.store.load_failures import LoadFailures
from model.card import Card
from model.catalog import Catalog
from tests.web.server.test_metrics import samples, value
from web import create_app
from worker.load_reports import LoadReports

REASON = "made by scikit-learn 1.0, but\n1.9.1 is installed"
TOLD = "made by scikit-learn 1.0, but 1.9.1 is installed"
BOX, SHED = Node("box", 7, 2), Node("shed", 8, 1)


@pytest.fixture
def failures(server: Settings) -> Iterator[LoadFailures]:
    with connect(server) as redis:
        redis.flushall()
        yield LoadFailures(redis)
        redis.flushall()


@pytest.fixture
def client(server: Settings, models: Path, tmp_path: Path, failures: LoadFailures) -> FlaskClient:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "models").symlink_to(models)
    return create_app(server.model_copy(update={"data_dir": folder, "redis_url": server.store_url})).test_client()


@pytest.fixture
def card(models: Path) -> Card:
    return Catalog(models).card("income")


def listed(client: FlaskClient, card: Card) -> list[dict[str, str]]:
    """Where the version cannot be loaded, by the API."""
    [found] = [one for one in client.get("/api/v1/models/income/versions").json["versions"]
               if one["version"] == card.version]  # type: ignore[index]  # fmt: skip
    return list(found["cannot_be_loaded"])


def test_a_worker_that_cannot_load_a_version_is_named_with_the_reason(
    client: FlaskClient, failures: LoadFailures, card: Card
) -> None:
    Heartbeat(failures._redis, "bulk", BOX).beat()
    LoadReports(failures, BOX).failed("income", card.version, REASON)
    assert listed(client, card) == [{"host": "box", "role": "bulk", "reason": TOLD}]
    assert f"Cannot be loaded on box (bulk): {TOLD[0].upper()}{TOLD[1:]}" in client.get("/models/income").text
    assert client.get("/readyz").json["models"] == [  # type: ignore[index]
        f"income {card.version} on box (bulk): {TOLD}"
    ]
    labels = {"model": "income", "version": card.version, "host": "box", "role": "bulk"}
    assert value(samples(client.get("/metrics").text), "scoreline_model_unloadable", **labels) == 1


def test_a_failure_is_told_for_as_long_as_it_lasts_and_its_worker_lives(failures: LoadFailures) -> None:
    box, shed = (Heartbeat(failures._redis, "interactive", node) for node in (BOX, SHED))
    reports = LoadReports(failures, BOX)
    reports.failed("income", "1", REASON)
    LoadReports(failures, SHED).failed("income", "1", REASON)
    assert failures.all() == []  # neither has shown that it is alive
    box.beat()
    shed.beat()
    assert [one.host for one in failures.all()] == ["box", "shed"]
    reports.succeeded("income", "1")
    assert [one.host for one in failures.all()] == ["shed"]
    shed.end()
    assert failures.all() == []
    assert 0 < failures._redis.ttl("{scoreline}:unloadable:shed 8") <= 15


def test_what_files_tell_is_reported_before_anybody_asks(failures: LoadFailures, models: Path, tmp_path: Path) -> None:
    catalog, reports = Catalog(tmp_path), LoadReports(failures, BOX)
    Heartbeat(failures._redis, "bulk", BOX).beat()
    version = tmp_path / "income" / Catalog(models).current_version("income")
    version.mkdir(parents=True)
    (tmp_path / "income" / "current").write_text(version.name)
    reports.check(catalog)
    [failure] = failures.all()
    assert (failure.model, failure.version) == ("income", version.name)
    assert "is missing" in failure.reason
    for file in (models / "income" / version.name).iterdir():
        (version / file.name).write_bytes(file.read_bytes())
    reports.check(catalog)
    assert failures.all() == []


def test_what_is_told_of_a_version_that_was_removed_everywhere_goes_with_it(
    failures: LoadFailures, models: Path, card: Card
) -> None:
    Heartbeat(failures._redis, "bulk", BOX).beat()
    child, worker = LoadReports(failures, BOX), LoadReports(failures, BOX)
    for version in ("gone", "not trusted here", card.version):
        child.failed("income", version, REASON)
    worker.check(Catalog(models), shared={("income", "not trusted here")})
    assert {one.version for one in failures.all()} == {"not trusted here", card.version}
    worker.check(Catalog(models))
    assert {one.version for one in failures.all()} == {card.version}


def test_a_process_that_can_load_a_version_has_the_last_word_over_one_that_could_not(failures: LoadFailures) -> None:
    Heartbeat(failures._redis, "bulk", BOX).beat()
    times = [0.0]
    able, unable = LoadReports(failures, BOX, lambda: times[0]), LoadReports(failures, BOX)
    able.succeeded("income", "1")
    unable.failed("income", "1", REASON)
    times[0] = 59.0
    able.succeeded("income", "1")
    assert len(failures.all()) == 1  # no round trip for each prediction
    times[0] = 60.0
    able.succeeded("income", "1")
    assert failures.all() == []
