"""Metrics of the history: what waits for the database, what was written, and whether it can be written to."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from redis.exceptions import RedisError

from jobs.store.outbox import Outbox

_LABELS = ("model", "version", "metric")


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
        yield from _live_metrics(stats.live)


def _live_metrics(live: Sequence[Mapping[str, Any]]) -> Iterator[Metric]:
    """Yield each model's metrics on actual outcomes, beside those on held-out records."""
    families = {
        "live": GaugeMetricFamily(
            "scoreline_model_live_metric", "Metric on the newest week of outcomes.", labels=_LABELS
        ),
        "held_out": GaugeMetricFamily(
            "scoreline_model_held_out_metric", "The same metric on held-out records.", labels=_LABELS
        ),
        "falls_short": GaugeMetricFamily(
            "scoreline_model_falls_short", "Whether the live metric is worse beyond chance.", labels=_LABELS
        ),
    }
    for name, family in families.items():
        for measured in live:
            family.add_metric([str(measured[label]) for label in _LABELS], float(measured[name]))
        yield family
