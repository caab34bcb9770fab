"""What the reconciler sends again: chunks whose message or worker was lost, and only these."""

import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from jobs.messages import InputChunk, Queue, ScoreChunk
from jobs.settings import Settings
from jobs.store import keys
from jobs.store.chunks import ScoredChunk
from jobs.store.heartbeat import Heartbeat, Node, living
from jobs.store.job_store import JobStore
from jobs.store.keys import JobKeys
from jobs.store.task_sender import TaskSender
from tests.jobs.store.conftest import NEW, upload
from tests.stack import wait_until

SCORED = ScoredChunk(b"1,2,x\n", b"", 1, 0)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Long enough for a slow machine to send what it has handed out."""
    return settings.model_copy(update={"lease_seconds": 1.0})


@pytest.fixture
def sender(store: JobStore, settings: Settings) -> TaskSender:
    return TaskSender(store.redis, settings)


@pytest.fixture
def worker(store: JobStore, settings: Settings) -> JobStore:
    """The same store as a worker sees it whose leases outlast the test."""
    return JobStore(store.redis, settings.model_copy(update={"lease_seconds": 600}))


def upload_and_send(store: JobStore, sender: TaskSender, chunks: list[int]) -> str:
    """Upload a job of two chunks, of which both are handed out, and send these."""
    job_id = upload(store, 2)
    sender.score_chunks(job_id, chunks)
    return job_id


def receive(store: JobStore) -> dict[str, Any]:
    """Take the oldest message from the queue, as a worker does, and return the arguments of its task."""
    message = json.loads(store.redis.rpop(keys.queue(Queue.BULK)))
    arguments: dict[str, Any] = json.loads(message["body"])[1]
    return arguments


def let_all_become_due(store: JobStore, job_id: str) -> None:
    """Let so much time pass that everything which the job has in flight would be due again."""
    latest = store.redis.zrange(JobKeys.of(job_id).inflight, -1, -1, withscores=True)[0][1]

    def is_over() -> bool:
        seconds, microseconds = store.redis.time()
        return bool(seconds + microseconds / 1_000_000 > latest)

    wait_until(is_over)


def test_messages_that_wait_in_the_queue_are_not_sent_again(
    store: JobStore, worker: JobStore, sender: TaskSender
) -> None:
    jobs = [upload_and_send(store, sender, [0, 1]) for _ in range(3)]
    let_all_become_due(store, jobs[-1])
    assert store.overdue() == []
    # A worker takes the first message and has not come to its chunk yet; then it has.
    assert receive(store) == {"job_id": jobs[0], "chunk": 0}
    assert store.overdue() == []
    assert worker.claim(jobs[0], 0, "task") is not None
    assert store.overdue() == []


def test_one_lost_message_does_not_send_the_others_again(store: JobStore, worker: JobStore, sender: TaskSender) -> None:
    lucky, unlucky = upload_and_send(store, sender, [0, 1]), upload_and_send(store, sender, [1])
    let_all_become_due(store, unlucky)
    assert store.overdue() == [], "that of the last chunk may still wait behind others"
    for job_id, chunk in ((lucky, 0), (lucky, 1), (unlucky, 1)):
        assert receive(store) == {"job_id": job_id, "chunk": chunk}
        assert worker.claim(job_id, chunk, "task") is not None
    with capture_logs() as lines:
        assert wait_until(store.overdue) == [ScoreChunk(unlucky, 0)]
    assert [(line["event"], line["job_id"], line["chunk"]) for line in lines] == [("chunk sent again", unlucky, 0)]


def test_a_message_whose_time_is_unknown_is_waited_for(store: JobStore) -> None:
    """As one that a version before has sent."""
    job_id = upload(store, 1)
    store.redis.lpush(keys.queue(Queue.BULK), "message")
    let_all_become_due(store, job_id)
    assert store.overdue() == []
    store.redis.rpop(keys.queue(Queue.BULK))
    assert wait_until(store.overdue) == [ScoreChunk(job_id, 0)]


def test_a_job_that_gets_a_wider_window_is_not_said_to_be_sent_again(store: JobStore, settings: Settings) -> None:
    job_id = upload(store, 5)
    for pid in (1, 2):
        Heartbeat(store.redis, "bulk", Node("here", pid, 2)).beat()
    with capture_logs() as lines:
        assert JobStore(store.redis, settings).overdue() == [ScoreChunk(job_id, chunk) for chunk in (2, 3, 4)]
    assert lines == []


def test_live_workers_widen_the_window(store: JobStore, settings: Settings) -> None:
    for pid in (1, 2):
        Heartbeat(store.redis, "bulk", Node("here", pid, 3)).beat()
    assert [node.pid for node in living(store.redis, "bulk")] == [1, 2]
    store.overdue()
    wide = JobStore(store.redis, settings)
    wide.begin(NEW)
    sent = [wide.append(NEW.id, number, InputChunk(number + 1, 1, b"x\n")) for number in range(14)]
    assert sum(map(len, sent)) == 12
    Heartbeat(store.redis, "bulk", Node("here", 1, 3)).end()
    assert [node.pid for node in living(store.redis, "bulk")] == [2]


def test_jobs_share_the_window_while_the_workers_have_enough_to_do(
    store: JobStore, settings: Settings, sender: TaskSender
) -> None:
    Heartbeat(store.redis, "bulk", Node("here", 1, 4)).beat()
    store.overdue()
    wide = JobStore(store.redis, settings)
    first = upload(wide, 20)
    sender.score_chunks(first, range(8))
    others = [upload(wide, 20) for _ in range(3)]
    assert [store.redis.zcard(JobKeys.of(job_id).inflight) for job_id in (first, *others)] == [8, 4, 3, 2]
    assert wide.record(first, 0, SCORED) == [], "it has more than its share, which is two by now"
    while store.redis.llen(keys.queue(Queue.BULK)) >= 4:
        receive(store)
    assert wide.record(others[0], 0, SCORED) == list(range(4, 9)), "soon the workers would have nothing to do"


def test_many_jobs_are_looked_at(store: JobStore) -> None:
    jobs = [upload(store, 1) for _ in range(120)]
    let_all_become_due(store, jobs[-1])
    store.overdue()
    let_all_become_due(store, jobs[-1])
    assert {message.job_id for message in store.overdue()} == set(jobs)


def test_a_server_whose_clock_is_behind_does_not_keep_chunks_waiting(store: JobStore) -> None:
    """As one that takes over from a primary whose clock was an hour ahead."""
    job_id = upload(store, 1)
    store.redis.zadd(JobKeys.of(job_id).inflight, {"0": store.redis.time()[0] + 3600})
    assert wait_until(store.overdue) == [ScoreChunk(job_id, 0)]
