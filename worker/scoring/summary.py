"""The counts that a chunk adds to its job's summary: what was predicted, and how far two models agree. Pure."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model.card import Card, ModelKind, Scores
from model.columns import Floats
from model.monitoring.agreement import DIFFERENCE, EQUAL, LARGEST_DIFFERENCE, ROWS, difference_unit, same_classes
from model.scorer import Predictions
from worker.scoring.row_predictions import RowPredictions

BINS = 20
SECOND = "second:"
"""What the names of a second model's counts begin with."""


def summarise(answers: RowPredictions, cards: Sequence[Card]) -> dict[str, int]:
    """Counts of the predictions of one model, or of two, and of how far these agree."""
    first, *others = zip(answers.predictions, cards, strict=True)
    counts = _predicted(*first)
    for second in others:
        counts |= {f"{SECOND}{name}": count for name, count in _predicted(*second).items()}
        counts |= _agreement(*first, *second)
    return counts


def _predicted(predictions: Predictions, card: Card) -> dict[str, int]:
    """Counts of each predicted class, of probabilities in 20 equal bins, of a regressor's predictions in its bins."""
    counts: dict[str, int] = {}
    if card.kind is ModelKind.REGRESSOR:
        counts |= _counted("value", np.searchsorted(card.prediction_edges[1:-1], predictions.values, "right"))
    targets = card.targets or (None,)
    for target, (values, classes) in zip(targets, predictions.by_target(card), strict=True):
        labels = np.bincount(values, minlength=len(classes)).tolist() if classes else []
        names = classes if target is None else [f"{target}: {name}" for name in classes]
        counts |= {f"prediction:{name}": n for name, n in zip(names, labels, strict=False) if n}
    if card.kind is ModelKind.BINARY_CLASSIFIER and card.scores is Scores.PROBABILITY:
        bins = np.minimum((predictions.positive * BINS).astype(np.int64), BINS - 1)
        counts |= _counted("probability", bins)
    return counts


def _counted(kind: str, bins: NDArray[np.int64]) -> dict[str, int]:
    return {f"{kind}:{place}": count for place, count in enumerate(np.bincount(bins).tolist()) if count}


def _agreement(one: Predictions, first: Card, other: Predictions, second: Card) -> dict[str, int]:
    counts = {ROWS: len(one.values)}
    if same_classes(first, second):
        places = np.array([first.classes.index(name) for name in second.classes])
        counts[EQUAL] = int(np.count_nonzero(one.values == places[other.values]))
    if unit := difference_unit(first, second):
        units = np.nan_to_num(_differences(one, first, other, second) / unit, posinf=LARGEST_DIFFERENCE)
        counts[DIFFERENCE] = round(float(np.minimum(units, LARGEST_DIFFERENCE).sum()))
    return counts


def _differences(one: Predictions, first: Card, other: Predictions, second: Card) -> Floats:
    """Of each row, how far apart the two predictions or the two distributions over the classes are, shape (n,)."""
    if first.kind is ModelKind.REGRESSOR:
        return np.asarray(np.abs(one.values - other.values), np.float64)
    classes = first.classes
    apart = np.abs(_by_class(one, first, classes) - _by_class(other, second, classes))
    return np.asarray(apart.sum(axis=1) / 2, np.float64)


def _by_class(predictions: Predictions, card: Card, classes: Sequence[str]) -> Floats:
    """The probability of each class, shape (n, classes)."""
    if card.kind is not ModelKind.BINARY_CLASSIFIER:
        return predictions.scores[:, [card.classes.index(name) for name in classes]]
    positive = predictions.scores
    return np.hstack([positive if name == card.positive_class else 1 - positive for name in classes])
