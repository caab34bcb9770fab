"""Metrics of the history: what waits for the database, what was written, and whether it can be written to."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from redis.exceptions import RedisError

from jobs.store.outbox import Outbox


class HistoryMetrics:
    """The state of the outbox; nothing while the store is away."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def collect(self) -> Iterator[Metric]:
        """Read the store on each call."""
        try:
            stats = self._outbox.stats()
        except RedisError:
            return
        if stats.database_up is not None:
            text = "Whether the recorder could last write to the database."
            yield GaugeMetricFamily("scoreline_database_up", text, value=float(stats.database_up))
        text = "Ended jobs and prediction requests that wait for the database."
        yield GaugeMetricFamily("scoreline_history_waiting", text, value=stats.waiting)
        text = "Ended jobs and prediction requests, by what became of them."
        outcomes = CounterMetricFamily("scoreline_history_entries", text, labels=["outcome"])
        for outcome in ("recorded", "dropped", "failed"):
            outcomes.add_metric([outcome], getattr(stats, outcome))
        yield outcomes
