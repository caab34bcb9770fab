"""The messages that web and workers send are the ones that Celery itself would send."""

import json
from typing import Any

import pytest
from celery import Celery
from kombu.message import Message
from kombu.transport import virtual

from jobs.messages import Predict, ScoreChunk, Task
from jobs.settings import Settings
from jobs.store.celery_message import QUEUE_OF, encode
from worker.celery_app import create_celery


def sent_by_celery(app: Celery, task: Task, arguments: dict[str, Any]) -> dict[str, Any]:
    """What Celery puts on the queue, on a transport in memory."""
    app.conf.update(broker_url="memory://", broker_transport_options={})
    app.send_task(task.value, kwargs=arguments, ignore_result=True)
    with app.connection_for_read() as connection:
        raw: dict[str, Any] = connection.default_channel._get(QUEUE_OF[task].value)
    return raw


@pytest.mark.parametrize(("task", "arguments"), [
    (Task.SCORE_CHUNK, ScoreChunk("job", 7).encode()),
    (Task.PREDICT, Predict(("one", "two")).encode()),
])  # fmt: skip
def test_a_message_equals_the_one_that_celery_makes(task: Task, arguments: dict[str, Any]) -> None:
    theirs = sent_by_celery(create_celery(Settings()), task, arguments)
    ours = json.loads(encode(task, arguments))
    assert body(ours) == body(theirs) == [[], json.loads(json.dumps(arguments)), body(theirs)[2]]
    assert ours["headers"].keys() - {"sent_at", "protocol"} == theirs["headers"].keys()
    assert ours["properties"].keys() == theirs["properties"].keys()
    for name in ("lang", "task", "eta", "expires", "retries", "timelimit", "ignore_result", "parent_id"):
        assert ours["headers"][name] == theirs["headers"][name]
    for name in ("delivery_info", "delivery_mode", "priority"):
        assert ours["properties"][name] == theirs["properties"][name]
    assert ours["headers"]["id"] == ours["headers"]["root_id"] == ours["properties"]["correlation_id"]
    assert (ours["content-type"], ours["content-encoding"]) == (theirs["content-type"], theirs["content-encoding"])


def body(raw: dict[str, Any]) -> Any:
    """A message's body as a worker reads it."""
    message: Message = virtual.Message(json.loads(json.dumps(raw)), channel=virtual.Channel.__new__(virtual.Channel))
    return message.decode()


def test_no_two_messages_share_an_id() -> None:
    messages = [json.loads(encode(Task.PREDICT, {})) for _ in range(100)]
    assert len({message["headers"]["id"] for message in messages}) == 100
