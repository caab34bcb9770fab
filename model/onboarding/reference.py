"""The pipeline's own predictions on the user's frame, which the product has to reproduce."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.tree import DecisionTreeClassifier

from model.answers import TOLERANCE, absolute_tolerance
from model.card import Card, LabelRule, ModelKind, Scores
from model.columns import Floats, as_input
from model.errors import RefusedModel
from model.onboarding.pipeline_inspection import PipelineInspection, last_step
from model.scorer import label_places, score_method

USUAL_THRESHOLD = 0.5
# Their ``predict`` returns the most probable class of ``predict_proba``, so that one call gives both.
_LIKELIEST_CLASS = (
    LogisticRegression,
    RandomForestClassifier,
    ExtraTreesClassifier,
    DecisionTreeClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
)
_LIKELIEST_CLASS_NAMES = ("XGBClassifier", "LGBMClassifier")
_THRESHOLDS = (FixedThresholdClassifier, TunedThresholdClassifierCV)
# After so many failures, what else fails is not divided down to single rows any more.
_MAX_FAILED_PARTS = 400
# Records predicted alone, to see whether predictions depend on the other records in the call.
_ROWS_ALONE = 10


@dataclass(frozen=True, slots=True)
class Reference:
    """The pipeline's own predictions for n records.

    ``answered``, shape (n,), marks the m records that it can predict. ``predicted``, shape (m,) or (m, targets), is
    what its ``predict`` returns for these, indices into its classes for a classifier; ``answers``, shape (m, s), are
    its probabilities, decision values, scores or distances. ``refusal`` is what it raised on a record that it cannot
    predict.
    """

    answered: NDArray[np.bool_]
    predicted: NDArray[Any]
    answers: Floats
    scores: Scores
    refusal: str | None = None

    def without_scores(self) -> "Reference":
        """Return a copy with nothing beside the predictions."""
        return replace(self, answers=np.empty((len(self.predicted), 0)), scores=Scores.NONE)


@dataclass(frozen=True, slots=True)
class Decision:
    """How labels are decided: by which rule, and from which threshold; None where none agrees with ``predict``."""

    labels_by: LabelRule
    threshold: float | None


def predicts_all(inspection: PipelineInspection) -> Callable[[pd.DataFrame], bool]:
    """Return a function that tells whether the pipeline predicts every row of a frame, whatever its column names."""
    return lambda frame: _exception_of(inspection, frame.set_axis(list(inspection.names), axis=1)) is None


def with_several_targets(inspection: PipelineInspection, frame: pd.DataFrame) -> PipelineInspection:
    """Return the inspection with the number of targets: a regressor only shows it by predicting."""
    if inspection.kind is not ModelKind.REGRESSOR:
        return inspection
    # The first row may lack values that the pipeline does not accept.
    some = frame.dropna().head(1) if _exception_of(inspection, frame.head(1)) else frame.head(1)
    answer = _dense(inspection.pipeline.predict(as_input(some, inspection.form)))
    several = answer.ndim == 2 and answer.shape[1] > 1
    return replace(inspection, kind=ModelKind.MULTIOUTPUT_REGRESSOR, targets=answer.shape[1]) if several else inspection


def failure_reason(inspection: PipelineInspection, frame: pd.DataFrame) -> str:
    """Return what the pipeline raises on a frame, in one line."""
    error = _exception_of(inspection, frame)
    return "it answers" if error is None else _one_line(error).rstrip(".")


def ask_pipeline(inspection: PipelineInspection, frame: pd.DataFrame) -> Reference:
    """Return a pipeline's predictions for every row of the user's frame, by its own methods.

    Raise RefusedModel where they are not what a model of its kind predicts, change from call to call, or depend on
    other rows.
    """
    answered, refusal = _find_answered(inspection, frame)
    if not answered.any():
        raise RefusedModel(f"the pipeline fails on its own training data: {refusal}")
    rows = frame[answered]
    predicted = _predict(inspection, rows)
    if not _same(predicted, _predict(inspection, rows)):
        raise RefusedModel("the pipeline's predictions change from call to call; fix its random_state")
    # A step that looks at the whole call, such as ranking or scaling by the batch, cannot be served chunk by chunk.
    some = np.linspace(0, len(rows) - 1, min(_ROWS_ALONE, len(rows))).astype(int)
    alone = [_predict(inspection, rows.iloc[[place]]) for place in some]
    if not _same(predicted[some], np.concatenate(alone)):
        raise RefusedModel("the pipeline's prediction for a record depends on the others in the call")
    scores, answers = _find_scores(inspection, rows)
    reference = Reference(answered, predicted, answers, scores, refusal)
    # A model may be used for its predictions alone, so that it is not refused for scores that cannot be written.
    if not np.isfinite(answers).all():
        return reference.without_scores()
    return reference


def answers_to(inspection: PipelineInspection, rows: pd.DataFrame) -> tuple[NDArray[Any], Floats]:
    """Return what a ``Reference`` calls ``predicted`` and ``answers``, for rows that the pipeline may not predict.

    It may raise anything.
    """
    if error := _exception_of(inspection, rows):
        raise error
    return _predict(inspection, rows), _find_scores(inspection, rows)[1]


def depends_on_others(inspection: PipelineInspection, frame: pd.DataFrame, reference: Reference, place: int) -> bool:
    """Return whether the pipeline predicts a record otherwise when it is given that one alone."""
    if not reference.answered[place]:
        return False
    try:
        alone = ask_pipeline(inspection, frame.iloc[[place]])
    except RefusedModel:
        return True
    # Its place among the answered rows, the only ones with a prediction.
    at = [int(reference.answered[:place].sum())]
    scores_agree = alone.scores is reference.scores and np.allclose(alone.answers, reference.answers[at], atol=1e-6)
    return not (_same(alone.predicted, reference.predicted[at]) and scores_agree)


def decide(inspection: PipelineInspection, reference: Reference, positive: int) -> Decision:
    """Return how labels are decided so that all rows get those of ``predict``; ``positive`` is a class's index."""
    probabilities = reference.answers
    if reference.scores is not Scores.PROBABILITY or inspection.kind not in (
        ModelKind.BINARY_CLASSIFIER,
        ModelKind.MULTICLASS_CLASSIFIER,
    ):
        return Decision(LabelRule.PREDICT, None)
    # That labels and probabilities agree on these rows proves nothing for others, unless the model is known for it.
    likeliest = bool((probabilities.argmax(axis=1) == reference.predicted).all())
    is_known = _predicts_likeliest(inspection.pipeline)
    rule = LabelRule.LIKELIEST if likeliest and is_known else LabelRule.PREDICT
    if inspection.kind is ModelKind.MULTICLASS_CLASSIFIER:
        return Decision(rule, None)
    is_positive = reference.predicted == positive
    own = own_threshold(inspection.pipeline)
    for threshold in (own, USUAL_THRESHOLD):
        if threshold is not None and bool(((probabilities[:, positive] >= threshold) == is_positive).all()):
            return Decision(LabelRule.THRESHOLD if threshold == own else rule, threshold)
    return Decision(rule, None)


