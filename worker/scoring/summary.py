"""The counts that a chunk adds to its job's summary: predictions, agreement of two models, values per feature. Pure."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model.card import Card, FeatureSummary, ModelKind, Scores
from model.columns import Floats
from model.monitoring.agreement import DIFFERENCE, EQUAL, LARGEST_DIFFERENCE, ROWS, difference_unit, same_classes
from model.monitoring.counts import PREDICTION, PROBABILITY, PROBABILITY_BINS, SECOND_MODEL, VALUE
from model.monitoring.drift import bin_names, count_name
from model.scorer import Predictions
from model.validate import ParsedValues
from worker.scoring.row_predictions import RowPredictions


def summarise(predictions: RowPredictions, cards: Sequence[Card]) -> dict[str, int]:
    """Count the predictions of one model, or of two and how far they agree."""
    first, *others = zip(predictions.predictions, cards, strict=True)
    counts = _count_predictions(*first)
    for second in others:
        counts |= {f"{SECOND_MODEL}{name}": count for name, count in _count_predictions(*second).items()}
        counts |= _count_agreement(*first, *second)
    return counts


def _count_predictions(predictions: Predictions, card: Card) -> dict[str, int]:
    """Count predicted classes, probabilities in equal bins, and a regressor's predictions in the bins of its card."""
    counts: dict[str, int] = {}
    if card.kind is ModelKind.REGRESSOR:
        counts |= _count_bins(VALUE, np.searchsorted(card.prediction_edges[1:-1], predictions.values, "right"))
    targets = card.targets or (None,)
    for target, (values, classes) in zip(targets, predictions.by_target(card), strict=True):
        labels = np.bincount(values, minlength=len(classes)).tolist() if classes else []
        names = classes if target is None else [f"{target}: {name}" for name in classes]
        counts |= {f"{PREDICTION}:{name}": n for name, n in zip(names, labels, strict=False) if n}
    if card.kind is ModelKind.BINARY_CLASSIFIER and card.scores is Scores.PROBABILITY:
        # A probability of 1 belongs to the last bin.
        bins = np.minimum((predictions.positive * PROBABILITY_BINS).astype(np.int64), PROBABILITY_BINS - 1)
        counts |= _count_bins(PROBABILITY, bins)
    return counts


def _count_bins(kind: str, bins: NDArray[np.int64]) -> dict[str, int]:
    return {f"{kind}:{place}": count for place, count in enumerate(np.bincount(bins).tolist()) if count}


def _count_agreement(one: Predictions, first: Card, other: Predictions, second: Card) -> dict[str, int]:
    counts = {ROWS: len(one.values)}
    if same_classes(first, second):
        places = np.array([first.classes.index(name) for name in second.classes])
        counts[EQUAL] = int(np.count_nonzero(one.values == places[other.values]))
    if unit := difference_unit(first, second):
        # An infinite prediction differs by as much as counts at most.
        units = np.nan_to_num(_differences(one, first, other, second) / unit, posinf=LARGEST_DIFFERENCE)
        counts[DIFFERENCE] = round(float(np.minimum(units, LARGEST_DIFFERENCE).sum()))
    return counts


def _differences(one: Predictions, first: Card, other: Predictions, second: Card) -> Floats:
    """Return the distance of two regressors' predictions, or of two class distributions, per row, shape (n,)."""
    if first.kind is ModelKind.REGRESSOR:
        return np.asarray(np.abs(one.values - other.values), np.float64)
    classes = first.classes
    difference = np.abs(_by_class(one, first, classes) - _by_class(other, second, classes))
    return np.asarray(difference.sum(axis=1) / 2, np.float64)


def _by_class(predictions: Predictions, card: Card, classes: Sequence[str]) -> Floats:
    """Return the probability of each class, shape (n, classes)."""
    if card.kind is not ModelKind.BINARY_CLASSIFIER:
        return predictions.scores[:, [card.classes.index(name) for name in classes]]
    positive = predictions.scores
    return np.hstack([positive if name == card.positive_class else 1 - positive for name in classes])


def count_values(
    feature: str, summary: FeatureSummary, values: ParsedValues, codes: NDArray[np.int32]
) -> dict[str, int]:
    """Count the valid values of one column, including missing ones, in the bins of the training summary.

    ``codes``, shape (n,), are the rows' indexes into the distinct values, each of which is binned once.
    """
    rows = np.bincount(codes, minlength=len(values.values))
    rows[values.at_fault] = 0
    used = np.flatnonzero(rows)
    names = bin_names(summary)
    counts = np.bincount(_bins(summary, values.values[used]), rows[used], len(names))
    return {count_name(feature, name): int(count) for name, count in zip(names, counts.tolist(), strict=True) if count}


def _bins(summary: FeatureSummary, values: NDArray[Any]) -> NDArray[np.int64]:
    """Return the bin of each value, in the order of ``bin_names``."""
    if summary.histogram:
        return _number_bins(np.array(summary.histogram.edges), values)
    if summary.counts is None:
        return np.asarray(pd.isna(values), np.int64)
    bins: dict[str | None, int] = {name: number for number, name in enumerate(summary.counts)}
    other = len(bins)
    bins[None] = other + 1  # missing
    return np.array([bins.get(_as_category(value), other) for value in values.tolist()], np.int64)


def _number_bins(edges: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.int64]:
    bins = np.searchsorted(edges[1:-1], values, "right")
    # After the bins of the histogram come those of smaller, larger and missing values.
    below = len(edges) - 1
    bins[values < edges[0]] = below
    bins[values > edges[-1]] = below + 1
    bins[np.isnan(values)] = below + 2
    return bins


def _as_category(value: Any) -> str | None:
    """Return a category or boolean as summaries write it."""
    return str(value).lower() if isinstance(value, bool) else value
