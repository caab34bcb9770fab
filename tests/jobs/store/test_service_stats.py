"""Service stats on a real server: each row, chunk and job is counted once, however often a command is repeated."""

from dataclasses import replace

import pytest

from jobs.messages import InputChunk, Predict, Queue, ScoreChunk
from jobs.settings import Settings
from jobs.store import keys
from jobs.store.chunks import NewJob, ScoredChunk
from jobs.store.heartbeat import Heartbeat, Node
from jobs.store.job_store import JobStore
from jobs.store.prediction_store import PredictionStore, new_id
from jobs.store.scripts import MAX_COUNTED
from jobs.store.service_stats import BUCKET_SECONDS, ServiceStats, read_service_stats
from tests.stack import wait_until

NEW = NewJob("income", "1", "a.csv", "utf-8", ",", "\n", 0.5, b"a,b,prediction", b"a,b", {"a": 0}, 2)
SCORED = ScoredChunk(b"1,2,x\n", b"", 3, 2, scoring_failed=1)


@pytest.fixture
def settings(server: Settings) -> Settings:
    return server.model_copy(update={"lease_seconds": 0.1, "bulk_processes": 1})


def upload(store: JobStore, chunks: int, seal: bool = True) -> str:
    new = replace(NEW, id=new_id())
    store.begin(new)
    for number in range(chunks):
        store.append(new.id, number, InputChunk(number + 1, 1, b"1,2\n"))
    if seal:
        store.seal(new.id, total=5 * chunks)
    return new.id


def totals(store: JobStore) -> dict[str, int]:
    return {name: value for name, value in stats(store).totals.items() if ":bucket:" not in name}


def stats(store: JobStore) -> ServiceStats:
    return read_service_stats(store.redis)


def test_an_unused_service_has_empty_stats(store: JobStore) -> None:
    found = stats(store)
    assert (found.totals, found.queued) == ({}, {"bulk": 0, "interactive": 0})
    assert set(found.now.values()) == {0}


def test_rows_chunks_and_jobs_are_counted_once_however_often_they_are_recorded(store: JobStore) -> None:
    job_id = upload(store, 2)
    for chunk in (0, 0, 1, 1):
        store.claim(job_id, chunk, "task")
        store.record(job_id, chunk, SCORED)
    store.seal(job_id, total=10)
    store.cancel(job_id)
    counted = {name: value for name, value in totals(store).items() if "milliseconds" not in name}
    assert counted == {
        "jobs:accepted": 1, "jobs:succeeded": 1, "chunks:recorded": 2,
        "rows:scored": 6, "rows:rejected": 4, "rows:scoring_failed": 2,
    }  # fmt: skip
    assert sum(stats(store).histogram("chunk").counts) == 2
    assert sum(stats(store).histogram("job").counts) == 1


def test_jobs_that_ended_otherwise_are_counted_as_such(store: JobStore) -> None:
    store.cancel(upload(store, 1))
    store.fail(upload(store, 1), "why")
    nothing_scored = upload(store, 1)
    store.record(nothing_scored, 0, replace(SCORED, scored=0))
    before_its_end = upload(store, 1, seal=False)
    store.record(before_its_end, 0, SCORED)
    store.seal(before_its_end, total=5)
    found = totals(store)
    assert (found["jobs:accepted"], found["jobs:canceled"], found["jobs:failed"]) == (4, 1, 2)
    assert found["jobs:succeeded"] == 1


def test_a_chunk_whose_worker_died_shows_as_sent_again_and_retried(store: JobStore) -> None:
    job_id = upload(store, 1)
    store.claim(job_id, 0, "first")
    assert wait_until(store.overdue) == [ScoreChunk(job_id, 0)]
    store.claim(job_id, 0, "second")
    store.record(job_id, 0, SCORED)
    found = totals(store)
    assert (found["chunks:sent_again"], found["chunks:retried"], found["chunks:recorded"]) == (1, 1, 1)


def test_a_repeated_claim_is_not_counted_as_a_retry(store: JobStore) -> None:
    job_id = upload(store, 1)
    for _ in range(2):
        store._run("claim", job_id, job_id, 0, "task", "delivery", 5)
    assert "chunks:retried" not in totals(store)


def test_times_fall_into_the_bucket_that_holds_them(store: JobStore) -> None:
    job_id = upload(store, 1)
    created = store.redis.time()[0] - 100
    store.redis.hset(keys.job(job_id), "created", created)
    store.record(job_id, 0, SCORED)
    times = stats(store).histogram("job")
    [place] = [number for number, count in enumerate(times.counts) if count]
    assert BUCKET_SECONDS[place - 1] < 100 <= times.seconds <= BUCKET_SECONDS[place]
    forever = upload(store, 1)
    store.redis.hset(keys.job(forever), "created", 0)
    store.record(forever, 0, SCORED)
    assert stats(store).histogram("job").counts[-1] == 1


