"""Jobs, predictions and messages on each server that is supported, with only the rights that are documented."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from jobs.messages import CorrectedRows, InputChunk, Queue, Rejects, ScoreChunk
from jobs.settings import Settings
from jobs.state import JobState
from jobs.store import keys
from jobs.store.chunks import Corrections, ScoredChunk
from jobs.store.connection import connect
from jobs.store.heartbeat import Heartbeat, Node, living
from jobs.store.idempotency import IdempotencyKey
from jobs.store.job_store import JobStore
from jobs.store.outbox import Outbox
from jobs.store.prediction_store import PredictionStore
from jobs.store.server_check import StoreCheck
from jobs.store.service_stats import read_service_stats
from jobs.store.task_sender import TaskSender
from tests.jobs.store.conftest import found, upload
from tests.jobs.store.test_topologies import received_by_celery
from tests.servers import KINDS, Server, binary_of, running
from tests.stack import ROOT

USER = re.search(r"^user (scoreline) on >(secret) (.+)$", (ROOT / "docs/store.md").read_text(), re.MULTILINE)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A server of each kind, with the documented user."""
    assert USER
    name, password, rights = USER.groups()
    with running(binary_of(request.param), tmp_path) as server:
        with server.client as redis:
            redis.execute_command("ACL", "SETUSER", name, "on", f">{password}", *rights.split())
        yield server


@pytest.fixture
def own(kind: Server) -> Settings:
    return Settings(redis_url=f"redis://scoreline:secret@{kind.address}/0", lease_seconds=30)


@pytest.fixture
def redis(own: Settings) -> Iterator[Redis]:
    with connect(own, patient=True) as redis:
        yield redis


def test_all_is_allowed_and_works(kind: Server, own: Settings, redis: Redis) -> None:
    assert StoreCheck(redis, own).faults() == []
    score_a_job(JobStore(redis, own), TaskSender(redis, own), own)
    predict(PredictionStore(redis, own))
    watch(redis)
    with kind.client as administrator:
        denied = {entry["object"] for entry in administrator.acl_log()}
    assert denied <= {keys.FORMER_TOTALS}, "keys of a former version are nothing that is needed"


def score_a_job(store: JobStore, sender: TaskSender, settings: Settings) -> None:
    """A job from its upload to its corrections, with a message through Celery."""
    key = IdempotencyKey(store.redis, settings, "key")
    assert key.begin() is None
    store.check_room()
    job_id = upload(store, 2, seal=False)
    store.touch(job_id)
    store.seal(job_id, key.key, total=2, fingerprint="f", chunks=2)
    assert key.begin() is not None
    sender.score_chunks(job_id, [0])
    assert received_by_celery(settings) == ScoreChunk(job_id, 0).encode()
    claimed = store.claim(job_id, 0, "task")
    assert claimed is not None
    assert store.renew(job_id, 0, claimed.owner)
    assert store.release(job_id, 0, claimed.owner)
    assert store.overdue() == []
    for chunk in (0, 1):
        rejected = ScoredChunk(b"1,2,\n", b"%d,a,x,y,z,1,2\n" % (chunk + 1), 0, 1, originals={0: b"1,2\n"})
        store.record(job_id, chunk, rejected)
    assert found(store, job_id).state is JobState.SUCCEEDED
    assert Rejects.decode(store.rejects(job_id, 1) or b"").originals == {0: b"1,2\n"}
    store.check_copy(job_id)
    assert store.correct("c" * 32, Corrections(job_id, {1: CorrectedRows((2,), b"1,2\n")})) == [1]
    store.cancel("c" * 32)
    assert [job.id for job in store.page(10, None, None)] == ["c" * 32, job_id]
    store.remove(job_id)
    expired = upload(store, 1, seal=False)
    store.abandon(expired)
    with pytest.raises(Exception, match="timed out"):
        store.append(expired, 1, InputChunk(2, 1, b"1,2\n"))


def predict(store: PredictionStore) -> None:
    """A prediction from its request to its answer."""
    store.submit({"p": {"kind": "predict", "reply_to": "web"}})
    store.redis.rpop(keys.queue(Queue.INTERACTIVE))
    [waiting] = store.take(["p"])
    assert store.release(["p"], failed=False) == ["p"]
    assert store.overdue() == []
    store.finish([(waiting, {"prediction": 1})])
    assert store.await_reply(["web"], 5) == {"p": {"prediction": 1}}
    assert (stored := store.get("p"))
    assert stored.result == {"prediction": 1}
    store.forget(["p"])


def watch(redis: Any) -> None:
    """Heartbeats, figures, the outbox, and a subscription."""
    heartbeat = Heartbeat(redis, Queue.BULK.value, Node("here", 1, 2))
    heartbeat.beat()
    assert [node.pid for node in living(redis, Queue.BULK.value)] == [1]
    assert read_service_stats(redis).total("jobs:succeeded") == 1
    heartbeat.end()
    outbox = Outbox(redis, 0.8)
    assert outbox.is_turn_to_record("here")
    entries = outbox.read(10, 10**6)
    assert entries
    outbox.remove(entries)
    outbox.report(None)
    with redis.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.subscribe(keys.changes("job"))
        pubsub.get_message(timeout=5)
        redis.publish(keys.changes("job"), "")
        assert pubsub.get_message(timeout=5)["channel"] == keys.changes("job").encode()
