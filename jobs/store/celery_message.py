"""Celery's message as it lies on a queue in Redis, made without Celery.

Publishing through Celery costs a millisecond, and a round trip of its own; a message that is only bytes travels with
what it is about. Sources: Celery's message protocol, version 2, and kombu's virtual transports. A test holds this
against what Celery itself sends.
"""

import os
import socket
import uuid
from collections.abc import Mapping
from functools import cache
from typing import Any

import orjson

from jobs.messages import Queue, Task

_NO_CALLBACKS = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
_PERSISTENT = 2
QUEUE_OF = {Task.SCORE_CHUNK: Queue.BULK, Task.PREDICT: Queue.INTERACTIVE}


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
