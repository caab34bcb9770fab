"""Signs of life: each worker process sets a key that expires when it no longer does, so that others can tell."""

import os
import socket

from redis import Redis

from jobs import keys
from jobs.messages import Queue

ROLES = (*(queue.value for queue in Queue), "reconciler")


class SignOfLife:
    """The sign of life of this process in one role."""

    def __init__(self, redis: Redis, role: str) -> None:
        self.node = f"{socket.gethostname()}:{os.getpid()}"
        self._redis = redis
        self._key = keys.alive(role, self.node)

    def show(self) -> None:
        """Be alive for the next seconds."""
        self._redis.set(self._key, "1", ex=keys.ALIVE_SECONDS)

    def end(self) -> None:
        """Be gone from now on."""
        self._redis.unlink(self._key)


def living(redis: Redis, role: str, host: str = "*") -> int:
    """How many processes of a role show signs of life, on one host or on all."""
    return sum(1 for _ in redis.scan_iter(match=keys.alive(role, f"{host}:*" if host != "*" else "*"), count=1000))
