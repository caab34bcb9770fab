"""Evaluate a model on held-out records: metrics with 95 % intervals, and the tables that its page draws.

The metrics are those of ``sklearn.metrics``. Where a metric is a mean over the records, it is computed from its values
for each record, since its interval needs these too. Every interval has a closed form, so that evaluating 16,000 records
takes a fraction of a second, which a bootstrap of all of them would not.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import confusion_matrix, roc_auc_score, roc_curve

from model.card import (
    CalibrationBin,
    Card,
    Evaluation,
    GroupFigures,
    Metrics,
    ModelKind,
    RocPoint,
    Scores,
    ThresholdFigures,
)
from model.columns import Floats
from model.scorer import Predictions

Flags = NDArray[np.bool_]
Interval = tuple[float, float]

CONFIDENCE = 0.95
Z = float(stats.norm.ppf((1 + CONFIDENCE) / 2))
"""How many standard errors a 95 % interval reaches to each side."""
ROC_POINTS = 100
CALIBRATION_BINS = 10
THRESHOLDS = tuple(step / 20 for step in range(1, 20))
MAX_GROUPS = 20


def evaluate(
    card: Card, truth: NDArray[Any], predictions: Predictions, groups: Mapping[str, Sequence[str]] | None = None
) -> tuple[Metrics, Evaluation]:
    """Return the metrics and tables of predictions of held-out records.

    ``truth``, shape (n,) or (n, targets), holds indices into the card's classes for a classifier, numbers for a
    regressor. ``groups`` maps each feature by which performance is broken down to its value in each row. What is
    undefined is left out; nothing raises.
    """
    truth, groups = np.asarray(truth), groups or {}
    if not len(truth):
        return Metrics(rows=0), Evaluation()
    match card.kind:
        case ModelKind.REGRESSOR:
            return _of_regressor(truth.astype(np.float64), predictions.values.astype(np.float64), groups)
        case ModelKind.BINARY_CLASSIFIER:
            return _of_binary(card, truth, predictions, groups)
        case ModelKind.MULTICLASS_CLASSIFIER:
            return _of_classes(card, truth, predictions, groups)
        case ModelKind.MULTIOUTPUT_CLASSIFIER | ModelKind.MULTIOUTPUT_REGRESSOR:
            return _of_targets(card, truth, predictions), Evaluation()
        case ModelKind.OUTLIER_DETECTOR | ModelKind.CLUSTERER:
            return Metrics(rows=len(truth)), Evaluation()


def share_interval(hits: int, rows: int) -> Interval:
    """Return Wilson's score interval of a share of ``rows`` > 0 records."""
    bounds = stats.binomtest(hits, rows).proportion_ci(CONFIDENCE, method="wilson")
    return float(bounds.low), float(bounds.high)


def auc_interval(auc: float, positives: int, negatives: int) -> Interval:
    """Return the interval of an AUC (J. A. Hanley & B. J. McNeil 1982, Radiology 143:29-36, equation 1).

    Our own, since neither SciPy nor scikit-learn has one. It needs nothing but the AUC and the counts, whereas
    DeLong's ranks all scores again.
    """
    # Estimates of how often two random positives both score above one negative, and one positive above two negatives.
    two_positives, two_negatives = auc / (2 - auc), 2 * auc * auc / (1 + auc)
    variance = auc * (1 - auc)
    variance += (positives - 1) * (two_positives - auc * auc) + (negatives - 1) * (two_negatives - auc * auc)
    half = Z * math.sqrt(max(variance, 0.0) / (positives * negatives))
    return max(0.0, auc - half), min(1.0, auc + half)


def mean_interval(values: Floats) -> Interval | None:
    """Return the interval of a mean, by the central limit theorem; None for fewer than two values."""
    if len(values) < 2:
        return None
    mean, half = float(values.mean()), Z * float(stats.sem(values))
    return mean - half, mean + half


# A metric and its interval; either may be None.
_Measured = tuple[float | None, Interval | None]


def _metrics(rows: int, measured: Mapping[str, _Measured]) -> Metrics:
    # The card is JSON, which has neither NaN nor infinity.
    values = {name: value for name, (value, _) in measured.items() if value is not None and math.isfinite(value)}
    intervals = {
        name: bounds
        for name, (_, bounds) in measured.items()
        if bounds and name in values and np.isfinite(bounds).all()
    }
    return Metrics(rows=rows, intervals=intervals, **values)


def _mean_loss(losses: Floats, maximum: float = math.inf) -> _Measured:
    """Return the mean of losses between 0 and ``maximum``."""
    bounds = mean_interval(losses)
    # The normal distribution reaches beyond what a loss can be.
    return float(losses.mean()), (max(0.0, bounds[0]), min(maximum, bounds[1])) if bounds else None


def _share(hits: Flags) -> _Measured:
    return float(hits.mean()), share_interval(int(hits.sum()), len(hits))


