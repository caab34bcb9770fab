"""State of the whole service as the store knows it: what is waiting now, and totals since it was first used."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redis import Redis

from jobs.messages import Queue
from jobs.store import keys
from jobs.store.heartbeat import ROLES, Node, living
from jobs.store.keys import JobKeys
from jobs.store.scripts import BUCKETS, SHORTEST_BUCKET_MS, register_script

BUCKET_SECONDS = tuple(SHORTEST_BUCKET_MS / 1000 * 2**number for number in range(BUCKETS))
"""Upper bounds of the buckets in which ``lua/totals.lua`` counts durations."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Durations: counts by bucket of ``BUCKET_SECONDS``, the last for longer ones, and their sum in seconds."""

    counts: tuple[int, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class ServiceStats:
    """Current numbers (``now``), totals since the service was first used, and live workers by role.

    ``models`` are totals by name and version of a model, of the versions that were used last.
    """

    now: Mapping[str, float]
    totals: Mapping[str, int]
    queued: Mapping[str, int]
    workers: Mapping[str, list[Node]]
    models: Mapping[tuple[str, str], Mapping[str, int]]
    memory: Mapping[str, Any]

    def total(self, name: str) -> int:
        """Return a total by its name."""
        return self.totals.get(name, 0)

    def histogram(self, name: str) -> Histogram:
        """Return the histogram of durations with this name."""
        counts = tuple(self.total(f"{name}:bucket:{number}") for number in range(len(BUCKET_SECONDS) + 1))
        return Histogram(counts, self.total(f"{name}:milliseconds") / 1000)


def read_service_stats(redis: Redis) -> ServiceStats:
    """Read the stats from the store. A few round trips.

    Raises:
        RedisError: the store does not answer.
    """
    queues = {queue.value: keys.queue(queue) for queue in Queue}
    chunks = JobKeys.of("")
    suffixes = [name.removeprefix(chunks.job) for name in (chunks.inflight, chunks.leases)]
    reply: Any = register_script(redis, "service_stats")(
        keys=[keys.TOTALS, keys.UNFINISHED, keys.PREDICTIONS, *queues.values()], args=[chunks.job, *suffixes]
    )
    numbers = {name.decode(): float(number) for name, number in zip(reply[::2], reply[1::2], strict=True)}
    memory: Any = redis.info("memory", "persistence")
    return ServiceStats(
        now={name: number for name, number in numbers.items() if ":" not in name},
        totals={n.removeprefix("total:"): int(value) for n, value in numbers.items() if n.startswith("total:")},
        queued={queue: int(numbers[key]) for queue, key in queues.items()},
        workers={role: living(redis, role) for role in ROLES},
        models=_model_totals(redis),
        memory=memory,
    )


def _model_totals(redis: Redis) -> dict[tuple[str, str], dict[str, int]]:
    stored: Any = redis.hgetall(keys.MODEL_TOTALS)
    totals: dict[tuple[str, str], dict[str, int]] = {}
    for raw, number in stored.items():
        named, _, total = raw.decode().rpartition(" ")
        name, _, version = named.rpartition("@")
        totals.setdefault((name, version), {})[total] = int(number)
    return totals
