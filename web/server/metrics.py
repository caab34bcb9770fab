"""``/metrics`` for Prometheus: requests of this host's web processes, and the state of the service in the store.

Each web process counts in a memory-mapped file; the one that is scraped adds them up. What workers do is counted by the
Lua script that does it, so that no crash falsifies a number.
"""

import os
import re
import time
from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Histogram, generate_latest, values
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from redis import Redis
from redis.exceptions import RedisError

from jobs.availability import redis_availability
from jobs.state import JobState
from jobs.store.load_failures import LoadFailures
from jobs.store.service_stats import BUCKET_SECONDS, ServiceStats, read_service_stats
from web.server.model_metrics import model_metrics

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_REQUEST_SECONDS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0)
_BEGAN = "scoreline.began"
_CONVERTER = re.compile(r"<\w+:")
# Totals in the store, by their name there.
_TOTALS = {
    "jobs:accepted": ("scoreline_jobs_accepted", "Uploads that became jobs."),
    "rows:scoring_failed": ("scoreline_rows_scoring_failed", "Rows of files that the model failed on (also rejected)."),
    "chunks:recorded": ("scoreline_chunks_recorded", "Chunks whose result was stored."),
    "chunks:sent_again": ("scoreline_chunks_sent_again", "Chunks sent again: lost, or their worker fell silent."),
    "chunks:retried": ("scoreline_chunks_retried", "Attempts at chunks beyond the first."),
    "predictions:answered": ("scoreline_predictions_answered", "Requests for predictions that workers answered."),
    "predictions:scoring_failed": ("scoreline_predictions_scoring_failed", "Single records that the model failed on."),
    "predictions:sent_again": ("scoreline_predictions_sent_again", "Requests for predictions sent again."),
}
# Current numbers, by their name in ``ServiceStats.now``.
_NOW = {
    "age": ("scoreline_oldest_job_seconds", "Age of the oldest job that has not ended."),
    "silence": ("scoreline_longest_silence_seconds", "Longest time without progress of a job that has not ended."),
    "predictions": ("scoreline_predictions_waiting", "Requests for predictions that wait for an answer."),
}


def count_together(folder: Path, place: int) -> None:
    """Count in a file in this directory, which other processes can read. Call it before the first metric is created.

    ``place`` is unique among live processes. A process that takes the place of a dead one continues its file, so that
    counters never decrease and files do not pile up.
    """
    os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", str(folder))
    values.ValueClass = values.MultiProcessValue(lambda: place)