def _log_losses(probability_of_truth: Floats) -> Floats:
    """Return the logarithmic loss of each record, clipped as ``sklearn.metrics.log_loss`` clips it."""
    return -np.log(np.clip(probability_of_truth, np.finfo(np.float64).eps, 1.0))


def _auc(truth: Flags, scores: Floats) -> _Measured:
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not (positives and negatives and np.isfinite(scores).all()):
        return None, None
    auc = float(roc_auc_score(truth, scores))
    return auc, auc_interval(auc, positives, negatives)


def _of_binary(
    card: Card, truth: NDArray[Any], predictions: Predictions, groups: Mapping[str, Sequence[str]]
) -> tuple[Metrics, Evaluation]:
    positive_class = card.classes.index(str(card.positive_class))
    actual, predicted = truth == positive_class, predictions.values == positive_class
    measured = {"accuracy": _share(actual == predicted)}
    if card.scores is Scores.NONE:
        return _metrics(len(truth), measured), Evaluation(groups=_by_group(groups, actual, predicted, None))
    scores = predictions.positive
    measured["roc_auc"] = _auc(actual, scores)
    if card.scores is not Scores.PROBABILITY:
        tables = Evaluation(roc=_roc(actual, scores), groups=_by_group(groups, actual, predicted, None))
        return _metrics(len(truth), measured), tables
    measured["brier"] = _mean_loss((scores - actual) ** 2, maximum=1.0)
    measured["log_loss"] = _mean_loss(_log_losses(np.where(actual, scores, 1 - scores)))
    tables = Evaluation(
        roc=_roc(actual, scores),
        calibration=_calibration(actual, scores),
        thresholds=tuple(_at_threshold(actual, scores, threshold) for threshold in THRESHOLDS),
        groups=_by_group(groups, actual, predicted, scores),
    )
    return _metrics(len(truth), measured), tables


def _of_classes(
    card: Card, truth: NDArray[Any], predictions: Predictions, groups: Mapping[str, Sequence[str]]
) -> tuple[Metrics, Evaluation]:
    correct = np.asarray(truth == predictions.values)
    measured = {"accuracy": _share(correct)}
    if card.scores is Scores.PROBABILITY:
        measured["log_loss"] = _mean_loss(_log_losses(predictions.scores[np.arange(len(truth)), truth]))
        measured["roc_auc"] = _one_versus_rest(truth, predictions.scores)
    # All classes, also those that do not occur: rows and columns are in the card's order.
    counts = confusion_matrix(truth, predictions.values, labels=range(len(card.classes)))
    by_group = {
        name: {
            value: GroupFigures(rows=int(rows.sum()), accuracy=float(correct[rows].mean())) for value, rows in values
        }
        for name, values in _grouped(groups)
    }
    return _metrics(len(truth), measured), Evaluation(confusion=tuple(map(tuple, counts.tolist())), groups=by_group)


def _one_versus_rest(truth: NDArray[Any], probabilities: Floats) -> _Measured:
    """Return the mean of each class's AUC against all others; these are not independent, so it has no interval."""
    classes = np.arange(probabilities.shape[1])
    # A class without records has no AUC, so that there is no mean over all classes.
    if len(np.unique(truth)) < len(classes) or not np.isfinite(probabilities).all():
        return None, None
    # Given an indicator for each class, scikit-learn does not insist on probabilities that sum to 1 to the last digit.
    return float(roc_auc_score(truth[:, np.newaxis] == classes, probabilities, average="macro")), None


def _of_regressor(truth: Floats, predicted: Floats, groups: Mapping[str, Sequence[str]]) -> tuple[Metrics, Evaluation]:
    # Squares of very large targets overflow; such metrics are left out.
    with np.errstate(all="ignore"):
        mse = _mean_loss((predicted - truth) ** 2)
        measured = {
            "r2": _r2(mse, float(truth.var())),
            "mae": _mean_loss(np.abs(predicted - truth)),
            "rmse": _root(mse),
        }
        by_group = {
            name: {
                value: GroupFigures(
                    rows=int(rows.sum()), observed=float(truth[rows].mean()), predicted=float(predicted[rows].mean())
                )
                for value, rows in values
            }
            for name, values in _grouped(groups)
        }
        return _metrics(len(truth), measured), Evaluation(calibration=_by_deciles(truth, predicted), groups=by_group)


def _of_targets(card: Card, truth: NDArray[Any], predictions: Predictions) -> Metrics:
    """Return the share of records with all targets correct, or the mean over the targets of each regression metric."""
    if card.kind is ModelKind.MULTIOUTPUT_CLASSIFIER:
        return _metrics(len(truth), {"accuracy": _share((truth == predictions.values).all(axis=1))})
    truth, predicted = truth.astype(np.float64), predictions.values.astype(np.float64)
    by_target = [_of_regressor(truth[:, at], predicted[:, at], {})[0] for at in range(truth.shape[1])]
    figures = {name: [getattr(metrics, name) for metrics in by_target] for name in ("r2", "mae", "rmse")}
    known = {name: [value for value in values if value is not None] for name, values in figures.items()}
    return _metrics(len(truth), {name: (sum(values) / len(values), None) for name, values in known.items() if values})


