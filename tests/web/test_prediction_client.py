"""Many ask at once: each gets its own answer, in few tasks, and nobody who takes long holds up the others."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from redis.exceptions import RedisError

from jobs.messages import Predict, Queue
from jobs.settings import Settings
from jobs.store import keys
from jobs.store.connection import connect
from jobs.store.prediction_store import PredictionStore
from tests.stack import wait_until
from web.prediction_client import PredictionClient, _Pending
from web.server.limits import ConcurrencyLimit

Answer = tuple[str, dict[str, Any] | None]


class Worker:
    """Stands in for an interactive worker's process, so that a test decides when it answers what."""

    def __init__(self, settings: Settings) -> None:
        self._redis: Any = connect(settings)
        self._store = PredictionStore(self._redis, settings)

    def look(self) -> Predict | None:
        """The next task, if there is one."""
        raw = self._redis.rpop(keys.queue(Queue.INTERACTIVE))
        return Predict.decode(json.loads(json.loads(raw)["body"])[1]) if raw else None

    def take(self) -> Predict:
        """The next task, once there is one."""
        task: Predict = wait_until(self.look)
        return task

    def answer(self, task: Predict) -> None:
        self._store.finish([(waiting, {"of": waiting.request["n"]}) for waiting in self._store.waiting(task)])


@pytest.fixture
def worker(server: Settings) -> Worker:
    connect(server).flushall()
    return Worker(server)


@pytest.fixture
def client(server: Settings) -> PredictionClient:
    return PredictionClient(
        PredictionStore(connect(server), server), server.store_timeout_seconds, ConcurrencyLimit(100, "predictions")
    )


@pytest.fixture
def ask(client: PredictionClient) -> Iterator[Callable[..., "Future[Answer]"]]:
    with ThreadPoolExecutor(64) as threads:
        yield lambda n, seconds=30.0: threads.submit(client.ask, {"n": n}, seconds)


def test_what_gathers_while_a_batch_is_under_way_travels_together(worker: Worker, ask: Any) -> None:
    first = ask(0)
    task = worker.take()
    others = [ask(n) for n in range(1, 33)]
    worker.answer(task)
    assert first.result()[1] == {"of": 0}
    tasks = 0
    while not all(other.done() for other in others):
        if task := worker.look():
            worker.answer(task)
            tasks += 1
    assert [other.result()[1] for other in others] == [{"of": n} for n in range(1, 33)]
    assert tasks <= 16


def test_a_batch_that_takes_long_does_not_hold_up_the_next(worker: Worker, ask: Any) -> None:
    slow = ask("slow")
    held = worker.take()
    quick = ask("quick")
    worker.answer(worker.take())
    assert quick.result()[1] == {"of": "quick"}
    assert not slow.done()
    worker.answer(held)
    assert slow.result()[1] == {"of": "slow"}


def test_who_does_not_wait_is_told_when_the_request_is_stored(worker: Worker, ask: Any) -> None:
    waiting = ask("patient")
    held = worker.take()
    later = [ask(n, 0.0) for n in range(5)]
    assert [answer for _, answer in (asked.result() for asked in later)] == [None] * 5
    worker.answer(held)
    assert waiting.result()[1] == {"of": "patient"}


def test_whose_time_is_over_leaves_and_the_others_go_on(worker: Worker, ask: Any) -> None:
    held = [ask(n, 0.2) for n in range(20)]
    assert {answer for _, answer in (asked.result() for asked in held)} == {None}
    after = ask("after")
    seen: list[Any] = []
    while "after" not in seen:
        task = worker.take()
        seen += [request["n"] for request in task.requests]
        worker.answer(task)
    assert after.result()[1] == {"of": "after"}


class Interrupted(PredictionClient):
    """Its answers come between a look whether there is one and the wait for it."""

    def _becomes_leader(self, pending: _Pending) -> bool:
        if pending.stored:
            self._hand_out({pending.id: {"of": "just then"}})
        return super()._becomes_leader(pending)


def test_an_answer_that_comes_between_looking_and_waiting_wakes_whoever_asked(worker: Worker, server: Settings) -> None:
    store = PredictionStore(connect(server), server)
    client = Interrupted(store, server.store_timeout_seconds, ConcurrencyLimit(1, "predictions"))
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(client.ask, {"n": 0}, 20.0).result(timeout=15)[1] == {"of": "just then"}


def test_without_a_store_everyone_is_told(server: Settings) -> None:
    nowhere = server.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    client = PredictionClient(PredictionStore(connect(nowhere), nowhere), 0.5, ConcurrencyLimit(100, "predictions"))
    with ThreadPoolExecutor(8) as threads:
        for asked in [threads.submit(client.ask, {}, 1.0) for _ in range(8)]:
            with pytest.raises(RedisError):
                asked.result()
