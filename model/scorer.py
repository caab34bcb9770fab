"""Scoring: records in, predictions out. A ``Scorer`` is one version of a model, loaded once."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from model import artifact
from model.card import Card, LabelRule, ModelKind, Scores
from model.catalog import Catalog
from model.columns import Column, Floats, as_input, code_frame, code_records, column_of, frame_of, in_order, parts_of
from model.errors import BrokenModel, ExplanationFailed, ScoringFailed, failure_reason
from model.explanation.additive import AdditiveModel
from model.explanation.explainer import explainer_of
from model.explanation.explanation import Explainer, Explanation
from model.parsing import parse_number
from model.schema import Value


@dataclass(frozen=True)
class Predictions:
    """Predictions of n records, in their order.

    ``values``, shape (n,), or (n, targets) where the card has several targets: indices into the card's classes for
    a classifier, numbers for a regressor. ``scores``, shape (n, s): the columns that the card's ``score_columns``
    names.
    """

    values: NDArray[Any]
    scores: Floats

    def by_target(self, card: Card) -> list[tuple[NDArray[Any], tuple[str, ...]]]:
        """Return each target's values, shape (n,), with the classes that they index; no classes for numbers."""
        if not card.kind.has_several_targets:
            return [(self.values, card.classes)]
        classes = card.target_classes or [()] * len(card.targets)
        return list(zip(self.values.T, classes, strict=True))

    def by_record(self, card: Card) -> list[tuple[str | float, ...]]:
        """Return, for each record, its predictions, classes by name, followed by its scores."""
        columns = [
            [classes[value] for value in values.tolist()] if classes else values.tolist()
            for values, classes in self.by_target(card)
        ]
        return list(zip(*columns, *self.scores.T.tolist(), strict=True))

    @property
    def positive(self) -> Floats:
        """The probability (or decision) of a binary classifier's positive class, shape (n,)."""
        return self.scores[:, 0]

    @classmethod
    def joined(cls, parts: Sequence[Self], order: NDArray[np.int64]) -> Self:
        """Return the predictions of one or more parts, with the rows in the given order."""
        values = np.concatenate([part.values for part in parts])
        return cls(values[order], np.concatenate([part.scores for part in parts])[order])