class RequestMetrics:
    """Counts requests and measures the time until their response begins; costs a few microseconds per request."""

    def __init__(self, folder: Path) -> None:
        self._registry = CollectorRegistry()
        self._folder = folder
        self._seconds = Histogram(
            "scoreline_http_request_seconds",
            "Seconds until an answer begins, by the pattern of the address; a long poll waits on purpose.",
            ("route", "method", "status"),
            buckets=_REQUEST_SECONDS,
            registry=self._registry,
        )
        self._known: dict[tuple[str, str, int], Histogram] = {}

    def watch(self, app: Flask) -> None:
        """Count the requests of the application."""
        application = app.wsgi_app

        def timed(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
            environ[_BEGAN] = time.perf_counter()
            return application(environ, start_response)

        app.wsgi_app = timed  # type: ignore[method-assign]  # as Flask's documentation has it
        app.after_request(self._count)

    def _count(self, response: Response) -> Response:
        # Resolved once: each use of the proxy costs as much as counting does.
        current = request._get_current_object()  # type: ignore[attr-defined]  # of the proxy
        rule = current.url_rule
        # Requests without a route share one series: clients can invent any number of paths and methods.
        key = (rule.rule, current.method, response.status_code) if rule else ("", "", response.status_code)
        seconds = self._known.get(key) or self._new_histogram(key)
        # A refusal of what is not HTTP did not come through the application.
        now = time.perf_counter()
        seconds.observe(now - current.environ.get(_BEGAN, now))
        return response

    def _new_histogram(self, key: tuple[str, str, int]) -> Histogram:
        route, method, status = key
        # Converters are left out of the label.
        name = _CONVERTER.sub("<", route)
        series = self._known[key] = self._seconds.labels(name, method, str(status))
        return series

    def collect(self) -> Iterator[Metric]:
        """Yield the requests of all web processes, or of this one if it counts alone."""
        alone = values.ValueClass is values.MutexValue
        source = self._registry if alone else MultiProcessCollector(None, str(self._folder))
        yield from source.collect()


class ServiceMetrics:
    """The state of the service in the store; while the store is away, only that."""

    def __init__(self, redis: Redis, full_ratio: float) -> None:
        self._redis, self._full_ratio, self._failures = redis, full_ratio, LoadFailures(redis)

    def collect(self) -> Iterator[Metric]:
        """Read the store on each call."""
        try:
            stats, failures = read_service_stats(self._redis), self._failures.all()
            redis_availability.record_success()
        except RedisError as error:
            stats, failures = None, []
            redis_availability.record_failure(error)
        yield GaugeMetricFamily("scoreline_store_up", "Whether the store answers.", value=float(stats is not None))
        if stats:
            yield from _now(stats)
            yield from _totals(stats)
            yield from _times(stats)
            yield from _store(stats.memory, self._full_ratio)
            yield from model_metrics(stats, failures)


def _now(stats: ServiceStats) -> Iterator[Metric]:
    now = stats.now
    states = {state: now[state] for state in ("uploading", JobState.QUEUED.value, JobState.RUNNING.value)}
    yield _by("scoreline_jobs", "Jobs that have not ended, and uploads under way.", "state", states)
    chunks = {"stored": now["chunks"] - now["sent"], "sent": now["sent"] - now["leased"], "leased": now["leased"]}
    yield _by("scoreline_chunks", "Chunks not yet scored: waiting, sent to workers, in their hands.", "state", chunks)
    yield _by("scoreline_queue_messages", "Messages that no worker has taken.", "queue", stats.queued)
    nodes = {role: len(nodes) for role, nodes in stats.workers.items()}
    yield _by("scoreline_workers", "Workers that show signs of life.", "role", nodes)
    processes = {role: sum(node.processes for node in nodes) for role, nodes in stats.workers.items()}
    yield _by("scoreline_worker_processes", "Processes of the workers that show signs of life.", "role", processes)
    for name, (metric, text) in _NOW.items():
        yield GaugeMetricFamily(metric, text, value=now[name])


def _by(metric: str, text: str, label: str, numbers: Any) -> Metric:
    family = GaugeMetricFamily(metric, text, labels=[label])
    for value, number in numbers.items():
        family.add_metric([value], number)
    return family


def _totals(stats: ServiceStats) -> Iterator[Metric]:
    for name, (metric, text) in _TOTALS.items():
        yield CounterMetricFamily(metric, text, value=stats.total(name))
    rows = CounterMetricFamily("scoreline_rows", "Rows of files, by outcome.", labels=["outcome"])
    for outcome in ("scored", "rejected"):
        rows.add_metric([outcome], stats.total(f"rows:{outcome}"))
    ended = CounterMetricFamily("scoreline_jobs_ended", "Jobs that ended, by state.", labels=["state"])
    for state in JobState:
        if state.ended:
            ended.add_metric([state.value], stats.total(f"jobs:{state.value}"))
    yield from (rows, ended)


def _times(stats: ServiceStats) -> Iterator[Metric]:
    texts = {"chunk": "Seconds from a worker's taking a chunk to its stored result.",
             "job": "Seconds from an upload's beginning to the end of its job, of jobs that succeeded."}  # fmt: skip
    bounds = [*(f"{bound:g}" for bound in BUCKET_SECONDS), "+Inf"]
    for name, text in texts.items():
        times = stats.histogram(name)
        buckets = list(zip(bounds, accumulate(times.counts), strict=True))
        yield HistogramMetricFamily(f"scoreline_{name}_seconds", text, buckets=buckets, sum_value=times.seconds)


def _store(memory: Any, full_ratio: float) -> Iterator[Metric]:
    limit = memory.get("maxmemory", 0)
    writes = [memory.get(name, "ok") for name in ("aof_last_write_status", "aof_last_bgrewrite_status")]
    numbers = {
        "memory_bytes": ("Memory that the store uses.", memory["used_memory"]),
        "memory_limit_bytes": ("Memory that the store may use; 0: no limit.", limit),
        "uploads_limit_bytes": ("Memory use from which on uploads are turned away.", full_ratio * limit),
        "log_bytes": ("Size of the append-only file.", memory.get("aof_current_size", 0)),
        "log_ok": ("Whether the append-only file could last be written and rewritten.", set(writes) == {"ok"}),
    }
    for name, (text, number) in numbers.items():
        yield GaugeMetricFamily(f"scoreline_store_{name}", text, value=float(number))


def exposition(*sources: Any) -> Response:
    """Return what the sources collect, in the text format of Prometheus."""
    registry = CollectorRegistry(auto_describe=False)
    for source in sources:
        registry.register(source)
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
