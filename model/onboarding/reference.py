"""What a pipeline itself says of the user's frame: the answers that the product has to give, too."""

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

from model.card import Card, InputForm, LabelRule, ModelKind, Scores
from model.columns import Floats
from model.errors import RefusedModel
from model.onboarding.pipeline_inspection import PipelineInspection, last_step
from model.scorer import label_places, score_method

USUAL_THRESHOLD = 0.5
# Their ``predict`` takes the likeliest class of ``predict_proba``, so that one call gives both.
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
# With so many parts that the pipeline does not answer, the rest of them are not looked into row by row.
_MAX_FAILED_PARTS = 400
# So many records show whether an answer depends on the other records asked about.
_ASKED_ALONE = 10


@dataclass(frozen=True, slots=True)
class Reference:
    """What the pipeline says of n records.

    ``answered``, shape (n,), has m records of which it says anything. ``predicted``, shape (m,) or (m, targets): what its
    ``predict`` says of these, of a classifier indices into its classes; ``answers``, shape (m, s): its probabilities,
    decision values, scores or distances. ``refusal`` is what it raised on a record that it does not answer.
    """

    answered: NDArray[np.bool_]
    predicted: NDArray[Any]
    answers: Floats
    scores: Scores
    refusal: str | None = None

    def without_scores(self) -> "Reference":
        """The same with nothing beside the predictions."""
        return replace(self, answers=np.empty((len(self.predicted), 0)), scores=Scores.NONE)


@dataclass(frozen=True, slots=True)
class Decision:
    """How labels come about: by which rule, and from which threshold on; None where none gives ``predict``'s labels."""

    labels_by: LabelRule
    threshold: float | None


def given(frame: pd.DataFrame, form: InputForm) -> Any:
    """Return the user's frame as the pipeline is asked with it."""
    match form:
        case InputForm.FRAME:
            return frame
        case InputForm.ARRAY:
            return frame.to_numpy()
        case InputForm.TEXTS:
            return frame.iloc[:, 0].to_numpy()


def answers_at_all(found: PipelineInspection) -> Callable[[pd.DataFrame], bool]:
    """Return what tells whether the pipeline answers every row of a frame, whatever the table calls its columns."""
    return lambda frame: _raised(found, frame.set_axis(list(found.names), axis=1)) is None


def with_several_targets(found: PipelineInspection, frame: pd.DataFrame) -> PipelineInspection:
    """Return the inspection, told apart by an answer: a regressor does not say how many targets it has."""
    if found.kind is not ModelKind.REGRESSOR:
        return found
    some = frame.dropna().head(1) if _raised(found, frame.head(1)) else frame.head(1)
    answer = _dense(found.pipeline.predict(given(some, found.form)))
    several = answer.ndim == 2 and answer.shape[1] > 1
    return replace(found, kind=ModelKind.MULTIOUTPUT_REGRESSOR, targets=answer.shape[1]) if several else found


def why_not(found: PipelineInspection, frame: pd.DataFrame) -> str:
    """Return what the pipeline raises on a frame that it does not take, in one line."""
    error = _raised(found, frame)
    return "it answers" if error is None else _one_line(error).rstrip(".")


def ask(found: PipelineInspection, frame: pd.DataFrame) -> Reference:
    """Ask a pipeline about every row of the user's frame, by its own methods.

    Raises RefusedModel where its answers are not what a model of its kind answers, or change from call to call.
    """
    answered, refusal = _answered(found, frame)
    if not answered.any():
        raise RefusedModel(f"the pipeline fails on its own training data: {refusal}")
    rows = frame[answered]
    predicted = _predicted(found, rows)
    if not _same(predicted, _predicted(found, rows)):
        raise RefusedModel("the pipeline's predict changes its answer from call to call; fix its random_state")
    some = np.linspace(0, len(rows) - 1, min(_ASKED_ALONE, len(rows))).astype(int)
    alone = [_predicted(found, rows.iloc[[place]]) for place in some]
    if not _same(predicted[some], np.concatenate(alone)):
        raise RefusedModel("the pipeline's answer to a record depends on the others that it is asked about with it")
    scores, answers = _scores(found, rows)
    reference = Reference(answered, predicted, answers, scores, refusal)
    if np.isnan(answers).any():
        return reference.without_scores()
    return reference


