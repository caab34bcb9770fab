"""Check, when a model is added, that its explanations add up; only then does its page offer them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from model.card import ExplanationMethod, missing_library
from model.columns import Floats
from model.explanation.explainer import PipelineExplainer
from model.explanation.explanation import NotExplainable, Unit
from model.schema import Feature
from model.scorer import Scorer

CHECKED_ROWS = 100
# Training records averaged over, for linear models and for others, which take far longer.
AVERAGED_ROWS, AVERAGED_ROWS_OF_OTHERS = 100_000, 500
# Boosting libraries compute in 32 bits.
_RELATIVE, _ABSOLUTE = 1e-4, 1e-5


def explanation_fields(scorer: Scorer, frame: pd.DataFrame) -> dict[str, Any]:
    """Return the card's fields that say how a model's predictions are explained, or why they are not.

    ``frame`` holds training records, a column per feature.
    """
    try:
        explainer = checked_explainer(scorer.pipeline, scorer.card.features, scorer.pipeline_input(frame))
    except NotExplainable as error:
        return {"explanation": None, "explanation_obstacle": str(error)}
    method = ExplanationMethod(
        method=explainer.attributor.method,
        unit=explainer.unit.value,
        libraries=tuple(sorted(explainer.attributor.libraries)),
        average_effects=dict(explainer.averages or {}),
    )
    return {"explanation": method, "explanation_obstacle": None}


def checked_explainer(pipeline: Any, features: Sequence[Feature], inputs: Any) -> PipelineExplainer:
    """Return the explainer of a fitted pipeline after checking that its effects add up to the pipeline's output.

    ``inputs`` are n training records as the pipeline takes them: effects are relative to their average, and some of
    them are checked. Raise NotExplainable, which says what the obstacle is.
    """
    uncentred = PipelineExplainer.of(pipeline, features)
    if obstacle := missing_library(uncentred.attributor.libraries):
        raise NotExplainable(obstacle)
    try:
        rows = AVERAGED_ROWS if uncentred.attributor.is_linear else AVERAGED_ROWS_OF_OTHERS
        averages = uncentred.average_effects(_evenly_spaced(inputs, rows))
        explainer = PipelineExplainer(pipeline, uncentred.features, uncentred.attributor, averages)
        problem = _find_discrepancy(explainer, _evenly_spaced(inputs, CHECKED_ROWS))
    except Exception as error:
        raise NotExplainable(f"explaining the training data fails with {type(error).__name__}: {error}") from error
    if problem:
        raise NotExplainable(problem)
    return explainer


def _evenly_spaced(inputs: Any, maximum: int) -> Any:
    """Return at most ``maximum`` of the records, evenly spaced among them."""
    if len(inputs) <= maximum:
        return inputs
    # Training data may be sorted: the first records could all be of one class.
    places = np.linspace(0, len(inputs) - 1, maximum).astype(np.int64)
    return inputs.iloc[places] if isinstance(inputs, pd.DataFrame) else inputs[places]


def _find_discrepancy(explainer: PipelineExplainer, inputs: Any) -> str | None:
    """Return why the explanations of a few records are wrong; None where they add up to the predictions."""
    totals = explainer.attribution(inputs).totals
    if not _close(totals, explainer.attributor.raw_outputs(inputs)):
        return "its effects do not add up to its raw output"
    if not np.isfinite(explainer.explain(inputs).output).all() or not _match_predictions(totals, explainer, inputs):
        return "its effects do not add up to what it predicts"
    return None


def _match_predictions(totals: Floats, explainer: PipelineExplainer, inputs: Any) -> bool:
    """Return whether raw outputs, shape (n, outputs), lead to the pipeline's predictions, as far as these tell."""
    unit, pipeline = explainer.unit, explainer.pipeline
    if unit in (Unit.TARGET, Unit.LOG_TARGET):
        return _close(np.exp(totals) if unit is Unit.LOG_TARGET else totals, _columns(pipeline.predict(inputs)))
    if unit is Unit.PROBABILITY:
        return _close(totals, pipeline.predict_proba(inputs))
    if unit is Unit.LOG_ODDS and hasattr(pipeline, "predict_proba"):
        return _close(expit(totals[:, 0]), pipeline.predict_proba(inputs)[:, 1])
    if unit in (Unit.LOG_ODDS, Unit.SCORE) and hasattr(pipeline, "decision_function"):
        return _close(totals, _columns(pipeline.decision_function(inputs)))
    if unit is Unit.SCORE and totals.shape[1] > 1:
        predicted = np.asarray(pipeline.classes_)[totals.argmax(axis=1)]
        return bool((np.ravel(pipeline.predict(inputs)) == predicted).all())
    return True


def _columns(predictions: Any) -> Floats:
    values = np.asarray(predictions, dtype=np.float64)
    return values.reshape(len(values), -1)


def _close(one: Floats, other: Floats) -> bool:
    return one.shape == other.shape and bool(np.allclose(one, other, rtol=_RELATIVE, atol=_ABSOLUTE))
