"""The figures of a model on actual outcomes, week by week, and whether they fall short of the held-out ones."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from database import outcomes
from database.database import Database
from model.card import Card, ModelKind
from model.catalog import Catalog
from model.errors import ModelError
from model.monitoring.live import LEAST_OUTCOMES, LiveMetric, compare

_WEEKS_AT_ONCE = 20
_CALIBRATION_BINS = 10

Observed = Sequence[tuple[str, str, float | None]]
"""Outcomes: what happened, what was predicted, and the probability of the positive class."""


def refresh_weeks(database: Database, catalog: Catalog) -> bool:
    """Compute the figures of stale weeks, a limited number at a time; return whether there were any.

    Raises:
        DatabaseUnavailable, DatabaseTooNew: as ``Database`` does.
    """
    with database.reading() as connection:
        weeks = outcomes.stale_weeks(connection, _WEEKS_AT_ONCE)
    for week in weeks:
        with database.reading() as connection:
            changes, observed = outcomes.observed_week(connection, week)
        # Between the transactions: this takes its time, and of SQLite's writers there can be one at once.
        measured = figures(observed, _card(catalog, week[0], week[1]))
        with database.writing() as connection:
            outcomes.finish_week(connection, week, measured, changes)
    return bool(weeks)


def live_metrics(database: Database, catalog: Catalog) -> list[LiveMetric]:
    """Return the live metrics of each version that has outcomes, beside the held-out ones.

    Raises:
        DatabaseUnavailable, DatabaseTooNew: as ``Database`` does.
    """
    with database.reading() as connection:
        weeks = outcomes.outcome_weeks(connection)
    newest: dict[tuple[str, str], Mapping[str, Any]] = {}
    for week in weeks:
        if week["figures"]["rows"] >= LEAST_OUTCOMES:
            # The weeks come newest first.
            newest.setdefault((week["model"], week["version"]), week["figures"])
    return [
        metric
        for (model, version), measured in newest.items()
        if (card := _card(catalog, model, version))
        for metric in compare(card, measured)
    ]


def figures(observed: Observed, card: Card | None) -> dict[str, Any]:
    """Return the figures of outcomes: their number, and each metric with its 95 % interval."""
    if card is not None and card.kind is ModelKind.REGRESSOR:
        return _of_numbers(observed)
    positive = card.positive_class if card is not None and card.kind is ModelKind.BINARY_CLASSIFIER else None
    return _of_classes(observed, positive)


def _of_classes(observed: Observed, positive: str | None) -> dict[str, Any]:
    # Loads scikit-learn, which only what has outcomes needs.
    from model.evaluate import auc_interval, share_interval  # noqa: PLC0415

    rows = len(observed)
    measured: dict[str, Any] = {"rows": rows}
    if not rows:
        return measured
    hits = sum(value == predicted for value, predicted, _ in observed)
    measured["accuracy"] = _metric(hits / rows, share_interval(hits, rows))
    scored = [(value == positive, probability) for value, _, probability in observed if probability is not None]
    if positive is None or not scored:
        return measured
    truth = np.array([happened for happened, _ in scored])
    scores = np.array([probability for _, probability in scored], np.float64)
    positives = int(truth.sum())
    negatives = len(truth) - positives
    if positives and negatives:
        auc = _auc(truth, scores)
        measured["roc_auc"] = _metric(auc, auc_interval(auc, positives, negatives))
    measured["calibration"] = _calibration(truth, scores)
    return measured


def _auc(truth: Any, scores: Any) -> float:
    """Return the share of pairs of a positive and a negative record that the scores order rightly; ties count half."""
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    # Equal scores share the mean of their ranks.
    ranks = (ends - (counts - 1) / 2)[places]
    positives = int(truth.sum())
    return float((ranks[truth].sum() - positives * (positives + 1) / 2) / (positives * (len(truth) - positives)))


def _calibration(truth: Any, scores: Any) -> list[dict[str, float]]:
    bins = np.minimum((scores * _CALIBRATION_BINS).astype(np.int64), _CALIBRATION_BINS - 1)
    rows = np.bincount(bins, minlength=_CALIBRATION_BINS)
    predicted, happened = np.bincount(bins, scores, _CALIBRATION_BINS), np.bincount(bins, truth, _CALIBRATION_BINS)
    return [
        {"rows": int(rows[n]), "predicted": float(predicted[n] / rows[n]), "observed": float(happened[n] / rows[n])}
        for n in range(_CALIBRATION_BINS)
        if rows[n]
    ]


def _of_numbers(observed: Observed) -> dict[str, Any]:
    from model.evaluate import mean_interval  # noqa: PLC0415 - as above

    pairs = [(_number(value), _number(predicted)) for value, predicted, _ in observed]
    errors = np.array(
        [abs(value - predicted) for value, predicted in pairs if value is not None and predicted is not None]
    )
    if not len(errors):
        return {"rows": 0}
    rmse = math.sqrt(float((errors**2).mean()))
    return {
        "rows": len(errors),
        "mae": _metric(float(errors.mean()), mean_interval(errors)),
        "rmse": _metric(rmse, None),
    }


def _metric(value: float, interval: tuple[float, float] | None) -> dict[str, Any]:
    return {"value": value, "interval": None if interval is None else list(interval)}


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _card(catalog: Catalog, model: str, version: str) -> Card | None:
    try:
        return catalog.card(model, version)
    except ModelError:
        return None
