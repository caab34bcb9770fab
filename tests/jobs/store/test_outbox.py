"""The outbox: written together with what it tells of, read in order, and never without end."""

from collections.abc import Iterator
from dataclasses import replace

import orjson
import pytest

from jobs.settings import Settings
from jobs.store import keys, scripts
from jobs.store.chunks import ScoredChunk
from jobs.store.connection import connect
from jobs.store.job_store import JobStore
from jobs.store.outbox import Outbox
from jobs.store.prediction_store import PredictionStore, new_id
from tests.jobs.store.conftest import NEW, found, upload

SCORED = ScoredChunk(b"1,2,x\n", b"", 1, 0, summary={"prediction:x": 1, "drift:a:größe": 1})
REQUEST = {"kind": "predict", "model": "income", "version": "1", "records": [{"values": {"a": 1}}], "several": False}
ANSWER = {"items": [{"prediction": "x", "probability": 0.25}], "model": "income", "version": "1", "several": False}


@pytest.fixture
def outbox(store: JobStore) -> Outbox:
    return Outbox(store.redis, 0.8)


def score(store: JobStore, job_id: str) -> None:
    assert store.claim(job_id, 0, "task")
    store.record(job_id, 0, SCORED)


def test_a_job_that_ends_is_told_of_once_with_its_counts_and_summary(store: JobStore, outbox: Outbox) -> None:
    job_id = upload(store, 1)
    assert outbox.read(10, 1000) == []
    score(store, job_id)
    store.record(job_id, 0, SCORED)
    store.cancel(job_id)
    [entry] = outbox.read(10, 1000)
    job = found(store, job_id)
    fields = entry.fields
    assert (fields["kind"], fields["id"], fields["state"]) == ("job", job_id, "succeeded")
    assert (fields["model"], fields["version"], fields["filename"]) == (job.model, job.version, job.filename)
    assert (fields["total"], fields["scored"], fields["rejected"], fields["owner"]) == ("1", "1", "0", "")
    assert float(fields["finished"]) == job.finished
    flat = orjson.loads(fields["summary"])
    assert dict(zip(flat[::2], map(int, flat[1::2]), strict=True)) == store.summary(job_id)


def test_a_job_that_is_deleted_before_it_is_read_is_still_told_of(store: JobStore, outbox: Outbox) -> None:
    job_id = upload(store, 1)
    score(store, job_id)
    store.remove(job_id)
    assert [entry.fields["id"] for entry in outbox.read(10, 1000)] == [job_id]


def test_an_upload_that_never_became_a_job_is_not_told_of(store: JobStore, outbox: Outbox) -> None:
    failed, unsealed = upload(store, 1, seal=False), upload(store, 1, seal=False)
    store.fail(failed, "no worker can load the model")
    store.fail(unsealed, "no worker can load the model")
    assert outbox.read(10, 1000) == []
    store.seal(failed, total=1)
    [entry] = outbox.read(10, 1000)
    assert (entry.fields["id"], entry.fields["state"]) == (failed, "failed")
    assert entry.fields["error"] == "no worker can load the model"


def test_a_job_streamed_while_it_uploads_is_told_of(store: JobStore, outbox: Outbox) -> None:
    new = replace(NEW, shown=True)
    store.begin(new)
    store.cancel(new.id)
    [entry] = outbox.read(10, 1000)
    assert (entry.fields["id"], entry.fields["state"], entry.fields["total"]) == (new.id, "canceled", "")


def test_entries_are_read_in_order_up_to_a_size_and_go_when_they_are_recorded(store: JobStore, outbox: Outbox) -> None:
    ids = [upload(store, 1) for _ in range(5)]
    for job_id in ids:
        store.cancel(job_id)
    first = outbox.read(10, 1)
    assert [entry.fields["id"] for entry in first] == ids[:1]
    assert [entry.fields["id"] for entry in outbox.read(3, 100_000)] == ids[:3]
    outbox.remove(outbox.read(3, 100_000), failed=1)
    assert [entry.fields["id"] for entry in outbox.read(10, 100_000)] == ids[3:]
    stats = outbox.stats()
    assert (stats.waiting, stats.recorded, stats.failed, stats.dropped) == (2, 2, 1, 0)
    assert store.redis.ttl(keys.OUTBOX) > 0


