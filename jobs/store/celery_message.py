"""Celery messages as they are stored on a queue in Redis, made without Celery.

A single prediction must be stored and sent in one step and one round trip (``submit_predictions.lua``), which Celery's
``send_task`` cannot do: there, the message is only bytes among the script's arguments.

Chunk tasks are sent in the same way (``TaskSender``), for these reasons, measured with 1,000 chunks of one upload on
two cores: ``send_task`` takes 1.1 ms of CPU per message instead of 0.4 ms, needs a round trip per message instead of
one for all chunks that a window hands out, leaves the queue's list without a lifetime, and opens a second pool of
connections. The web would have to import Celery, which takes 0.4 s of the first upload. With a frozen server both give
up after ``store_timeout_seconds``.

Sources: Celery's message protocol, version 2, and kombu's virtual transports. A test compares the messages with those
that Celery itself sends.
"""

import os
import socket
import uuid
from collections.abc import Mapping
from functools import cache
from typing import Any

import orjson

from jobs.messages import Queue, Task
from jobs.tracing import HEADER, traceparent
from jobs.version import PROTOCOL

_NO_CALLBACKS = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
_PERSISTENT = 2
QUEUE_OF = {Task.SCORE_CHUNK: Queue.BULK, Task.CONVERT: Queue.BULK, Task.PREDICT: Queue.INTERACTIVE}


def encode(task: Task, arguments: Mapping[str, Any]) -> bytes:
    """Return the message that makes a worker run the task with these keyword arguments."""
    task_id = str(uuid.uuid4())
    document = {
        "body": orjson.dumps([(), arguments, _NO_CALLBACKS]).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py",
            "task": task.value,
            "id": task_id,
            "shadow": None,
            "eta": None,
            "expires": None,
            "group": None,
            "group_index": None,
            "retries": 0,
            "timelimit": [None, None],
            "root_id": task_id,
            "parent_id": None,
            "argsrepr": "()",
            "kwargsrepr": "{}",
            "origin": _origin(os.getpid()),
            "ignore_result": True,
            "replaced_task_nesting": 0,
            "stamped_headers": None,
            "stamps": {},
            # Ours: ``lua/send.lua`` puts the time here.
            "sent_at": 0,
            "protocol": PROTOCOL,
            **({HEADER: parent} if (parent := traceparent()) else {}),
        },
        "properties": {
            "correlation_id": task_id,
            "reply_to": "",
            "delivery_mode": _PERSISTENT,
            "delivery_info": {"exchange": "", "routing_key": QUEUE_OF[task].value},
            "priority": 0,
            "body_encoding": None,
            "delivery_tag": task_id,
        },
    }
    return orjson.dumps(document)


@cache
def _origin(process: int) -> str:
    return f"scoreline{process}@{socket.gethostname()}"
