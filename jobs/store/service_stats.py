"""How the service as a whole is, as the store knows it: what waits, what has been done since it was first used."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redis import Redis

from jobs.messages import Queue
from jobs.store import keys
from jobs.store.heartbeat import ROLES, Node, living
from jobs.store.keys import JobKeys
from jobs.store.scripts import register_script

# As in totals.lua: each bucket is twice as long as the one before, and the last holds whatever is longer.
BUCKET_SECONDS = tuple(0.01 * 2**number for number in range(21))


@dataclass(frozen=True, slots=True)
class Histogram:
    """Times: how many were in each bucket of ``BUCKET_SECONDS`` and beyond the last, and their sum in seconds."""

    counts: tuple[int, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class ServiceStats:
    """Numbers of one moment (``now``), totals since the service was first used, and the workers that live, by role."""

    now: Mapping[str, float]
    totals: Mapping[str, int]
    queued: Mapping[str, int]
    workers: Mapping[str, list[Node]]
    memory: Mapping[str, Any]

    def total(self, name: str) -> int:
        """How often something has happened."""
        return self.totals.get(name, 0)

    def histogram(self, name: str) -> Histogram:
        """The times of what has been measured under this name."""
        counts = tuple(self.total(f"{name}:bucket:{number}") for number in range(len(BUCKET_SECONDS) + 1))
        return Histogram(counts, self.total(f"{name}:milliseconds") / 1000)


def read_service_stats(redis: Redis) -> ServiceStats:
    """Ask the store; a few round trips.

    Raises:
        RedisError: when the store does not answer.
    """
    queues = {queue.value: keys.queue(queue) for queue in Queue}
    chunks = JobKeys.of("")
    suffixes = [name.removeprefix(chunks.job) for name in (chunks.inflight, chunks.leases)]
    found: Any = register_script(redis, "service_stats")(
        keys=[keys.TOTALS, keys.UNFINISHED, keys.PREDICTIONS, *queues.values()], args=[chunks.job, *suffixes]
    )
    numbers = {name.decode(): float(number) for name, number in zip(found[::2], found[1::2], strict=True)}
    memory: Any = redis.info("memory", "persistence")
    return ServiceStats(
        now={name: number for name, number in numbers.items() if ":" not in name},
        totals={n.removeprefix("total:"): int(value) for n, value in numbers.items() if n.startswith("total:")},
        queued={queue: int(numbers[key]) for queue, key in queues.items()},
        workers={role: living(redis, role) for role in ROLES},
        memory=memory,
    )
