"""What a model's page shows of its features: the effects of their values, or their permutation importance."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import permutation_importance

from model.card import Card, Metrics, ValueEffect
from model.evaluate import evaluate
from model.explanation.additive import AdditiveModel
from model.schema import Feature, FeatureKind, Scalar
from model.scorer import Scorer

CURVE_POINTS = 41
IMPORTANCE_ROWS = 2000
# The higher, the better, for each of them.
_MAIN_METRICS = ("roc_auc", "r2", "accuracy")


def effects_of(card: Card, pipeline: Any) -> dict[str, tuple[ValueEffect, ...]]:
    """Return the effects of each feature's values, in log-odds, relative to the average training record.

    These are all values of a category, points over the range of a number, and a missing value where it is allowed.
    Empty where the pipeline is not additive.
    """
    averages = card.explanation.average_effects if card.explanation else {}
    model = AdditiveModel.of(pipeline, card.features, averages)
    if model is None:
        return {}
    return {feature.name: _effects(model, card, feature) for feature in card.features}


def importance_of(scorer: Scorer, frame: pd.DataFrame, truth: NDArray[Any], seed: int = 0) -> dict[str, float]:
    """Return how much the main metric drops when one feature's values are shuffled among the rows, by feature.

    Permutation importance (L. Breiman 2001, Machine Learning 45:5-32), with one shuffle per feature of at most
    ``IMPORTANCE_ROWS`` records, drawn at random. The main metric is the first of roc_auc, r2 and accuracy that the
    model has.
    """

    def main_metric(_estimator: Any, records: pd.DataFrame, actual: NDArray[Any]) -> float:
        return _main_metric(evaluate(scorer.card, actual, scorer.predict(records))[0])

    rows = np.random.default_rng(seed).permutation(len(frame))[:IMPORTANCE_ROWS]
    names = [feature.name for feature in scorer.card.features]
    result = permutation_importance(
        # The scorer predicts; scikit-learn insists on an estimator with ``fit``, which a model of one's own may lack.
        FrozenEstimator(scorer.pipeline),
        frame[names].iloc[rows].reset_index(drop=True),
        np.asarray(truth)[rows],
        scoring=main_metric,
        n_repeats=1,
        random_state=seed,
    )
    return dict(zip(names, result.importances_mean.tolist(), strict=True))


def _main_metric(metrics: Metrics) -> float:
    return next((value for name in _MAIN_METRICS if (value := getattr(metrics, name)) is not None), 0.0)


def _effects(model: AdditiveModel, card: Card, feature: Feature) -> tuple[ValueEffect, ...]:
    values = _values(card, feature)
    effects = model.effects_of_values(feature.name, values) - model.averages.get(feature.name, 0.0)
    return tuple(
        ValueEffect(value=value, effect=round(effect, 6))
        for value, effect in zip(values, effects.tolist(), strict=True)
    )


def _values(card: Card, feature: Feature) -> list[Scalar]:
    missing: list[Scalar] = [None] if feature.missing_allowed else []
    if feature.kind is FeatureKind.NUMBER:
        return [*_grid(card, feature), *missing]
    return [*(feature.categories or (False, True)), *missing]


def _grid(card: Card, feature: Feature) -> list[float]:
    summary = card.summary.get(feature.name)
    low = feature.minimum if summary is None or summary.minimum is None else summary.minimum
    high = feature.maximum if summary is None or summary.maximum is None else summary.maximum
    if low is None or high is None:
        return []
    points = np.linspace(low, high, CURVE_POINTS)
    return [float(point) for point in np.unique(points.round() if feature.integer else points)]
