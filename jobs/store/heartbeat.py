"""Heartbeats: each worker says every second that it lives, so that others can tell when it no longer does."""

import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from jobs.availability import redis_availability
from jobs.messages import Queue
from jobs.store import keys
from jobs.store.scripts import register_script

_EVERY_SECONDS = 1.0
ROLES = (*(queue.value for queue in Queue), "reconciler")


@dataclass(frozen=True, slots=True)
class Node:
    """A living worker: its host, its process id, and how many processes it works with."""

    host: str
    pid: int
    processes: int

    def __str__(self) -> str:
        return f"{self.name} {self.processes}"

    @property
    def name(self) -> str:
        """What tells it from all others."""
        return f"{self.host} {self.pid}"

    @classmethod
    def of_this_process(cls, processes: int = 1) -> "Node":
        """This process."""
        return cls(socket.gethostname(), os.getpid(), processes)


class Heartbeat:
    """The sign of life of a node in one role."""

    def __init__(self, redis: Redis, role: str, node: Node) -> None:
        self.node = str(node)
        self._redis = redis
        self._key = keys.alive(role)
        self._beat = register_script(redis, "beat")

    def beat(self) -> None:
        """Be alive for the next seconds."""
        self._beat(keys=[self._key], args=[self.node, keys.ALIVE_SECONDS])

    def end(self) -> None:
        """Be gone from now on."""
        self._redis.zrem(self._key, self.node)

    def keep_beating(self, over: threading.Event) -> None:
        """Be alive until that is over. The store may be away for a while: the sign then just comes later."""
        while not over.is_set():
            _quietly(self.beat)
            over.wait(_EVERY_SECONDS)
        _quietly(self.end)


def _quietly(act: Callable[[], None]) -> None:
    try:
        act()
        redis_availability.record_success()
    except RedisError as error:
        redis_availability.record_failure(error)


def living(redis: Redis, role: str) -> list[Node]:
    """The nodes of a role that show signs of life."""
    found: Any = register_script(redis, "list_living")(keys=[keys.alive(role)])
    parts = (raw.decode().split(" ") for raw in found)
    return [Node(host, int(pid), int(processes)) for host, pid, processes in parts]
