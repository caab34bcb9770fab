"""Single predictions in the store: taken once, answered once, sent again if no worker took them."""

import json
from collections.abc import Iterator

import pytest

from jobs.messages import Predict, Queue
from jobs.settings import Settings
from jobs.store import keys
from jobs.store.connection import connect
from jobs.store.prediction_store import PredictionStore, StoredPrediction, WaitingPrediction, new_id


@pytest.fixture
def store(server: Settings) -> Iterator[PredictionStore]:
    redis = connect(server)
    redis.flushall()
    yield PredictionStore(redis, server)
    redis.close()


def test_a_request_is_taken_answered_and_fetched(store: PredictionStore) -> None:
    first, second = new_id(), new_id()
    requests = {first: {"a": 1, "reply_to": "me"}, second: {"a": 2, "reply_to": "you"}}
    store.submit(requests)
    assert store.get(first) == StoredPrediction(first, None)
    waiting = store.take([first, second, "gone"])
    assert waiting == [WaitingPrediction(name, 1, request) for name, request in requests.items()]
    store.finish([(waiting[0], {"b": 1}), (waiting[1], {"b": 2})])
    assert store.await_reply(["me"], 1) == {first: {"b": 1}}
    assert store.await_reply(["none", "you"], 1) == {second: {"b": 2}}
    assert store.get(second) == StoredPrediction(second, {"b": 2})


def sent(store: PredictionStore) -> Predict:
    """The newest message for the interactive workers."""
    raw = store.redis.lpop(keys.queue(Queue.INTERACTIVE))
    return Predict.decode(json.loads(json.loads(raw)["body"])[1])


def test_small_requests_travel_in_the_message_and_are_taken_when_it_is_lost(store: PredictionStore) -> None:
    first, second = new_id(), new_id()
    requests = {first: {"a": 1, "reply_to": "me"}, second: {"a": 2}}
    store.submit(requests)
    waiting = store.waiting(sent(store))
    assert waiting == [WaitingPrediction(name, 1, request) for name, request in requests.items()]
    assert store.waiting(Predict((second,))) == [WaitingPrediction(second, 1, requests[second])]
    assert store.release([second, "gone"], failed=False) == [second]
    assert store.waiting(Predict((second,))) == [WaitingPrediction(second, 1, requests[second], lost=1)]
    assert store.release([second], failed=True) == [second]
    assert store.waiting(Predict((second,))) == [WaitingPrediction(second, 2, requests[second], lost=1)]


def test_large_requests_stay_in_the_store_until_they_are_taken(store: PredictionStore) -> None:
    name, request = new_id(), {"sample": "x" * 100_000}
    store.submit({name: request})
    assert store.waiting(sent(store)) == [WaitingPrediction(name, 1, request)]


def test_an_answered_request_is_not_taken_again(store: PredictionStore) -> None:
    name = new_id()
    store.submit({name: {"a": 1}})
    [first] = store.take([name])
    store.release([name], failed=True)
    [second] = store.take([name])
    assert second.attempt == first.attempt + 1
    store.finish([(second, {"b": 1})])
    assert store.take([name]) == []
    assert store.overdue() == []


def test_a_held_request_is_not_taken_by_another_worker(store: PredictionStore) -> None:
    name = new_id()
    store.submit({name: {"a": 1}})
    store.redis.zadd(keys.PREDICTIONS, {name: 0})
    [first] = store.take([name])
    # It was about to be sent again; a second message for it neither counts nor runs beside the first.
    assert store.overdue() == []
    assert store.take([name]) == []
    store.redis.hset(keys.prediction(name), "held", 0)
    [second] = store.take([name])
    assert (second.attempt, second.lost) == (first.attempt, 1)


def test_a_request_that_no_worker_took_is_sent_again(store: PredictionStore) -> None:
    name = new_id()
    store.submit({name: {"a": 1}})
    assert store.overdue() == []
    store.redis.zadd(keys.PREDICTIONS, {name: 0, "expired": 0})
    assert store.overdue() == [name]
    assert store.overdue() == []
    assert store.redis.zrange(keys.PREDICTIONS, 0, -1) == [name.encode()]


def test_every_key_has_a_lifetime(store: PredictionStore) -> None:
    done, waiting = new_id(), new_id()
    store.submit({done: {"reply_to": "me"}, waiting: {}})
    [taken, _] = store.take([done, waiting])
    store.finish([(taken, {})])
    assert {key for key in store.redis.keys("*") if store.redis.ttl(key) < 0} == set()
    store.forget([done, waiting])
    assert store.get(done) is None


def test_ids_cannot_be_guessed() -> None:
    assert len({new_id() for _ in range(1000)}) == 1000
    assert len(bytes.fromhex(new_id())) == 16
