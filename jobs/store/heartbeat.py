"""Heartbeats: each worker and each process of a web reports every few seconds that it is alive."""

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

SCORING_ROLES = tuple(queue.value for queue in Queue)
"""Roles without which nothing is scored."""
ROLES = (*SCORING_ROLES, "reconciler", "recorder")
"""Roles of workers."""
WEB = "web"
BEATING = (*ROLES, WEB)
"""Roles of all processes that report that they are alive."""


@dataclass(frozen=True, slots=True)
class Node:
    """A live worker, or process of a web: its host, process id and number of processes."""

    host: str
    pid: int
    processes: int

    def __str__(self) -> str:
        return f"{self.name} {self.processes}"

    @property
    def name(self) -> str:
        """A unique name."""
        return f"{self.host} {self.pid}"

    @classmethod
    def of_this_process(cls, processes: int = 1) -> "Node":
        """Return the node of this process."""
        return cls(socket.gethostname(), os.getpid(), processes)


class Heartbeat:
    """Reports that a node is alive in one role."""

    def __init__(self, redis: Redis, role: str, node: Node) -> None:
        self.node = str(node)
        self._redis = redis
        self._keys = [keys.alive(role), keys.unloadable(node.name)]
        self._beat = register_script(redis, "beat")

    def beat(self) -> None:
        """Report the node as alive for the next ``ALIVE_SECONDS``."""
        self._beat(keys=self._keys, args=[self.node, keys.ALIVE_SECONDS])

    def end(self) -> None:
        """Report the node as gone."""
        self._redis.zrem(self._keys[0], self.node)

    def keep_beating(self, stop: threading.Event) -> None:
        """Beat until ``stop`` is set. Beats fail silently while the store is away."""
        while not stop.is_set():
            _ignore_errors(self.beat)
            stop.wait(keys.HEARTBEAT_SECONDS)
        _ignore_errors(self.end)


def _ignore_errors(command: Callable[[], None]) -> None:
    try:
        command()
        redis_availability.record_success()
    except RedisError as error:
        redis_availability.record_failure(error)


def living(redis: Redis, role: str) -> list[Node]:
    """Return the live nodes of a role."""
    members: Any = register_script(redis, "list_living")(keys=[keys.alive(role)])
    parts = (raw.decode().split(" ") for raw in members)
    return [Node(host, int(pid), int(processes)) for host, pid, processes in parts]
