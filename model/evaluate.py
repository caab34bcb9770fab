"""How well a model does on held-out records."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, mean_absolute_error, r2_score, root_mean_squared_error

from model.card import Card, Metrics, ModelKind
from model.scorer import Predictions
from model.summary import held_out_metrics


def evaluate(
    card: Card, truth: NDArray[Any], predictions: Predictions, groups: Mapping[str, Sequence[str]] = {}
) -> tuple[Metrics, None]:
    """Return the metrics that make sense for a kind of model, of n held-out records."""
    if card.kind is ModelKind.REGRESSOR:
        values = predictions.values
        return Metrics(
            rows=len(truth),
            r2=float(r2_score(truth, values)),
            mae=float(mean_absolute_error(truth, values)),
            rmse=float(root_mean_squared_error(truth, values)),
        ), None
    if card.decides_by_threshold and len(np.unique(truth)) > 1:
        positive = truth == card.classes.index(str(card.positive_class))
        return held_out_metrics(positive, predictions.positive, card.threshold), None
    return Metrics(rows=len(truth), accuracy=float(accuracy_score(truth, predictions.values))), None
