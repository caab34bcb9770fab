"""``/metrics`` of one process: without a store, and with a bounded number of series."""

import signal
import time
from collections.abc import Iterator

import psutil
import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from jobs.settings import Settings
from jobs.store import keys
from jobs.store.connection import connect
from jobs.store.prediction_store import PredictionStore, WaitingPrediction
from web import create_app

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    families = text_string_to_metric_families(text)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def value(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((name, frozenset(labels.items())))


@pytest.fixture
def frozen_server(server: Settings) -> Iterator[Settings]:
    redis = connect(server)
    process = psutil.Process(redis.info("server")["process_id"])
    redis.close()
    process.send_signal(signal.SIGSTOP)
    try:
        yield server.model_copy(update={"store_timeout_seconds": 0.3})
    finally:
        process.send_signal(signal.SIGCONT)


def scraped(client: FlaskClient) -> Samples:
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response.mimetype == "text/plain"
    return samples(response.text)


def test_while_the_store_is_frozen_the_webs_own_metrics_are_served(frozen_server: Settings) -> None:
    client = create_app(frozen_server).test_client()
    client.get("/healthz")
    began = time.monotonic()
    found = scraped(client)
    assert time.monotonic() - began < 10  # a scrape's usual patience
    assert value(found, "scoreline_store_up") == 0
    healthy = {"route": "/healthz", "method": "GET", "status": "200"}
    assert value(found, "scoreline_http_request_seconds_count", **healthy) == 1
    assert not [name for name, _ in found if name.startswith("scoreline_jobs")]


def test_an_unreachable_store_is_reported_at_once() -> None:
    client = create_app(Settings(redis_url="redis://127.0.0.1:1")).test_client()
    assert value(scraped(client), "scoreline_store_up") == 0


def test_made_up_addresses_and_methods_are_counted_together(server: Settings) -> None:
    client = create_app(server).test_client()
    for number in range(20):
        client.get(f"/nowhere/{number}")
        client.open("/healthz", method=f"METHOD{number}")
    found = scraped(client)
    assert value(found, "scoreline_http_request_seconds_count", route="", method="", status="404") == 20
    assert value(found, "scoreline_http_request_seconds_count", route="", method="", status="405") == 20


def test_the_time_of_quick_predictions_adds_up_also_with_what_older_workers_count(server: Settings) -> None:
    request = {"kind": "predict", "model": "quick", "version": "1", "records": [{}]}
    with connect(server) as redis:
        redis.flushall()
        store = PredictionStore(redis, server)
        for number in range(5):
            waiting = WaitingPrediction(str(number), 1, request)
            store.finish([(waiting, {"items": [{"prediction": 1}]})], seconds=0.0004)
        labels = {"model": "quick", "version": "1"}
        client = create_app(server).test_client()
        assert value(scraped(client), "scoreline_model_prediction_seconds_sum", **labels) == pytest.approx(0.002)
        redis.hincrby(keys.MODEL_TOTALS, "quick@1 prediction_milliseconds", 3000)
        assert value(scraped(client), "scoreline_model_prediction_seconds_sum", **labels) == pytest.approx(3.002)
        redis.flushall()


def test_the_job_behind_an_address_is_not_a_label(server: Settings) -> None:
    client = create_app(server).test_client()
    for number in range(3):
        client.get(f"/api/v1/jobs/{number:032x}")
    unknown = {"route": "/api/v1/jobs/<job_id>", "method": "GET", "status": "404"}
    assert value(scraped(client), "scoreline_http_request_seconds_count", **unknown) == 3