def _r2(mse: _Measured, variance: float) -> _Measured:
    """Return R², with the interval of the mean squared error while the variance of the truth is taken as known."""
    value, bounds = mse
    if value is None or not variance > 0:
        return None, None
    return 1 - value / variance, (1 - bounds[1] / variance, 1 - bounds[0] / variance) if bounds else None


def _root(mse: _Measured) -> _Measured:
    value, bounds = mse
    if value is None:
        return None, None
    return math.sqrt(value), (math.sqrt(bounds[0]), math.sqrt(bounds[1])) if bounds else None


def _roc(truth: Flags, scores: Floats) -> tuple[RocPoint, ...]:
    """Return about ``ROC_POINTS`` points of the curve, evenly spaced along its length."""
    if truth.all() or not truth.any() or not np.isfinite(scores).all():
        return ()
    false_rates, true_rates, _ = roc_curve(truth, scores)
    # Both rates only grow, so that half their sum runs from 0 to 1 along the curve.
    length = (false_rates + true_rates) / 2
    picked = np.unique(np.searchsorted(length, np.linspace(0.0, 1.0, ROC_POINTS)))
    return tuple(
        RocPoint(false_positive_rate=round(float(x), 5), true_positive_rate=round(float(y), 5))
        for x, y in zip(false_rates[picked], true_rates[picked], strict=True)
    )


def _calibration(truth: Flags, probability: Floats) -> tuple[CalibrationBin, ...]:
    """Return the records by tenths of the probability, without empty ones.

    ``sklearn.calibration.calibration_curve`` has the same bins, but does not tell how many records are in each.
    """
    # A probability of 1 belongs to the last bin.
    bins = np.minimum((probability * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    return tuple(_bin(truth, probability, bins == number) for number in np.unique(bins))


def _by_deciles(truth: Floats, predicted: Floats) -> tuple[CalibrationBin, ...]:
    """Return the records in ten groups of equal size, in the order of their predictions."""
    if not np.isfinite(predicted).all():
        return ()
    parts = np.array_split(np.argsort(predicted, kind="stable"), CALIBRATION_BINS)
    return tuple(_bin(truth, predicted, part) for part in parts if len(part))


def _bin(truth: NDArray[Any], predicted: Floats, rows: NDArray[Any]) -> CalibrationBin:
    chosen = predicted[rows]
    return CalibrationBin(rows=len(chosen), predicted=float(chosen.mean()), observed=float(truth[rows].mean()))


def _at_threshold(actual: Flags, probability: Floats, threshold: float) -> ThresholdFigures:
    predicted = probability >= threshold
    return ThresholdFigures(
        threshold=threshold,
        predicted_positive=float(predicted.mean()),
        precision=_rate(actual, among=predicted),
        recall=_rate(predicted, among=actual),
        accuracy=float((predicted == actual).mean()),
    )


def _rate(flags: Flags, among: Flags) -> float | None:
    """Return the share of records with a flag among some of them; None where there are none."""
    return float(flags[among].mean()) if among.any() else None


def _by_group(
    groups: Mapping[str, Sequence[str]], actual: Flags, predicted: Flags, probability: Floats | None
) -> dict[str, dict[str, GroupFigures]]:
    return {
        name: {
            value: _group_figures(actual[rows], predicted[rows], None if probability is None else probability[rows])
            for value, rows in values
        }
        for name, values in _grouped(groups)
    }


def _group_figures(actual: Flags, predicted: Flags, probability: Floats | None) -> GroupFigures:
    return GroupFigures(
        rows=len(actual),
        observed=float(actual.mean()),
        predicted=None if probability is None else float(probability.mean()),
        predicted_positive=float(predicted.mean()),
        accuracy=float((actual == predicted).mean()),
        true_positive_rate=_rate(predicted, among=actual),
        false_positive_rate=_rate(predicted, among=~actual),
    )


def _grouped(groups: Mapping[str, Sequence[str]]) -> list[tuple[str, list[tuple[str, Flags]]]]:
    """Return, for each feature, its most frequent values, each with a mask of the rows that have it."""
    grouped = []
    for name, values in groups.items():
        texts, codes, counts = np.unique(np.asarray(values, dtype=str), return_inverse=True, return_counts=True)
        order = np.argsort(-counts, kind="stable")[:MAX_GROUPS]
        grouped.append((name, [(str(texts[place]), codes == place) for place in order]))
    return grouped
