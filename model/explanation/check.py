"""The proof that explanations add up, when a model is added: a page promises them only where they do."""

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
# Of linear models, and of others, which take far longer.
AVERAGED_ROWS, AVERAGED_ROWS_OF_OTHERS = 100_000, 500
# Boosting libraries add up in 32 bits.
_RELATIVE, _ABSOLUTE = 1e-4, 1e-5


def explanation_fields(scorer: Scorer, frame: pd.DataFrame) -> dict[str, Any]:
    """Return the fields of a card that say how a model's predictions are explained, or why they are not.

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
    """Return the explainer of a fitted pipeline, once its effects have been seen to add up to what the pipeline says.

    ``given``: n training records as the pipeline takes them; effects are relative to their average, and some of them are
    checked. Raises NotExplainable, which says what stands against it.
    """
    bare = PipelineExplainer.of(pipeline, features)
    if lacking := missing_library(bare.attributor.libraries):
        raise NotExplainable(lacking)
    try:
        rows = AVERAGED_ROWS if bare.attributor.is_linear else AVERAGED_ROWS_OF_OTHERS
        averages = bare.average_effects(_spread_out(inputs, rows))
        explainer = PipelineExplainer(pipeline, bare.features, bare.attributor, averages)
        problem = _problem(explainer, _spread_out(inputs, CHECKED_ROWS))
    except Exception as error:
        raise NotExplainable(f"explaining the training data fails with {type(error).__name__}: {error}") from error
    if problem:
        raise NotExplainable(problem)
    return explainer


def _spread_out(inputs: Any, most: int) -> Any:
    """At most so many of the records, evenly spread over them."""
    if len(inputs) <= most:
        return inputs
    places = np.linspace(0, len(inputs) - 1, most).astype(np.int64)
    return inputs.iloc[places] if isinstance(inputs, pd.DataFrame) else inputs[places]


def _problem(explainer: PipelineExplainer, inputs: Any) -> str | None:
    """What is wrong with the explanations of a few records: they do not add up, or not to the pipeline's answers."""
    totals = explainer.attribution(inputs).totals
    if not _equal(totals, explainer.attributor.raw_outputs(inputs)):
        return "its effects do not add up to its raw output"
    if not np.isfinite(explainer.explain(inputs).output).all() or not _agree(totals, explainer, inputs):
        return "its effects do not add up to what it predicts"
    return None


def _agree(totals: Floats, explainer: PipelineExplainer, inputs: Any) -> bool:
    """Tell whether raw outputs, shape (n, outputs), lead to what the whole pipeline answers, where that can be seen."""
    unit, pipeline = explainer.unit, explainer.pipeline
    if unit in (Unit.TARGET, Unit.LOG_TARGET):
        return _equal(np.exp(totals) if unit is Unit.LOG_TARGET else totals, _columns(pipeline.predict(inputs)))
    if unit is Unit.PROBABILITY:
        return _equal(totals, pipeline.predict_proba(inputs))
    if unit is Unit.LOG_ODDS and hasattr(pipeline, "predict_proba"):
        return _equal(expit(totals[:, 0]), pipeline.predict_proba(inputs)[:, 1])
    if unit in (Unit.LOG_ODDS, Unit.SCORE) and hasattr(pipeline, "decision_function"):
        return _equal(totals, _columns(pipeline.decision_function(inputs)))
    if unit is Unit.SCORE and totals.shape[1] > 1:
        predicted = np.asarray(pipeline.classes_)[totals.argmax(axis=1)]
        return bool((np.ravel(pipeline.predict(inputs)) == predicted).all())
    return True


def _columns(answers: Any) -> Floats:
    found = np.asarray(answers, dtype=np.float64)
    return found.reshape(len(found), -1)


def _equal(found: Floats, said: Floats) -> bool:
    return found.shape == said.shape and bool(np.allclose(found, said, rtol=_RELATIVE, atol=_ABSOLUTE))
