"""How the values of a chunk's columns are spread, in the bins in which the card counts the training data. Pure."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model.card import FeatureSummary
from model.monitoring.drift import bin_names, count_name
from model.validate import ParsedValues


def spread(feature: str, summary: FeatureSummary, values: ParsedValues, codes: NDArray[np.int32]) -> dict[str, int]:
    """Counts, for a job's summary, of the valid values of one column, shape (n,), missing ones among them.

    Each distinct value is looked at once, whatever the number of rows.
    """
    rows = np.bincount(codes, minlength=len(values.values))
    rows[values.at_fault] = 0
    used = np.flatnonzero(rows)
    names = bin_names(summary)
    counts = np.bincount(_bins(summary, values.values[used]), rows[used], len(names))
    return {count_name(feature, name): int(count) for name, count in zip(names, counts.tolist(), strict=True) if count}


def _bins(summary: FeatureSummary, values: NDArray[Any]) -> NDArray[np.int64]:
    """The number of each value's bin, in the order of ``bin_names``."""
    if summary.histogram:
        return _bins_of_numbers(np.array(summary.histogram.edges), values)
    if summary.counts is None:
        return np.asarray(pd.isna(values), np.int64)
    places: dict[str | None, int] = {name: place for place, name in enumerate(summary.counts)}
    other = len(places)
    places[None] = other + 1
    return np.array([places.get(_as_text(value), other) for value in values.tolist()], np.int64)


def _bins_of_numbers(edges: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.int64]:
    bins = np.searchsorted(edges[1:-1], values, "right")
    below = len(edges) - 1
    bins[values < edges[0]] = below
    bins[values > edges[-1]] = below + 1
    bins[np.isnan(values)] = below + 2
    return bins


def _as_text(value: Any) -> str | None:
    """A category or a boolean as summaries write it."""
    return str(value).lower() if isinstance(value, bool) else value
