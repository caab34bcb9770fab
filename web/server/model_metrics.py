"""Metrics by model and version. Only versions that were used last have any, so that their number is bounded."""

from collections.abc import Iterator, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily

from jobs.store.load_failures import LoadFailure
from jobs.store.service_stats import ServiceStats

_LABELS = ("model", "version")
# Of more failures than these, the rest shows once some are gone.
_MAX_FAILURES = 200


def model_metrics(stats: ServiceStats, failures: Sequence[LoadFailure]) -> Iterator[Metric]:
    """Yield what versions have scored, how long that took, and which cannot be loaded where."""
    yield _by_outcome(stats, "scoreline_model_rows", "Rows of files, by outcome.", ("scored", "rejected"))
    text = "Single records, by outcome."
    yield _by_outcome(stats, "scoreline_model_predictions", text, ("answered", "failed"))
    text = "Seconds from a worker's taking a chunk to its stored result."
    yield _times(stats, "scoreline_model_chunk_seconds", text, ("chunks",), {"chunk_milliseconds": 1e-3})
    text = "Seconds that workers took for a single record, of those in one message together."
    # Workers of the version before count milliseconds.
    units = {"prediction_microseconds": 1e-6, "prediction_milliseconds": 1e-3}
    yield _times(stats, "scoreline_model_prediction_seconds", text, ("answered", "failed"), units)
    labels = (*_LABELS, "host", "role")
    unloadable = GaugeMetricFamily("scoreline_model_unloadable", "1: a worker cannot load it.", labels=labels)
    for failure in failures[:_MAX_FAILURES]:
        unloadable.add_metric([failure.model, failure.version, failure.host, failure.role], 1)
    yield unloadable


def _by_outcome(stats: ServiceStats, name: str, text: str, outcomes: Sequence[str]) -> Metric:
    family = CounterMetricFamily(name, text, labels=(*_LABELS, "outcome"))
    for version, totals in sorted(stats.models.items()):
        for outcome in outcomes:
            if not totals.keys().isdisjoint(outcomes):
                family.add_metric([*version, outcome], totals.get(outcome, 0))
    return family


def _times(stats: ServiceStats, name: str, text: str, counts: Sequence[str], units: Mapping[str, float]) -> Metric:
    """Return number and sum of seconds of each version; ``units`` are totals of times, and their unit in seconds."""
    family = SummaryMetricFamily(name, text, labels=_LABELS)
    for version, totals in sorted(stats.models.items()):
        if count := sum(totals.get(total, 0) for total in counts):
            family.add_metric(version, count, sum(totals.get(total, 0) * unit for total, unit in units.items()))
    return family
