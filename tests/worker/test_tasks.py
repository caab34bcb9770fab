"""What happens to the work of a process that dies, and to a chunk during a short outage of the store."""

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery.app.trace import build_tracer
from celery.signals import task_failure, worker_before_create_process, worker_process_init
from redis import ConnectionPool, Redis, UnixDomainSocketConnection
from redis.exceptions import TimeoutError as RedisTimeoutError
from structlog.testing import capture_logs

from jobs.messages import Queue, ScoreChunk
from jobs.settings import Settings
from jobs.state import JobState
from jobs.store import keys
from jobs.store.chunks import ClaimedChunk, ScoredChunk
from jobs.store.connection import connect
from jobs.store.heartbeat import Heartbeat
from jobs.store.job_store import JobStore
from jobs.store.keys import JobKeys
from jobs.store.load_failures import LoadFailures
from jobs.store.prediction_store import PredictionStore, WaitingPrediction
from jobs.store.task_sender import TaskSender
from jobs.version import PROTOCOL
from model.errors import BrokenModel
from tests.jobs.store.test_job_store import upload
from tests.stack import wait_until
from worker import tasks
from worker.load_reports import LoadReports, worker_of_child
from worker.sandbox import run_isolated

SEGFAULT, KILL = "Worker exited prematurely: signal 11 (SIGSEGV)", "Worker exited prematurely: signal 9 (SIGKILL)"
# As billiard words the ends of a process that was told to go by SIGTERM.
TERM = "Worker exited prematurely: signal 241"


