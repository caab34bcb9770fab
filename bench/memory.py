"""Memory of each of our processes and in the store during the largest job, and who uses the processors."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil
from redis import Redis
from redis.exceptions import RedisError

from bench import transfer
from bench.bulk import warm
from bench.data import census_file
from bench.mixed import ended_job, start_job
from bench.options import Options
from bench.progress import say
from bench.servers import Scoreline
from bench.spreads import Numbers

_EVERY_SECONDS = 0.1


def run(options: Options) -> Numbers:
    """Peak resident memory by role, bytes in the store per row, and processor seconds by role."""
    rows = options.largest
    source = census_file(rows)
    with warm() as service, service.redis() as redis:
        service.settle()
        before, used = _used_memory(redis), processor_seconds(service)
        with _sampled(service) as peaks:
            done = ended_job(start_job(service, "job", source))
        spent = {role: seconds - used.get(role, 0.0) for role, seconds in processor_seconds(service).items()}
        after = _used_memory(redis)
        transfer.delete(service.port, done["job"])
    store = peaks.pop("store")
    say(f"memory: {rows:,} rows: " + ", ".join(f"{role} {peak / 2**20:.0f} MiB" for role, peak in peaks.items()))
    return {
        "rows": rows,
        "seconds": done["seconds"],
        "peak_bytes": peaks,
        "store_bytes_a_row": {"kept": (after - before) / rows, "peak": (max(store, after) - before) / rows},
        "processor_seconds": spent,
    }


@contextmanager
def _sampled(service: Scoreline) -> Iterator[dict[str, float]]:
    """Sample the service in a thread; the peaks of the largest process of each role, and of the store's data."""
    peaks: dict[str, float] = {"store": 0.0}
    over = threading.Event()

    def sample() -> None:
        with service.redis() as redis:
            roles, looked = service.roles(), time.monotonic()
            while not over.wait(_EVERY_SECONDS):
                # Finding all processes takes longer than asking those that are known.
                if time.monotonic() - looked > 2:
                    roles, looked = service.roles(), time.monotonic()
                for role, process in roles:
                    with suppress(psutil.Error):
                        peaks[role] = max(peaks.get(role, 0.0), process.memory_info().rss)
                with suppress(RedisError):
                    peaks["store"] = max(peaks["store"], _used_memory(redis))

    sampler = threading.Thread(target=sample, name="sampler", daemon=True)
    sampler.start()
    try:
        yield peaks
    finally:
        over.set()
        sampler.join(10)


def _used_memory(redis: Redis) -> int:
    info: dict[str, Any] = redis.info("memory")
    return int(info["used_memory"])


def all_processor_seconds(service: Scoreline) -> float:
    """Processor seconds of the service so far, those of its processes that have ended included."""
    total = 0.0
    for _, process in service.roles():
        with suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def processor_seconds(service: Scoreline) -> dict[str, float]:
    """Processor seconds that the service's processes have used so far, by role."""
    total: dict[str, float] = {}
    for role, process in service.roles():
        with suppress(psutil.Error):
            times = process.cpu_times()
            total[role] = total.get(role, 0.0) + times.user + times.system
    return total
