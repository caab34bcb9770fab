"""What becomes of single predictions when the process that works on them is lost."""

import json

import pytest
from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery.signals import task_failure

from jobs import keys
from jobs.connection import connect
from jobs.messages import Queue
from jobs.predictions import PredictionStore
from jobs.queue import TaskSender
from jobs.settings import Settings
from worker import tasks


@pytest.mark.parametrize(("exception", "again"), [
    (WorkerLostError(), [["one"], ["two"]]),
    (TimeLimitExceeded(), [["one"], ["two"]]),
    (ValueError("a fault of the task itself"), []),
])  # fmt: skip
def test_a_lost_task_is_asked_for_again_one_by_one(
    server: Settings, monkeypatch: pytest.MonkeyPatch, exception: Exception, again: list[list[str]]
) -> None:
    redis = connect(server)
    redis.flushall()
    monkeypatch.setattr(tasks, "_predictions", lambda: PredictionStore(redis, server))
    monkeypatch.setattr(tasks, "_sender", lambda: TaskSender(redis, server))
    arguments = {"ids": ["one", "two"], "requests": [{}, {}]}
    task_failure.send(sender=tasks.predict_task, exception=exception, args=(), kwargs=arguments)
    messages = redis.lrange(keys.queue(Queue.INTERACTIVE), 0, -1)
    assert isinstance(messages, list)
    assert [json.loads(json.loads(raw)["body"])[1]["ids"] for raw in reversed(messages)] == again
    redis.close()