@pytest.fixture
def redis(server: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A store of their own for the tasks, with short leases."""
    settings = server.model_copy(update={"lease_seconds": 0.3})
    redis: Redis = connect(settings)
    redis.flushall()
    monkeypatch.setattr(tasks, "get_settings", lambda: settings)
    for name, made in (("_store", JobStore), ("_predictions", PredictionStore), ("_sender", TaskSender)):
        monkeypatch.setattr(tasks, name, lambda made=made: made(redis, settings))
    yield redis
    redis.close()


def messages(redis: Any, queue: Queue) -> list[dict[str, Any]]:
    """What the messages on a queue ask for, the oldest first."""
    return [json.loads(json.loads(raw)["body"])[1] for raw in reversed(redis.lrange(keys.queue(queue), 0, -1))]


def lose(task: Any, exception: Exception, **arguments: Any) -> None:
    """Report a failure as Celery's main process does when a task's process has died or was killed."""
    task_failure.send(sender=task, task_id="task", exception=exception, args=(), kwargs=arguments)


@pytest.mark.parametrize(("exception", "failures"), [
    (WorkerLostError(SEGFAULT), b"1"), (TimeLimitExceeded(10), b"1"), (WorkerLostError(KILL), None),
])  # fmt: skip
def test_lost_predictions_are_sent_again_one_by_one(redis: Any, exception: Exception, failures: Any) -> None:
    tasks._predictions().submit({"one": {"large": "x" * 100_000}, "two": {}})
    [sent] = messages(redis, Queue.INTERACTIVE)
    tasks._predictions().take(["one", "two"])
    lose(tasks.predict_task, exception, **sent)
    wait_until(lambda: len(messages(redis, Queue.INTERACTIVE)) == 3)
    assert [message["ids"] for message in messages(redis, Queue.INTERACTIVE)[1:]] == [["one"], ["two"]]
    assert redis.hget(keys.prediction("one"), "failures") == failures


def claim(job_id: str, task: str = "task") -> ClaimedChunk:
    claimed = tasks._store().claim(job_id, 0, task)
    assert claimed is not None
    return claimed


@pytest.mark.parametrize(("exception", "attempt", "lost"), [
    (WorkerLostError(SEGFAULT), 2, 0), (TimeLimitExceeded(10), 2, 0), (WorkerLostError(KILL), 1, 1),
    (WorkerLostError(TERM), 1, 1),
])  # fmt: skip
def test_a_lost_chunk_is_sent_again_at_once(redis: Any, exception: Exception, attempt: int, lost: int) -> None:
    job_id = upload(tasks._store(), 1)
    claim(job_id)
    lose(tasks.score_chunk_task, exception, job_id=job_id, chunk=0)
    wait_until(lambda: messages(redis, Queue.BULK))
    again = claim(job_id, "another")
    assert (again.attempt, again.lost) == (attempt, lost)


def test_a_death_is_reported_before_the_next_process_is_forked(redis: Any) -> None:
    """The next one would inherit the locks that the report holds, and never work."""
    job_id = upload(tasks._store(), 1)
    claim(job_id)
    lose(tasks.score_chunk_task, WorkerLostError(KILL), job_id=job_id, chunk=0)
    worker_before_create_process.send(sender=None)
    assert [message["chunk"] for message in messages(redis, Queue.BULK)] == [0]


@pytest.fixture
def connecting(server: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A thread of this process that is about to connect to the store for the tasks, until the test is over."""
    connects, test_is_over = threading.Event(), threading.Event()

    class SlowConnection(UnixDomainSocketConnection):
        def __init__(self, **options: Any) -> None:
            connects.set()
            test_is_over.wait()
            super().__init__(**options)

    slow = Redis(connection_pool=ConnectionPool(connection_class=SlowConnection, path=str(server.embedded_socket)))
    clients = iter([slow])
    monkeypatch.setattr(tasks, "get_settings", lambda: server)
    monkeypatch.setattr(tasks, "connect", lambda settings, patient: next(clients, None) or connect(settings))
    forget()
    thread = threading.Thread(target=lambda: tasks._store().get("nothing"))
    thread.start()
    connects.wait()
    yield
    test_is_over.set()
    thread.join()
    forget()


def forget() -> None:
    worker_process_init.send(sender=None)


def test_a_new_process_works_whatever_the_main_process_was_doing_when_it_was_forked(connecting: None) -> None:
    """It would wait for ever for the lock of a client that a thread was using then: it has no such thread."""

    def work() -> bytes:
        worker_process_init.send(sender=None)
        return str(tasks._store().get("nothing")).encode()

    assert run_isolated([work], 10).answers == [b"None"]


def test_a_task_that_failed_by_a_fault_of_its_own_is_left_to_the_reconciler(redis: Any) -> None:
    threads = threading.active_count()
    lose(tasks.predict_task, ValueError("a fault of the task itself"), ids=["one"], requests=[{}])
    assert (threading.active_count(), messages(redis, Queue.INTERACTIVE)) == (threads, [])


def test_the_main_process_does_not_wait_for_a_store_that_hangs(
    server: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(1) as threads:
        address = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        settings = server.model_copy(update={"redis_url": address})
        hangs = connect(settings)
        for name, made in (("_store", JobStore), ("_predictions", PredictionStore)):
            monkeypatch.setattr(tasks, name, lambda made=made: made(hangs, settings))
        over = threads.submit(lose, tasks.predict_task, WorkerLostError(KILL), ids=["one"], requests=[{}])
        silent.accept()
        over.result(timeout=1)


def test_a_store_that_fails_for_a_moment_costs_a_chunk_no_lease(redis: Any) -> None:
    job_id = upload(tasks._store(), 1)
    claimed = claim(job_id)
    names = JobKeys.of(job_id)
    redis.rename(names.leases, "away")
    redis.set(names.leases, "so that asking for a lease is an error", ex=60)
    with capture_logs() as lines, tasks._lease_renewed(ScoreChunk(job_id, 0), claimed.owner):
        wait_until(lambda: any(line["event"] == "lease may run out" for line in lines))
        redis.rename("away", names.leases)
        due = redis.zscore(names.inflight, "0")
        wait_until(lambda: redis.zscore(names.inflight, "0") > due)


def score(job_id: str) -> None:
    """Run the task in this process."""
    tasks.score_chunk_task.apply(kwargs={"job_id": job_id, "chunk": 0}, throw=False)


def test_a_chunk_that_is_lost_again_and_again_fails_its_job_and_rejects_no_row(redis: Any) -> None:
    job_id = upload(tasks._store(), 1)
    redis.hset(JobKeys.of(job_id).counts, "lost:0", 21)
    score(job_id)
    job = tasks._store().get(job_id)
    assert job is not None
    assert (job.state, job.rejected) == (JobState.FAILED, 0)
    assert job.error == (
        "chunk 0 was lost 21 times with the process that scored it: "
        "workers are killed, are short of memory, or lose the store"
    )


def test_a_lack_of_system_resources_uses_up_no_attempt(redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def has_no_process_to_give(_: ClaimedChunk) -> None:
        raise BlockingIOError("Resource temporarily unavailable")

    job_id = upload(tasks._store(), 1)
    monkeypatch.setattr(tasks, "_score", has_no_process_to_give)
    score(job_id)
    wait_until(lambda: tasks._store().overdue())
    again = claim(job_id)
    assert (again.attempt, again.lost) == (1, 1)


def test_a_store_that_does_not_answer_uses_up_no_attempt(redis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def does_not_answer(*_: Any) -> None:
        raise RedisTimeoutError("Timeout reading from socket")

    job_id = upload(tasks._store(), 1)
    monkeypatch.setattr(tasks, "_score", lambda _: ScoredChunk(b"1,2,3\n", b"", 1, 0))
    with monkeypatch.context() as outage:
        outage.setattr(JobStore, "record", does_not_answer)
        score(job_id)
    wait_until(lambda: tasks._store().overdue())
    again = claim(job_id)
    assert (again.attempt, again.lost) == (1, 1)


OTHER_MESSAGES = [
    ({"protocol": PROTOCOL + 1}, {}),
    ({"protocol": PROTOCOL}, {"colour": "blue"}),
    ({}, {"chunk": 0.5}),
]


def run_as_celery_does(task: Any, headers: dict[str, Any], arguments: dict[str, Any]) -> Any:
    """What a task that came in a message with these headers returns or raises."""
    request = {"id": "task", "hostname": "box", "delivery_info": {}, **headers}
    traced = build_tracer(task.name, task, app=task.app, eager=True, propagate=True)
    return traced("task", [], arguments, request).retval


@pytest.mark.parametrize("task", [tasks.score_chunk_task, tasks.convert_task])
@pytest.mark.parametrize(("headers", "more"), OTHER_MESSAGES)
def test_a_chunk_in_a_message_of_another_version_is_left_to_others_without_an_attempt(
    redis: Any, task: Any, headers: dict[str, Any], more: dict[str, Any]
) -> None:
    job_id = upload(tasks._store(), 1)
    with capture_logs() as logs:
        assert run_as_celery_does(task, headers, {"job_id": job_id, "chunk": 0, **more}) is None
    assert [line["event"] for line in logs] == ["message left to another version"]
    assert redis.hlen(JobKeys.of(job_id).leases) == 0
    redis.zadd(JobKeys.of(job_id).inflight, {"0": 0})
    assert wait_until(tasks._store().overdue) == [ScoreChunk(job_id, 0)]
    again = claim(job_id)
    assert (again.attempt, again.lost) == (1, 0)


def test_what_is_done_or_not_about_a_chunk_at_all_stays_as_it_is(redis: Any) -> None:
    job_id = upload(tasks._store(), 1)
    claim(job_id)
    due = redis.zscore(JobKeys.of(job_id).inflight, "0")
    for arguments in ({"job_id": job_id, "chunk": 0, "more": 1}, {"job_id": "none", "chunk": 9, "more": 1}, {"x": 1}):
        run_as_celery_does(tasks.score_chunk_task, {}, arguments)
    assert redis.zscore(JobKeys.of(job_id).inflight, "0") == due
    assert redis.keys("*none*") == []


def test_a_job_that_a_newer_version_began_is_left_to_it(redis: Any) -> None:
    job_id = upload(tasks._store(), 1)
    redis.hset(keys.job(job_id), "protocol", PROTOCOL + 1)
    with capture_logs() as logs:
        for _ in range(2):
            assert tasks._store().claim(job_id, 0, "task") is None
    assert [(line["event"], line["job_id"]) for line in logs] == [("job left to another version", job_id)]
    redis.hset(keys.job(job_id), "protocol", PROTOCOL)
    again = claim(job_id)
    assert (again.attempt, again.lost) == (1, 0)


@pytest.mark.parametrize(("headers", "more"), OTHER_MESSAGES[:2])
def test_predictions_in_a_message_of_another_version_wait_for_others(
    redis: Any, headers: dict[str, Any], more: dict[str, Any]
) -> None:
    tasks._predictions().submit({"one": {"kind": "predict"}})
    [sent] = messages(redis, Queue.INTERACTIVE)
    run_as_celery_does(tasks.predict_task, headers, {**sent, **more})
    found = tasks._predictions().get("one")
    assert found is not None
    assert found.result is None
    [taken] = tasks._predictions().take(["one"])
    assert (taken.attempt, taken.lost) == (1, 0)


def test_a_version_that_cannot_be_loaded_is_told_and_once_it_can_be_no_more(
    redis: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = LoadFailures(redis)
    reports = LoadReports(failures, worker_of_child())
    monkeypatch.setattr(tasks, "_reports_of_loads", lambda: reports)
    Heartbeat(redis, Queue.BULK.value, worker_of_child()).beat()
    job_id = upload(tasks._store(), 1)

    def broken(name: str, version: str) -> Any:
        raise BrokenModel("made by a scikit-learn that is not installed")

    monkeypatch.setattr(tasks, "scorer", broken)
    run_as_celery_does(tasks.score_chunk_task, {}, {"job_id": job_id, "chunk": 0})
    [failure] = failures.all()
    assert (failure.model, failure.version, failure.reason) == (
        "income", "1", "made by a scikit-learn that is not installed",
    )  # fmt: skip
    request = {"kind": "predict", "model": "income", "version": "1", "records": [{}]}
    tasks._report_loads([(WaitingPrediction("one", 1, request), {"items": [{"prediction": "yes"}]})])
    assert failures.all() == []
    tasks._report_loads([(WaitingPrediction("one", 1, request), {"items": [{"error": {
        "code": "broken_model", "detail": "damaged"}}]})])  # fmt: skip
    assert [failure.reason for failure in failures.all()] == ["damaged"]