class Scorer:
    """A model's card with its fitted pipeline. Frames have one column per feature; NaN or None is missing.

    The constructor raises BrokenModel where the pipeline's classes are not the card's. Every method raises
    ScoringFailed where the pipeline raises, or returns NaN, infinity or another number of rows; those that explain
    raise ExplanationFailed.
    """

    def __init__(self, card: Card, pipeline: Any) -> None:
        _check_classes(card, pipeline)
        self.card = card
        self.pipeline = pipeline
        self.schema = card.record_schema
        self._additive = _additive_form(card, pipeline)

    @classmethod
    def load(cls, catalog: Catalog, name: str | None = None, version: str | None = None) -> Self:
        """Load a model (None: the default one, its current version); raises UnknownModel and BrokenModel."""
        card = catalog.card(name, version)
        path = catalog.artifact_path(card.name, card.version)
        module = catalog.module_path(card)
        return cls(card, artifact.load(path, card.artifact_sha256, card.trusted, module, card.module_sha256))

    def probabilities(self, frame: pd.DataFrame) -> Floats:
        """Return the pipeline's probabilities of each class, shape (n, classes), columns in the card's order."""
        shape = (len(frame), len(self.card.classes))
        return self._call("predict_proba", self.prepared(frame), shape)

    def predict(self, frame: pd.DataFrame, threshold: float | None = None) -> Predictions:
        """Return the predictions of a frame.

        For a binary classifier with probabilities, ``threshold`` makes the records with at least that
        probability positive. Without it, a label is that of the pipeline's ``predict``, unless the schema's
        owner chose a threshold.
        """
        return self._predict(self.prepared(frame), threshold)

    def predict_prepared(self, frame: pd.DataFrame) -> Predictions:
        """Return the predictions of a frame whose columns are as the pipeline takes them: see ``prepared``."""
        return self._predict(frame, None)

    def predict_coded(self, columns: Mapping[str, Column], threshold: float | None = None) -> Predictions:
        """Return the predictions of dictionary-coded columns, by feature.

        A missing value (None or NaN) is a distinct value like any other; one of a feature that allows none may
        be listed, but not used. Additive models are scored from a table per feature, which gives what their
        pipeline does, many times faster; other models by their pipeline.
        """
        if self._additive is None:
            return self._predict(self._decoded(columns), threshold)
        rows = len(next(iter(columns.values()))[1])
        with self._failures(rows):
            positive = self._additive.positive(columns)
        return self._predictions_of_positive(self._checked(positive, (rows,)), threshold)

    def predict_records(self, records: Sequence[Mapping[str, Value]], threshold: float | None = None) -> Predictions:
        """Return the predictions of records from ``Schema.validate_record``: the fast path for a few."""
        if self._additive is None:
            return self._predict(frame_of(records, self.card.features), threshold)
        return self.predict_coded(code_records(records, self.card.features), threshold)

    def explain(self, frame: pd.DataFrame) -> Explanation | None:
        """Return each feature's effect on each record; None where the card has no explanation.

        With several classes, each record's effects are about the class that is predicted.
        """
        prepared = self.prepared(frame)
        if self._additive is not None:
            return self._explained_by_table(self._additive, code_frame(prepared, self.card.features), len(frame))
        return self._explained(prepared)

    def explain_coded(self, columns: Mapping[str, Column]) -> Explanation | None:
        """Return what ``explain`` does, for dictionary-coded columns as ``predict_coded`` takes them."""
        if self._additive is not None:
            return self._explained_by_table(self._additive, columns, len(next(iter(columns.values()))[1]))
        return self._explained(self._decoded(columns))

    def explain_records(self, records: Sequence[Mapping[str, Value]]) -> Explanation | None:
        """Return what ``explain`` does, for records from ``Schema.validate_record``."""
        if self._additive is not None:
            return self._explained_by_table(self._additive, code_records(records, self.card.features), len(records))
        return self._explained(frame_of(records, self.card.features))

    def predict_and_explain_records(
        self, records: Sequence[Mapping[str, Value]], threshold: float | None = None
    ) -> tuple[Predictions, Explanation | None]:
        """Return what ``predict_records`` and ``explain_records`` do, computed once."""
        explanation = self.explain_records(records)
        if self._additive is None or explanation is None:
            return self.predict_records(records, threshold), explanation
        # The output of an additive model is its log-odds, from which the probability follows.
        return self._predictions_of_positive(expit(explanation.output), threshold), explanation

    @property
    def _positive_index(self) -> int:
        return self.card.classes.index(str(self.card.positive_class))

    def _predict(self, frame: pd.DataFrame, threshold: float | None) -> Predictions:
        answers = self._answers(frame)
        return Predictions(self._values(frame, answers, threshold), self._score_columns(answers))

    def _answers(self, frame: pd.DataFrame) -> Floats:
        """Return what the pipeline gives beside its predictions, shape (n, s): scores for all classes if it has any."""
        rows, classes = len(frame), len(self.card.classes)
        match self.card.scores:
            case Scores.PROBABILITY:
                return self._call("predict_proba", frame, (rows, classes))
            case Scores.DECISION if self.card.kind is ModelKind.MULTICLASS_CLASSIFIER:
                return self._call("decision_function", frame, (rows, classes))
            case Scores.DECISION:
                return self._call("decision_function", frame, (rows,))[:, np.newaxis]
            case Scores.SCORE:
                return self._call(score_method(self.pipeline), frame, (rows,))[:, np.newaxis]
            case Scores.DISTANCE:
                distances = self._call("transform", frame, (rows, None))
                return np.asarray(distances.min(axis=1, initial=np.inf, keepdims=True), np.float64)
            case Scores.NONE:
                return np.empty((rows, 0))

    def _score_columns(self, answers: Floats) -> Floats:
        """Return the scores in the card's columns: for a binary classifier those of the positive class."""
        if self.card.kind is not ModelKind.BINARY_CLASSIFIER or not answers.shape[1]:
            return answers
        if self.card.scores is Scores.PROBABILITY:
            return answers[:, [self._positive_index]]
        # A decision above 0 speaks for the second class.
        return answers if self._positive_index else -answers

    def _values(self, frame: pd.DataFrame, answers: Floats, threshold: float | None) -> NDArray[Any]:
        card = self.card
        if card.kind.has_several_targets:
            return self._targets(frame)
        if card.kind is ModelKind.REGRESSOR:
            return self._call("predict", frame, (len(frame),))
        is_shared = card.kind is ModelKind.BINARY_CLASSIFIER and card.scores is Scores.PROBABILITY
        own = card.threshold if card.labels_by is LabelRule.THRESHOLD else None
        # A request that names the model's own threshold means the model's own labels.
        limit = own if threshold in (None, card.threshold) else threshold
        if is_shared and limit is not None:
            return self._at_threshold(limit, answers[:, self._positive_index])
        if card.labels_by is LabelRule.PREDICT or card.scores not in (Scores.PROBABILITY, Scores.DECISION):
            return self._class_indices(frame)
        # As scikit-learn decides: the first of the most probable classes; of two, the second with a decision above 0.
        return (answers[:, 0] > 0).astype(np.int64) if answers.shape[1] == 1 else answers.argmax(axis=1)

    def _at_threshold(self, limit: float, positive: Floats) -> NDArray[np.int64]:
        # Only a binary classifier has a positive class, so the other index is the negative one.
        return np.where(positive >= limit, self._positive_index, 1 - self._positive_index)

    def _predictions_of_positive(self, positive: Floats, threshold: float | None) -> Predictions:
        """Return the predictions of an additive model, which has two classes, from its positive probabilities."""
        limit = self.card.threshold if threshold is None else threshold
        # Where no threshold gives the labels of ``predict``, its own rule does: the second class above one half.
        values = (positive > 0.5).astype(np.int64) if limit is None else self._at_threshold(limit, positive)
        return Predictions(values, positive[:, np.newaxis])

    def _targets(self, frame: pd.DataFrame) -> NDArray[Any]:
        """Return the predictions of several targets, shape (n, targets)."""
        shape = (len(frame), len(self.card.targets))
        if self.card.kind is ModelKind.MULTIOUTPUT_REGRESSOR:
            return self._call("predict", frame, shape)
        labels = self._labels(frame, shape)
        with self._failures(len(frame)):
            return np.column_stack(
                [
                    label_places(labels[:, at].tolist(), classes) if len(frame) else np.empty(0, np.int64)
                    for at, classes in enumerate(self.card.target_classes)
                ]
            )

    def _class_indices(self, frame: pd.DataFrame) -> NDArray[np.int64]:
        labels = self._labels(frame, (len(frame),))
        if self.card.kind is ModelKind.OUTLIER_DETECTOR:
            return (labels > 0).astype(np.int64)
        with self._failures(len(frame)):
            return label_places(labels.tolist(), self.card.pipeline_classes or self.card.classes)

    def _labels(self, frame: pd.DataFrame, shape: tuple[int, ...]) -> NDArray[Any]:
        """Return the checked labels of the pipeline's ``predict`` for a prepared frame."""
        if not len(frame):
            return np.empty(shape, np.int64)
        with self._failures(len(frame)):
            labels = self._ask("predict", frame)
        labels = labels.reshape(shape) if labels.shape == (*shape, 1) else labels
        self._check_shape(labels, shape)
        return labels

    def _call(self, method: str, frame: pd.DataFrame, shape: tuple[int | None, ...]) -> Floats:
        """Return the checked result of a method of the pipeline for a prepared frame; do not call it with no rows.

        ``shape`` has None for a length that is not known beforehand.
        """
        if not len(frame):
            return np.empty([length or 0 for length in shape])
        with self._failures(len(frame)):
            answer = self._ask(method, frame).astype(np.float64)
        # What was fitted on a column of targets, shape (n, 1), answers in that shape.
        if answer.ndim == len(shape) + 1 and answer.shape[-1] == 1:
            answer = answer[..., 0]
        expected = tuple(
            actual if length is None else length for length, actual in zip(shape, answer.shape, strict=False)
        )
        return self._checked(answer, expected)

    def _ask(self, method: str, frame: pd.DataFrame) -> NDArray[Any]:
        """Return what a method of the pipeline gives for a prepared frame, for each row by that row alone."""
        # One misfit would change the dtype of its whole column, and with it the answers to other rows.
        ask, parts = getattr(self.pipeline, method), parts_of(frame, self.card.features)
        return in_order([(rows, _dense(ask(as_input(part, self.card.takes)))) for rows, part in parts])

    def pipeline_input(self, frame: pd.DataFrame) -> Any:
        """Return a frame of validated values in the form that the pipeline takes: a frame, an array or texts."""
        return as_input(self.prepared(frame), self.card.takes)

    @contextmanager
    def _failures(self, rows: int) -> Iterator[None]:
        """Turn whatever a pipeline raises into ScoringFailed: pipelines are others' code and may raise anything."""
        try:
            yield
        except Exception as error:
            text = f"model {self.card.name!r} could not score {rows} rows: {error}"
            raise ScoringFailed(text, failure_reason(error)) from error

    def prepared(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return a frame of validated values with the columns that the pipeline takes, in its dtypes and order."""
        with self._failures(len(frame)):
            return pd.DataFrame(
                {feature.name: column_of(feature, frame[feature.name].array) for feature in self.card.features}
            )

    def _decoded(self, columns: Mapping[str, Column]) -> pd.DataFrame:
        """Return coded columns as the frame that the pipeline takes; each distinct value is converted once."""
        rows = len(next(iter(columns.values()))[1])
        with self._failures(rows):
            return pd.DataFrame(
                {
                    feature.name: column_of(feature, columns[feature.name][0]).array.take(columns[feature.name][1])
                    for feature in self.card.features
                }
            )

    @cached_property
    def _explainer(self) -> Explainer | None:
        # Created on first use: it may take a second, and scoring files does not need it.
        if self.card.explanation is None or not self.card.is_explained:
            return None
        return explainer_of(self.pipeline, self.card.features, self.card.explanation.average_effects)

    def _explained_by_table(self, model: AdditiveModel, columns: Mapping[str, Column], rows: int) -> Explanation | None:
        if self.card.explanation is None:
            return None
        with self._explanation_failures(rows):
            return self._checked_explanation(model.explain(columns), rows)

    def _explained(self, frame: pd.DataFrame) -> Explanation | None:
        rows = len(frame)
        with self._explanation_failures(rows):
            if (explainer := self._explainer) is None:
                return None
            explained = [
                (places, explainer.explain(as_input(part, self.card.takes), self._positive_classes(len(part))))
                for places, part in parts_of(frame, self.card.features)
            ]
            return self._checked_explanation(Explanation.joined(explained), rows)

    def _checked_explanation(self, explanation: Explanation, rows: int) -> Explanation:
        self._checked(explanation.effects, (rows, len(self.card.features)))
        return explanation

    @contextmanager
    def _explanation_failures(self, rows: int) -> Iterator[None]:
        """Turn whatever an explainer raises into ExplanationFailed."""
        try:
            yield
        except Exception as error:
            raise ExplanationFailed(f"model {self.card.name!r} could not explain {rows} rows: {error}") from error

    def _positive_classes(self, rows: int) -> NDArray[np.int64] | None:
        if self.card.positive_class is None:
            return None
        # Explanations are about the class whose probability is shown, even where the other one is predicted.
        return np.full(rows, self._positive_index)

    def _checked(self, answer: Floats, shape: tuple[int, ...]) -> Floats:
        self._check_shape(answer, shape)
        if wrong := int((~np.isfinite(answer)).sum()):
            text = f"model {self.card.name!r} answered NaN or infinity for {wrong} values"
            raise ScoringFailed(text, "its answer is NaN or infinite")
        return answer

    def _check_shape(self, answer: NDArray[Any], shape: tuple[int, ...]) -> None:
        if answer.shape != shape:
            raise ScoringFailed(f"model {self.card.name!r} answered {answer.shape}, not {shape}")


def _additive_form(card: Card, pipeline: Any) -> AdditiveModel | None:
    """Return the additive form of a pipeline whose second class, which its decision is about, is the positive one."""
    if not card.additive or card.classes[1:] != (card.positive_class,):
        return None
    return AdditiveModel.of(pipeline, card.features, card.explanation.average_effects if card.explanation else {})


def _check_classes(card: Card, pipeline: Any) -> None:
    if card.kind not in (ModelKind.BINARY_CLASSIFIER, ModelKind.MULTICLASS_CLASSIFIER):
        return
    actual, expected = tuple(map(str, getattr(pipeline, "classes_", ()))), card.pipeline_classes or card.classes
    # Predictions are indices: with the classes in another order, every label would be wrong.
    if actual != expected:
        raise BrokenModel(f"the artifact of {card.name!r} predicts {actual}, its card says {expected}")


def score_method(pipeline: Any) -> str:
    """Return the name of the method by which an outlier detector says how normal a record is."""
    return "decision_function" if hasattr(pipeline, "decision_function") else "score_samples"


def label_text(text: str) -> str:
    """Return a class label in the form in which labels are compared: ``1.0`` is the whole number ``1``."""
    number = parse_number(text)
    return str(int(number)) if number is not None and number.is_integer() else text


def label_places(labels: Sequence[Any], classes: Sequence[str]) -> NDArray[np.int64]:
    """Return each label's index among the classes; raise KeyError for one that is none of them."""
    places = {label_text(name): place for place, name in enumerate(classes)}
    # Exact names win, where the classes are ``1`` and ``1.0``.
    places |= {name: place for place, name in enumerate(classes)}
    texts = map(str, labels)
    return np.array([places[text] if text in places else places[label_text(text)] for text in texts], np.int64)


def _dense(answer: Any) -> NDArray[Any]:
    return np.asarray(answer.toarray() if hasattr(answer, "toarray") else answer)