def own_threshold(pipeline: Any) -> float | None:
    """Return the threshold on probabilities that a model was given or has tuned, or None."""
    model = last_step(pipeline)
    if not isinstance(model, _THRESHOLDS):
        return None
    threshold = getattr(model, "best_threshold_", getattr(model, "threshold", None))
    return float(threshold) if isinstance(threshold, int | float) and 0 <= threshold <= 1 else None


def _predicts_likeliest(pipeline: Any) -> bool:
    model = last_step(pipeline)
    return type(model) in _LIKELIEST_CLASS or type(model).__name__ in _LIKELIEST_CLASS_NAMES


def _find_answered(inspection: PipelineInspection, frame: pd.DataFrame) -> tuple[NDArray[np.bool_], str | None]:
    """Return which rows the pipeline can predict, and what it raises on one that it cannot.

    First by groups of rows that lack the same values, since missing values are what most often fails, then by
    bisection.
    """
    answered = np.ones(len(frame), np.bool_)
    if _exception_of(inspection, frame) is None:
        return answered, None
    pending = [np.asarray(rows) for rows in frame.groupby(_missing_pattern(frame)).indices.values()]
    refusal, failed = None, 0
    while pending:
        part = pending.pop()
        error = _exception_of(inspection, frame.iloc[part])
        if error is None:
            continue
        failed += 1
        if len(part) == 1 or failed > _MAX_FAILED_PARTS:
            answered[part], refusal = False, _one_line(error)
        else:
            pending += np.array_split(part, 2)[::-1]
    return answered, refusal


def _missing_pattern(frame: pd.DataFrame) -> NDArray[np.int64]:
    """Return a number for each row, shape (n,), that is equal where the same values are missing."""
    packed = np.packbits(frame.isna().to_numpy(), axis=1)
    return np.unique(packed, axis=0, return_inverse=True)[1].reshape(-1)


