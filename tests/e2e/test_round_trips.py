"""How often web and workers ask the store: what a chunk and a single prediction cost may not grow unnoticed."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from redis.connection import AbstractConnection

from jobs.messages import Queue
from jobs.settings import Settings, get_settings
from jobs.store import keys
from jobs.store.connection import connect
from tests.stack import wait_until
from tests.web.records import HEADER, RECORD, ROW
from web import create_app
from worker import models as loaded
from worker import tasks

ROWS = 40_000
# The room for the job, its header, its seal; the living workers, asked for every few seconds; each process's scripts.
ONCE_A_JOB = 12


@pytest.fixture
def settings(server: Settings, models: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Of web and workers in this process, on the tests' own server, with files cut into small chunks."""
    link = server.data_dir / "models"
    if not link.exists():
        link.symlink_to(models)
    monkeypatch.setenv("SCORELINE_DATA_DIR", str(server.data_dir))
    monkeypatch.setenv("SCORELINE_CHUNK_BYTES", "1000")
    caches = (get_settings, tasks._redis, tasks._store, tasks._predictions, tasks._sender, loaded._catalog)
    for cache in caches:
        cache.cache_clear()
    connect(get_settings()).flushall()
    yield get_settings()
    for cache in caches:
        cache.cache_clear()


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Round trips by the name of the thread that makes them."""
    found: Counter[str] = Counter()
    send = AbstractConnection.send_packed_command

    def counted(self: AbstractConnection, *arguments: Any, **options: Any) -> None:
        found[threading.current_thread().name] += 1
        send(self, *arguments, **options)

    monkeypatch.setattr(AbstractConnection, "send_packed_command", counted)
    return found


def client(settings: Settings) -> FlaskClient:
    return create_app(settings).test_client()


def run_queued(settings: Settings, queue: Queue, trips: Counter[str]) -> int:
    """Run the tasks on a queue in this thread, as a worker does; answers how many there were, counts their trips."""
    redis, here, done = connect(settings), threading.current_thread().name, 0
    task = tasks.score_chunk_task if queue is Queue.BULK else tasks.predict_task
    while True:
        before = trips[here]
        raw = redis.rpop(keys.queue(queue))
        trips[here] = before
        if raw is None:
            return done
        assert isinstance(raw, bytes)
        task(**json.loads(json.loads(raw)["body"])[1])
        done += 1


def test_a_chunk_costs_three_round_trips_on_either_side(settings: Settings, trips: Counter[str]) -> None:
    here = threading.current_thread().name
    body = "\n".join([HEADER, *[ROW] * ROWS, ""])
    web = client(settings)
    job = web.post("/api/v1/jobs", data=body, content_type="text/csv").get_json()
    by_web, trips[here] = trips[here], 0
    chunks = run_queued(settings, Queue.BULK, trips)
    by_workers = trips[here]
    assert web.get(job["links"]["self"]).get_json()["state"] == "succeeded"
    assert chunks > 20
    assert by_web <= 3 * chunks + ONCE_A_JOB
    assert by_workers <= 3 * chunks + ONCE_A_JOB


def test_a_single_prediction_costs_one_round_trip_to_send_and_one_to_answer(
    settings: Settings, trips: Counter[str]
) -> None:
    web, here = client(settings), threading.current_thread().name
    queue, redis = keys.queue(Queue.INTERACTIVE), connect(settings)
    with ThreadPoolExecutor(1) as other:
        for _ in range(2):  # the first one also brings the scripts and opens connections
            trips.clear()
            asked = other.submit(web.post, "/api/v1/predictions", json={"record": RECORD})
            wait_until(lambda: redis.llen(queue))
            trips[here] = 0
            assert run_queued(settings, Queue.INTERACTIVE, trips) == 1
            assert asked.result().get_json()["prediction"] == "<=50K"
    assert trips[here] == 1
    # One sends it, one waits for its answer; the third, where the worker took long, waits once more.
    assert sum(trips[name] for name in trips if name.startswith("ThreadPool")) <= 3
