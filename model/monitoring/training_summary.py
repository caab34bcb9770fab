"""The card's figures about data: summaries of training columns, a sample, versions of libraries."""

from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model.card import FeatureSummary, Histogram
from model.columns import is_missing
from model.schema import Feature, FeatureKind, Scalar

LIBRARIES = ("scikit-learn", "skops", "scipy", "numpy", "pandas")
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
BINS = 10


def summarise(frame: pd.DataFrame, features: Iterable[Feature]) -> dict[str, FeatureSummary]:
    """Return a summary of each feature's column in ``frame``."""
    return {feature.name: _of_column(frame[feature.name], feature) for feature in features}


def sample_rows(frame: pd.DataFrame, features: Sequence[Feature], rows: int = 20) -> tuple[tuple[Scalar, ...], ...]:
    """Return ``rows`` records evenly spaced over ``frame``, values in feature order, whole numbers as int."""
    picked = frame.iloc[np.linspace(0, len(frame) - 1, rows).astype(int)]
    columns = [[_plain(feature, value) for value in picked[feature.name].tolist()] for feature in features]
    return tuple(zip(*columns, strict=True))


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries with which a model is made."""
    return {library: version(library) for library in LIBRARIES}


def _plain(feature: Feature, value: Any) -> Scalar:
    if is_missing(value):
        return None
    if feature.kind is FeatureKind.BOOLEAN:
        return bool(value)
    if feature.kind is not FeatureKind.NUMBER:
        return str(value)
    return int(value) if feature.integer else float(value)


def _of_column(column: pd.Series, feature: Feature) -> FeatureSummary:
    match feature.kind:
        case FeatureKind.NUMBER:
            return _of_number(column)
        case FeatureKind.CATEGORY:
            return _of_category(column, feature)
        case FeatureKind.BOOLEAN:
            counts = {"true": int((column == True).sum()), "false": int((column == False).sum())}  # noqa: E712
            return FeatureSummary(missing=int(column.isna().sum()), counts=counts)
        case FeatureKind.DATE | FeatureKind.TEXT:
            return FeatureSummary(missing=int(column.isna().sum()))


def _of_category(column: pd.Series, feature: Feature) -> FeatureSummary:
    value_counts = column.value_counts()
    counts = {category: int(value_counts.get(category, 0)) for category in feature.categories}
    return FeatureSummary(missing=int(column.isna().sum()), counts=counts)


def _of_number(column: pd.Series) -> FeatureSummary:
    values = column.dropna().to_numpy(dtype=np.float64)
    if not len(values):
        return FeatureSummary(missing=len(column))
    counts, edges = np.histogram(values, bins=BINS, range=_range_of_bins(values))
    return FeatureSummary(
        missing=int(column.isna().sum()),
        minimum=float(values.min()),
        maximum=float(values.max()),
        mean=float(values.mean()),
        quantiles={f"{share:g}": float(np.quantile(values, share)) for share in QUANTILES},
        histogram=Histogram(edges=tuple(edges.tolist()), counts=tuple(counts.tolist())),
    )


def _range_of_bins(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the range of the values, widened where floats of their size are too far apart for so many bins."""
    low, high = float(values.min()), float(values.max())
    if low == high:
        low, high = low - 0.5, high + 0.5
    step = float(np.spacing(max(abs(low), abs(high))))
    # NumPy refuses bins that are narrower than the distance of neighbouring floats.
    if high - low >= 2 * BINS * step:
        return low, high
    return low - BINS * step, high + BINS * step