def test_while_nobody_reads_the_oldest_entries_give_way(
    store: JobStore, settings: Settings, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = f"local OUTBOX, OUTBOX_ENTRIES, OUTBOX_SECONDS = '{keys.OUTBOX}', 3, 60\n"
    monkeypatch.setattr(scripts, "_CONSTANTS", scripts._CONSTANTS + full)
    small = JobStore(store.redis, settings)
    ids = [upload(small, 1) for _ in range(5)]
    for job_id in ids:
        small.cancel(job_id)
    assert [entry.fields["id"] for entry in outbox.read(10, 100_000)] == ids[2:]
    assert outbox.stats().dropped == 2


def test_a_store_short_of_memory_keeps_jobs_rather_than_history(store: JobStore) -> None:
    for _ in range(20):
        store.cancel(upload(store, 1))
    assert Outbox(store.redis, 1.0).make_room() == 0
    assert Outbox(store.redis, 0.0).make_room() == 2
    stats = Outbox(store.redis, 1.0).stats()
    assert (stats.waiting, stats.dropped) == (18, 2)


def changes(store: JobStore) -> int:
    return int(store.redis.info("persistence")["rdb_changes_since_last_save"])


def test_one_recorder_has_the_turn_and_keeps_it_with_few_writes(store: JobStore, outbox: Outbox) -> None:
    assert outbox.is_turn_to_record("here")
    before = changes(store)
    assert outbox.is_turn_to_record("here")
    assert not outbox.is_turn_to_record("there")
    assert changes(store) == before
    store.redis.pexpire(keys.RECORDER, 3000)
    assert outbox.is_turn_to_record("here")
    assert store.redis.ttl(keys.RECORDER) > 3
    store.redis.delete(keys.RECORDER)
    assert outbox.is_turn_to_record("there")


@pytest.fixture
def predictions(server: Settings) -> Iterator[PredictionStore]:
    redis = connect(server)
    redis.flushall()
    yield PredictionStore(redis, server)
    redis.close()


def answer(predictions: PredictionStore, *requests: dict[str, object]) -> list[str]:
    """Submit requests and answer them twice, as two workers might."""
    named = {new_id(): request for request in requests}
    predictions.submit(named)
    waiting = predictions.take(list(named))
    for _ in range(2):
        predictions.finish([(prediction, ANSWER) for prediction in waiting])
    return list(named)


def test_an_answered_prediction_is_told_of_once_with_record_and_answer(predictions: PredictionStore) -> None:
    ids = answer(predictions, REQUEST, {**REQUEST, "reply_to": "me"})
    entries = Outbox(predictions.redis, 0.8).read(10, 100_000)
    assert {entry.fields["id"] for entry in entries} == set(ids)
    assert orjson.loads(entries[0].fields["result"]) == ANSWER
    assert orjson.loads(entries[0].fields["request"])["records"] == REQUEST["records"]
    assert abs(entries[0].time - predictions.redis.time()[0]) < 60


def test_previews_and_what_a_page_tries_out_have_no_history(predictions: PredictionStore) -> None:
    answer(predictions, {**REQUEST, "kind": "preview"}, {**REQUEST, "transient": True})
    assert Outbox(predictions.redis, 0.8).read(10, 100_000) == []


def test_records_and_answers_do_not_enter_the_outbox_where_they_are_not_kept(server: Settings) -> None:
    redis = connect(server)
    redis.flushall()
    answer(PredictionStore(redis, server.model_copy(update={"history_records": "off"})), {**REQUEST, "owner": "ann"})
    [entry] = Outbox(redis, 0.8).read(10, 100_000)
    assert set(entry.fields) == {"kind", "id", "brief"}
    assert orjson.loads(entry.fields["brief"]) == {
        "model": "income", "version": "1", "owner": "ann", "several": False, "predictions": ["x"],
    }  # fmt: skip
    redis.close()