def _exception_of(inspection: PipelineInspection, frame: pd.DataFrame) -> BaseException | None:
    try:
        answer = inspection.pipeline.predict(as_input(frame, inspection.form))
        if len(answer) != len(frame):
            return ValueError(f"it answered {len(answer)} of {len(frame)} rows")
    except (Exception, SystemExit) as error:  # noqa: BLE001 - pipelines are others' code and may raise anything
        return error
    return None


def _predict(inspection: PipelineInspection, rows: pd.DataFrame) -> NDArray[Any]:
    answer = _dense(inspection.pipeline.predict(as_input(rows, inspection.form)))
    # A regressor that was fitted on a column of targets, shape (n, 1), answers in that shape.
    answer = answer[:, 0] if answer.ndim == 2 and answer.shape[1] == 1 else answer
    match inspection.kind:
        case ModelKind.REGRESSOR | ModelKind.MULTIOUTPUT_REGRESSOR:
            numbers = answer.astype(np.float64)
            if wrong := int((~np.isfinite(numbers)).sum()):
                raise RefusedModel(f"the pipeline predicts NaN or infinity for {wrong:,} rows")
            return numbers
        case ModelKind.OUTLIER_DETECTOR:
            return (answer > 0).astype(np.int64)
        case ModelKind.MULTIOUTPUT_CLASSIFIER:
            columns = zip(answer.T, inspection.target_classes, strict=True)
            return np.column_stack([_class_indices(labels.tolist(), classes) for labels, classes in columns])
        case _:
            return _class_indices(answer.tolist(), inspection.classes)


def _class_indices(labels: list[Any], classes: tuple[str, ...]) -> NDArray[np.int64]:
    try:
        return label_places(labels, classes)
    except KeyError as error:
        raise RefusedModel(f"the pipeline predicts {error.args[0]!r}, which is none of its classes_") from error


def _find_scores(inspection: PipelineInspection, rows: pd.DataFrame) -> tuple[Scores, Floats]:
    """Return what the pipeline gives beside its predictions."""
    for scores, method, width in _score_methods(inspection):
        answer = _score(inspection, rows, method)
        if answer is None:
            continue
        answer = answer[:, np.newaxis] if answer.ndim == 1 else answer
        if scores is Scores.DISTANCE:
            # ``transform`` gives the distance to every centre; that of the record's own cluster is the smallest.
            answer = answer.min(axis=1, keepdims=True)
        if answer.shape == (len(rows), width):
            return scores, answer
    return Scores.NONE, np.empty((len(rows), 0))


def _score_methods(inspection: PipelineInspection) -> list[tuple[Scores, str, int]]:
    classes = len(inspection.classes)
    match inspection.kind:
        case ModelKind.BINARY_CLASSIFIER | ModelKind.MULTICLASS_CLASSIFIER:
            decisions = 1 if inspection.kind is ModelKind.BINARY_CLASSIFIER else classes
            return [(Scores.PROBABILITY, "predict_proba", classes), (Scores.DECISION, "decision_function", decisions)]
        case ModelKind.OUTLIER_DETECTOR:
            return [(Scores.SCORE, score_method(inspection.pipeline), 1)]
        case ModelKind.CLUSTERER:
            return [(Scores.DISTANCE, "transform", 1)]
        case _:
            return []


def _score(inspection: PipelineInspection, rows: pd.DataFrame, method: str) -> Floats | None:
    try:
        return _dense(getattr(inspection.pipeline, method)(as_input(rows, inspection.form))).astype(np.float64)
    except Exception:  # noqa: BLE001 - a method that is there need not work: ``probability=False``, hard votes
        return None


def _same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    if one.dtype.kind == "f":
        # As the proof compares: float32 models round otherwise in a batch than alone.
        return bool(np.allclose(one, other, rtol=TOLERANCE, atol=absolute_tolerance(one)))
    return bool((one == other).all())


def _dense(answer: Any) -> NDArray[Any]:
    return np.asarray(answer.toarray() if hasattr(answer, "toarray") else answer)


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{text or type(error).__name__}"[:300]


def expected_scores(reference: Reference, card: Card) -> Floats:
    """Return the reference's scores in the card's columns: for a binary classifier, the positive class's."""
    if card.kind is not ModelKind.BINARY_CLASSIFIER or not reference.answers.shape[1]:
        return reference.answers
    positive = card.classes.index(str(card.positive_class))
    if card.scores is Scores.PROBABILITY:
        return reference.answers[:, [positive]]
    # A decision above 0 speaks for the second class.
    return reference.answers if positive else -reference.answers