def depends_on_others(found: PipelineInspection, frame: pd.DataFrame, reference: Reference, place: int) -> bool:
    """Return whether the pipeline answers a record otherwise when it is asked about that one alone."""
    if not reference.answered[place]:
        return False
    try:
        alone = ask(found, frame.iloc[[place]])
    except RefusedModel:
        return True
    at = [int(reference.answered[:place].sum())]
    scores_agree = alone.scores is reference.scores and np.allclose(alone.answers, reference.answers[at], atol=1e-6)
    return not (_same(alone.predicted, reference.predicted[at]) and scores_agree)


def decide(found: PipelineInspection, reference: Reference, positive: int) -> Decision:
    """Return how labels come about, so that on all rows they are what ``predict`` says; ``positive`` is a class's index."""
    probabilities = reference.answers
    if reference.scores is not Scores.PROBABILITY or found.kind not in (
        ModelKind.BINARY_CLASSIFIER,
        ModelKind.MULTICLASS_CLASSIFIER,
    ):
        return Decision(LabelRule.PREDICT, None)
    likeliest = bool((probabilities.argmax(axis=1) == reference.predicted).all())
    is_known = _takes_the_likeliest(found.pipeline)
    rule = LabelRule.LIKELIEST if likeliest and is_known else LabelRule.PREDICT
    if found.kind is ModelKind.MULTICLASS_CLASSIFIER:
        return Decision(rule, None)
    is_positive = reference.predicted == positive
    own = own_threshold(found.pipeline)
    for threshold in (own, USUAL_THRESHOLD):
        if threshold is not None and bool(((probabilities[:, positive] >= threshold) == is_positive).all()):
            return Decision(LabelRule.THRESHOLD if threshold == own else rule, threshold)
    return Decision(rule, None)


def own_threshold(pipeline: Any) -> float | None:
    """Return the threshold on probabilities that a model was given or has chosen, or None."""
    model = last_step(pipeline)
    if not isinstance(model, _THRESHOLDS):
        return None
    threshold = getattr(model, "best_threshold_", getattr(model, "threshold", None))
    return float(threshold) if isinstance(threshold, int | float) and 0 <= threshold <= 1 else None


def _takes_the_likeliest(pipeline: Any) -> bool:
    model = last_step(pipeline)
    return type(model) in _LIKELIEST_CLASS or type(model).__name__ in _LIKELIEST_CLASS_NAMES


def _answered(found: PipelineInspection, frame: pd.DataFrame) -> tuple[NDArray[np.bool_], str | None]:
    """Which rows the pipeline answers, and what it raises on one that it does not.

    Asked by rows that lack the same values, since that is what most often stops a pipeline, and from there by halves.
    """
    answered = np.ones(len(frame), np.bool_)
    if _raised(found, frame) is None:
        return answered, None
    waiting = [np.asarray(rows) for rows in frame.groupby(_lacking(frame)).indices.values()]
    refusal, failed = None, 0
    while waiting:
        part = waiting.pop()
        error = _raised(found, frame.iloc[part])
        if error is None:
            continue
        failed += 1
        if len(part) == 1 or failed > _MAX_FAILED_PARTS:
            answered[part], refusal = False, _one_line(error)
        else:
            waiting += np.array_split(part, 2)[::-1]
    return answered, refusal


def _lacking(frame: pd.DataFrame) -> NDArray[np.int64]:
    """A number for each row, shape (n,), that is equal where the same values are missing."""
    packed = np.packbits(frame.isna().to_numpy(), axis=1)
    return np.unique(packed, axis=0, return_inverse=True)[1].reshape(-1)


