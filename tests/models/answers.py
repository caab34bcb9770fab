"""A pipeline's own predictions, and whether the service's are the same."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier, is_clusterer, is_outlier_detector
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture

TOLERANCE = 1e-6
OUTLIERS = {-1: "outlier", 1: "normal"}


@dataclass(frozen=True)
class ExpectedPredictions:
    """For n rows: ``labels``, shape (n, targets), texts or numbers; ``scores``, by name, shape (n, k).

    The label of a row on which the pipeline raises is None.
    """

    labels: NDArray[Any]
    scores: dict[str, NDArray[np.float64]]

    @property
    def answered(self) -> NDArray[np.bool_]:
        """Which rows have a prediction, shape (n,)."""
        return np.array([label is not None for label in self.labels[:, 0]], np.bool_)


def row_by_row(answer: Callable[[Any], ExpectedPredictions], asked: Any) -> ExpectedPredictions:
    """The predictions for all rows; where the pipeline raises on them together, those for each alone."""
    try:
        return answer(asked)
    except Exception:  # noqa: BLE001  whatever a pipeline raises, it does not answer
        alone = [_one(answer, asked[place : place + 1]) for place in range(len(asked))]
    some = next((found for found in alone if found is not None), None)
    if some is None:
        return ExpectedPredictions(np.full((len(alone), 1), None, object), {})
    unknown = {kind: np.full_like(values, np.nan) for kind, values in some.scores.items()}
    nothing = ExpectedPredictions(np.full(some.labels.shape, None, object), unknown)
    each = [nothing if found is None else found for found in alone]
    scores = {kind: np.concatenate([found.scores[kind] for found in each]) for kind in some.scores}
    return ExpectedPredictions(np.concatenate([found.labels.astype(object) for found in each]), scores)


def _one(answer: Callable[[Any], ExpectedPredictions], row: Any) -> ExpectedPredictions | None:
    try:
        return answer(row)
    except Exception:  # noqa: BLE001
        return None


def own_answers(pipeline: Any, asked: Any, classes: Sequence[str] = ()) -> ExpectedPredictions:
    """A pipeline's predictions for ``asked``; ``classes`` are the names of its classes, in order."""
    predicted = np.asarray(pipeline.predict(asked))
    if is_outlier_detector(pipeline):
        words = np.array([OUTLIERS[int(value)] for value in predicted], object)
        scores = {"score": pipeline.decision_function(asked)} if hasattr(pipeline, "decision_function") else {}
        return ExpectedPredictions(_columns(words), {name: _columns(values) for name, values in scores.items()})
    if predicted.ndim == 2 and predicted.shape[1] == 1:
        predicted = predicted[:, 0]
    scores = _scores(pipeline, asked) if predicted.ndim == 1 else {}
    if classes:
        places = {value: place for place, value in enumerate(np.asarray(pipeline.classes_).tolist())}
        predicted = np.array([classes[places[value]] for value in predicted.tolist()], object)
    return ExpectedPredictions(_columns(predicted), scores)


def _scores(pipeline: Any, asked: Any) -> dict[str, NDArray[np.float64]]:
    found = {}
    if is_classifier(pipeline) and hasattr(pipeline, "predict_proba"):
        probabilities = np.asarray(pipeline.predict_proba(asked), np.float64)
        found["probability"] = probabilities[:, 1:] if probabilities.shape[1] == 2 else probabilities
    if is_classifier(pipeline) and hasattr(pipeline, "decision_function"):
        found["decision"] = _columns(pipeline.decision_function(asked))
    clusters = is_clusterer(pipeline) or isinstance(pipeline, GaussianMixture | BayesianGaussianMixture)
    if clusters and hasattr(pipeline, "transform"):
        found["distance"] = _columns(np.asarray(pipeline.transform(asked)).min(axis=1))
    return found


def _columns(values: Any) -> NDArray[Any]:
    values = np.asarray(values)
    return values.reshape(len(values), -1)


def same_label(found: Any, wanted: Any) -> bool:
    """Whether a label or a number, as text or not, is the expected one."""
    if found in ("", None):
        return wanted == ""
    if isinstance(wanted, str):
        return str(found) == wanted
    if isinstance(wanted, float | np.floating):
        return close(float(found), float(wanted))
    return str(found) == str(wanted) or _number(found) == _number(wanted)


def close(found: float, wanted: float) -> bool:
    return math.isclose(found, wanted, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def _number(value: Any) -> float | str:
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)
