"""Medians and spreads."""

import statistics
from collections.abc import Sequence
from typing import Any

Numbers = dict[str, Any]


def spread(values: Sequence[float]) -> Numbers:
    """Median, least, most and the values themselves, as they go into the results."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "values": list(values)}


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0..1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def ratios(values: Sequence[float], others: Sequence[float]) -> Numbers:
    """Spread of the ratios of values that were measured in the same round; the longer sequence's rest is left out."""
    return spread([mine / other for mine, other in zip(values, others, strict=False)])
