"""How throughput grows from one bulk host to two, each held to a share of one core."""

import itertools
import statistics
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psutil
from redis import Redis

from bench.cpu_share import CpuShare, NoCpuShares, cpu_shares
from bench.deployment import STORE_PORT, Deployment, wait
from bench.large_job import body, check_results, request
from jobs.messages import Queue
from jobs.store import keys
from jobs.store.heartbeat import living

BULK_HOSTS = ("bulk-1", "bulk-2")
_CHUNKS_PER_WORKER = 2


@dataclass(frozen=True, slots=True)
class _Round:
    """One job: its time, that of the upload in it, cores that the bulk hosts used on average, rows that were wrong."""

    seconds: float
    upload: float
    cores: float
    wrong: int


def measure(deployment: Deployment, percent: int, rows: int, rounds: int) -> dict[str, Any]:
    """Score one file with one bulk host and with both in turn, so many times each; return a report.

    A bulk host may use so many hundredths of a core, for all of its processes together.
    """
    if not rounds:
        return {"not measured": "not asked for"}
    used = [deployment.hosts[name] for name in BULK_HOSTS]
    try:
        with cpu_shares(BULK_HOSTS) as shares:
            try:
                for host, share in zip(used, shares, strict=True):
                    host.stop()
                    host.group = share.procs
                return _compare(deployment, shares, percent, rows, rounds)
            finally:
                for host in used:
                    host.stop()
                    host.group = None
    except NoCpuShares as error:
        return {"not measured": str(error)}
    finally:
        for name, host in zip(BULK_HOSTS, used, strict=True):
            if not host.processes:
                deployment.start_bulk(name)


def _compare(deployment: Deployment, shares: list[CpuShare], percent: int, rows: int, rounds: int) -> dict[str, Any]:
    file = b"".join(block for _, block in body(rows))
    measured: dict[int, list[_Round]] = {1: [], 2: []}
    # What the machine does besides changes slowly: 1, 2, 2, 1, 1, 2, …
    for count in itertools.islice(itertools.cycle((1, 2, 2, 1)), 2 * rounds):
        _run_on(deployment, shares, percent, count)
        measured[count].append(_score(deployment, file, rows))
    one, two = (statistics.median(each.seconds for each in measured[count]) for count in (1, 2))
    neighbours = zip(measured[1], measured[2], strict=True)
    return {
        "rows": rows,
        "percent of a core for each bulk host": percent,
        "rows missing, repeated or out of order": sum(each.wrong for each in (*measured[1], *measured[2])),
        "with one": _report(measured[1], rows),
        "with two": _report(measured[2], rows),
        "two as a multiple of one": round(one / two, 2),
        "the same of neighbouring rounds": [round(a.seconds / b.seconds, 2) for a, b in neighbours],
    }


def _score(deployment: Deployment, file: bytes, rows: int) -> _Round:
    """Score the file, from the first byte of the upload to the end of the job, and check the results."""
    web, used_before, began = deployment.web, _processor_seconds(deployment), time.monotonic()
    job = request(web, "POST", "/api/v1/jobs", iter([file]), {"Content-Type": "text/csv"})
    uploaded = time.monotonic()
    while job["state"] not in ("succeeded", "failed"):
        job = request(web, "GET", f"/api/v1/jobs/{job['id']}", headers={"Prefer": "wait=30, until=ended"})
    seconds = time.monotonic() - began
    cores = (_processor_seconds(deployment) - used_before) / seconds
    found, misplaced = check_results(web, job["id"], rows) if job["state"] == "succeeded" else (0, 0)
    return _Round(seconds, uploaded - began, cores, rows - found + misplaced)


def _report(rounds: list[_Round], rows: int) -> dict[str, Any]:
    return {
        "rows a second": round(rows / statistics.median(each.seconds for each in rounds)),
        "seconds": [round(each.seconds, 1) for each in rounds],
        "of which for the upload": [round(each.upload, 1) for each in rounds],
        "cores that the bulk hosts used": [round(each.cores, 2) for each in rounds],
    }


def _run_on(deployment: Deployment, shares: list[CpuShare], percent: int, count: int) -> None:
    """Have bulk workers on the first so many hosts, which all others know of."""
    for position, (name, share) in enumerate(zip(BULK_HOSTS, shares, strict=True)):
        host = deployment.hosts[name]
        share.limit(None)  # starting is not what is measured
        if position < count and not host.processes:
            deployment.start_bulk(name)
        elif position >= count:
            host.stop()
    wait(lambda: _known(deployment) == (count, _CHUNKS_PER_WORKER * count), "the bulk workers")
    # All processes look at it anew after as long.
    time.sleep(keys.HEARTBEAT_SECONDS + 1)
    for share in shares:
        share.limit(percent)


def _known(deployment: Deployment) -> tuple[int, int]:
    """Return how many bulk workers live, and how many chunks may be in flight."""
    with Redis(deployment.hosts["store-1"].address, STORE_PORT, socket_timeout=2) as redis:
        window: Any = redis.get(keys.WINDOW)
        return len(living(redis, Queue.BULK.value)), int(window or 0)


def _processor_seconds(deployment: Deployment) -> float:
    total = 0.0
    for name in BULK_HOSTS:
        for process in deployment.hosts[name].processes:
            with suppress(psutil.NoSuchProcess):
                for each in (found := psutil.Process(process.pid), *found.children(recursive=True)):
                    times = each.cpu_times()
                    total += times.user + times.system
    return total
