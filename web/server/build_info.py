"""The metric that says which code and libraries a web runs."""

import platform
from collections.abc import Iterator
from importlib.metadata import version

from prometheus_client.core import GaugeMetricFamily, Metric

from jobs.version import VERSION


class BuildInfo:
    """A constant, with the versions as labels, so that mixed versions show while an upgrade is rolled out."""

    def collect(self) -> Iterator[Metric]:
        """Yield it."""
        labels = {"version": VERSION, "python": platform.python_version(), "scikit_learn": version("scikit-learn")}
        family = GaugeMetricFamily("scoreline_build_info", "Versions that this web runs.", labels=list(labels))
        family.add_metric(list(labels.values()), 1)
        yield family
