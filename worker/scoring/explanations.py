"""Explain predictions so that no failure of an explainer costs a prediction."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache

import numpy as np
import structlog
from numpy.typing import NDArray

from model.columns import Column, Floats
from model.errors import ExplanationFailed
from model.explanation.explanation import Explanation
from model.schema import Value
from model.scorer import Predictions, Scorer

log = structlog.stdlib.get_logger(__name__)

Rows = NDArray[np.int64]

# An explainer that has failed on this many single rows, and explained none, is not tried on the others.
_MAX_FAILURES = 16


def effects_of(scorer: Scorer, rows: int, columns_of: Callable[[Rows], Mapping[str, Column]]) -> Floats:
    """Return the effects, shape (n, features); NaN for rows that cannot be explained.

    ``columns_of`` returns the dictionary-coded columns of some of the rows, by index.
    """
    explanation = explain_each(scorer, rows, lambda part: scorer.explain_coded(columns_of(part)))
    return np.full((rows, len(scorer.card.features)), np.nan) if explanation is None else explanation.effects


def predict_and_explain(
    scorer: Scorer, records: Sequence[Mapping[str, Value]], threshold: float | None
) -> tuple[Predictions, Explanation | None]:
    """Like ``Scorer.predict_and_explain_records``, but effects are NaN where only the prediction succeeds."""
    try:
        return scorer.predict_and_explain_records(records, threshold)
    except ExplanationFailed:
        predictions = scorer.predict_records(records, threshold)
        explanation = explain_each(
            scorer, len(records), lambda part: scorer.explain_records([records[row] for row in part])
        )
        return predictions, explanation


def explain_each(scorer: Scorer, rows: int, explain: Callable[[Rows], Explanation | None]) -> Explanation | None:
    """Explain rows by bisection; single rows that fail get NaN. Return None if all fail."""
    waiting, done, failures = [np.arange(rows)], list[tuple[Rows, Explanation]](), 0
    while waiting and (done or failures < _MAX_FAILURES):
        part = waiting.pop()
        try:
            if (explanation := explain(part)) is None:
                _warn_once(scorer.card.name, scorer.card.version, scorer.card.obstacle_to_explanation)
                return None
            done.append((part, explanation))
        except ExplanationFailed as error:
            _warn_once(scorer.card.name, scorer.card.version, type(error.__cause__ or error).__name__)
            failures += len(part) == 1
            waiting += np.array_split(part, 2)[::-1] if len(part) > 1 else []
    return _join_parts(rows, done) if done else None


def _join_parts(rows: int, done: Sequence[tuple[Rows, Explanation]]) -> Explanation:
    baseline = np.full(rows, np.nan)
    effects = np.full((rows, done[0][1].effects.shape[1]), np.nan)
    for part, explanation in done:
        baseline[part], effects[part] = explanation.baseline, explanation.effects
    return Explanation(baseline, effects, done[0][1].unit)


@cache
def _warn_once(name: str, version: str, reason: str | None) -> None:
    log.warning("predictions not explained", model=name, version=version, reason=reason)