def test_waiting_work_is_counted_where_it_waits(store: JobStore) -> None:
    job_id, _ = upload(store, 4), upload(store, 1, seal=False)
    store.claim(job_id, 0, "task")
    store.redis.lpush(keys.queue(Queue.BULK), "message", "message")
    store.redis.hset(keys.job(job_id), mapping={"created": store.redis.time()[0] - 50})
    Heartbeat(store.redis, "bulk", Node("here", 1, 3)).beat()
    found = stats(store)
    assert [found.now[name] for name in ("uploading", "queued", "running")] == [1, 0, 1]
    # A window of two chunks a process: with two of the job's four, and the upload's only one, three are sent.
    assert [found.now[name] for name in ("chunks", "sent", "leased")] == [5, 3, 1]
    assert 50 <= found.now["age"] < 60
    assert found.now["silence"] < 10
    assert found.queued == {"bulk": 2, "interactive": 0}
    assert [node.processes for node in found.workers["bulk"]] == [3]


def test_predictions_are_counted_by_request_and_their_failures_by_record(store: JobStore, settings: Settings) -> None:
    predictions, names = PredictionStore(store.redis, settings), [new_id(), new_id()]
    predictions.submit({name: {"a": 1} for name in names})
    assert stats(store).now["predictions"] == 2
    for name in names:
        store.redis.zadd(keys.PREDICTIONS, {name: 0})
    assert sorted(predictions.overdue()) == sorted(names)
    failed = {"error": {"code": "scoring_failed"}}
    one, other = predictions.waiting(Predict(tuple(names)))
    predictions.finish([(one, failed), (other, {"items": [failed, {"probability": 1}, failed]})])
    found = stats(store)
    assert found.now["predictions"] == 0
    assert found.totals == {"predictions:sent_again": 2, "predictions:answered": 2, "predictions:scoring_failed": 3}


def test_totals_live_on_as_long_as_they_are_used(store: JobStore) -> None:
    upload(store, 1)
    store.redis.expire(keys.TOTALS, 60)
    upload(store, 1)
    assert store.redis.ttl(keys.TOTALS) > 30 * 86400


def test_what_versions_of_models_did_is_counted_for_each(store: JobStore, settings: Settings) -> None:
    compared = replace(NEW, id=new_id(), compared=("other", "7"))
    store.begin(compared)
    store.append(compared.id, 0, InputChunk(1, 1, b"1,2\n"))
    store.claim(compared.id, 0, "task")
    for _ in range(2):
        store.record(compared.id, 0, SCORED)
    predictions = PredictionStore(store.redis, settings)
    requests = {
        "one": {"kind": "predict", "model": "income", "version": "1", "records": [{}]},
        "two": {"kind": "predict", "model": "other", "version": "7", "records": [{}, {}, {}]},
        "look": {"kind": "preview", "model": "other", "version": "8"},
    }
    predictions.submit(requests)
    failed = {"error": {"code": "scoring_failed"}}
    answers = [{"items": [{"prediction": 1}]}, {"items": [failed, {"prediction": 1}, {"prediction": 2}]}, {}]
    waiting = predictions.waiting(Predict(tuple(requests), tuple(requests.values())))
    predictions.finish(list(zip(waiting, answers, strict=True)), seconds=0.8)
    found = {version: dict(counts) for version, counts in stats(store).models.items()}
    assert set(found) == {("income", "1"), ("other", "7")}
    for counts in found.values():
        counts.pop("chunk_milliseconds", None)
    assert found["income", "1"] == {
        "scored": 3, "rejected": 2, "chunks": 1, "answered": 1, "prediction_microseconds": 200_000,
    }  # fmt: skip
    assert found["other", "7"] == {
        "scored": 3, "rejected": 2, "chunks": 1, "answered": 2, "failed": 1, "prediction_microseconds": 600_000,
    }  # fmt: skip
    assert min(store.redis.ttl(key) for key in (keys.MODEL_TOTALS, keys.COUNTED)) > 30 * 86400


def test_of_many_versions_those_that_were_used_last_are_counted(store: JobStore, settings: Settings) -> None:
    predictions = PredictionStore(store.redis, settings)
    used = {f"v{number}@1": number + 1 for number in range(MAX_COUNTED)}
    store.redis.zadd(keys.COUNTED, used)
    store.redis.hset(keys.MODEL_TOTALS, mapping={f"{version} answered": 1 for version in used})
    request = {"kind": "predict", "model": "new", "version": "1", "records": [{}]}
    predictions.submit({"one": request})
    [waiting] = predictions.waiting(Predict(("one",), (request,)))
    predictions.finish([(waiting, {"items": [{}]})])
    assert len(stats(store).models) == MAX_COUNTED
    assert ("new", "1") in stats(store).models
    assert ("v0", "1") not in stats(store).models