def _raised(found: PipelineInspection, frame: pd.DataFrame) -> BaseException | None:
    try:
        answer = found.pipeline.predict(given(frame, found.form))
        if len(answer) != len(frame):
            return ValueError(f"it answered {len(answer)} of {len(frame)} rows")
    except (Exception, SystemExit) as error:  # noqa: BLE001 - pipelines are others' code and may raise anything
        return error
    return None


def _predicted(found: PipelineInspection, rows: pd.DataFrame) -> NDArray[Any]:
    answer = _dense(found.pipeline.predict(given(rows, found.form)))
    answer = answer[:, 0] if answer.ndim == 2 and answer.shape[1] == 1 else answer
    match found.kind:
        case ModelKind.REGRESSOR | ModelKind.MULTIOUTPUT_REGRESSOR:
            numbers = answer.astype(np.float64)
            if wrong := int((~np.isfinite(numbers)).sum()):
                raise RefusedModel(f"the pipeline predicts NaN or infinity for {wrong:,} rows")
            return numbers
        case ModelKind.OUTLIER_DETECTOR:
            return (answer > 0).astype(np.int64)
        case ModelKind.MULTIOUTPUT_CLASSIFIER:
            columns = zip(answer.T, found.target_classes, strict=True)
            return np.column_stack([_places(labels.tolist(), classes) for labels, classes in columns])
        case _:
            return _places(answer.tolist(), found.classes)


def _places(labels: list[Any], classes: tuple[str, ...]) -> NDArray[np.int64]:
    try:
        return label_places(labels, classes)
    except KeyError as error:
        raise RefusedModel(f"the pipeline predicts {error.args[0]!r}, which is none of its classes_") from error


def _scores(found: PipelineInspection, rows: pd.DataFrame) -> tuple[Scores, Floats]:
    """What the pipeline says beside its predictions."""
    for scores, method, width in _ways_to_score(found):
        answer = _score(found, rows, method)
        if answer is None:
            continue
        answer = answer[:, np.newaxis] if answer.ndim == 1 else answer
        if scores is Scores.DISTANCE:
            answer = answer.min(axis=1, keepdims=True)
        if answer.shape == (len(rows), width):
            return scores, answer
    return Scores.NONE, np.empty((len(rows), 0))


def _ways_to_score(found: PipelineInspection) -> list[tuple[Scores, str, int]]:
    classes = len(found.classes)
    match found.kind:
        case ModelKind.BINARY_CLASSIFIER | ModelKind.MULTICLASS_CLASSIFIER:
            decisions = 1 if found.kind is ModelKind.BINARY_CLASSIFIER else classes
            return [(Scores.PROBABILITY, "predict_proba", classes), (Scores.DECISION, "decision_function", decisions)]
        case ModelKind.OUTLIER_DETECTOR:
            return [(Scores.SCORE, score_method(found.pipeline), 1)]
        case ModelKind.CLUSTERER:
            return [(Scores.DISTANCE, "transform", 1)]
        case _:
            return []


def _score(found: PipelineInspection, rows: pd.DataFrame, method: str) -> Floats | None:
    try:
        return _dense(getattr(found.pipeline, method)(given(rows, found.form))).astype(np.float64)
    except Exception:  # noqa: BLE001 - a method that is there need not work: ``probability=False``, hard votes
        return None


def _same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    if one.dtype.kind == "f":
        return bool(np.allclose(one, other, rtol=1e-9, atol=1e-12))
    return bool((one == other).all())


def _dense(answer: Any) -> NDArray[Any]:
    return np.asarray(answer.toarray() if hasattr(answer, "toarray") else answer)


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{text or type(error).__name__}"[:300]


def expected_scores(reference: Reference, card: Card) -> Floats:
    """Return the reference's scores as the card's columns have them: of a binary classifier, the positive class's."""
    if card.kind is not ModelKind.BINARY_CLASSIFIER or not reference.answers.shape[1]:
        return reference.answers
    positive = card.classes.index(str(card.positive_class))
    if card.scores is Scores.PROBABILITY:
        return reference.answers[:, [positive]]
    return reference.answers if positive else -reference.answers
