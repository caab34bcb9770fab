"""Which live workers cannot load which versions of models, and why; told with their heartbeats."""

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from jobs.store import keys
from jobs.store.heartbeat import SCORING_ROLES, Node
from jobs.store.scripts import register_script

_MAX_REASON = 300
# A worker may tell what it cannot load before its first heartbeat, from which on the key lives as long as it does.
_STARTING_SECONDS = 300
_CACHED_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class LoadFailure:
    """A version that a worker of a host cannot load."""

    host: str
    role: str
    model: str
    version: str
    reason: str


class LoadFailures:
    """The failures in Redis."""

    def __init__(self, redis: Redis) -> None:
        self._redis: Any = redis
        self._known: list[LoadFailure] = []
        self._read_again = 0.0

    def report(self, node: Node, model: str, version: str, reason: str) -> None:
        """Note that a worker cannot load a version. One round trip."""
        key = keys.unloadable(node.name)
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(key, f"{model}@{version}", " ".join(reason.split())[:_MAX_REASON])
            pipe.expire(key, _STARTING_SECONDS, nx=True)
            pipe.execute()

    def clear(self, node: Node, model: str, version: str) -> None:
        """Note that a worker can load a version. One round trip."""
        self._redis.hdel(keys.unloadable(node.name), f"{model}@{version}")

    def of_node(self, node: Node) -> set[tuple[str, str]]:
        """Return names and versions of the models that a worker has reported. One round trip."""
        return {_split(raw) for raw in self._redis.hkeys(keys.unloadable(node.name))}

    def all(self) -> list[LoadFailure]:
        """Return the failures of all live workers, in a stable order. A few round trips.

        Raises:
            RedisError: the store does not answer.
        """
        with self._redis.pipeline(transaction=False) as pipe:
            for role in SCORING_ROLES:
                register_script(pipe, "list_living")(keys=[keys.alive(role)])
            living = pipe.execute()
            nodes = [
                (role, *member.decode().split(" ")[:2])
                for role, members in zip(SCORING_ROLES, living, strict=True)
                for member in members
            ]
            for _, host, pid in nodes:
                pipe.hgetall(keys.unloadable(f"{host} {pid}"))
            told = pipe.execute()
        failures = {
            LoadFailure(host, role, *_split(raw), reason.decode())
            for (role, host, _), reasons in zip(nodes, told, strict=True)
            for raw, reason in reasons.items()
        }
        return sorted(failures, key=lambda failure: (failure.model, failure.version, failure.host, failure.role))

    def of_model(self, model: str) -> list[LoadFailure]:
        """Return the failures of a model as they were a few seconds ago at most; while the store is away, the last."""
        if time.monotonic() > self._read_again:
            self._read_again = time.monotonic() + _CACHED_SECONDS
            with suppress(RedisError):
                self._known = self.all()
        return [failure for failure in self._known if failure.model == model]


def _split(raw: bytes) -> tuple[str, str]:
    model, _, version = raw.decode().rpartition("@")
    return model, version
