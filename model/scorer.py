"""Scoring: records in, predictions out. A scorer is one version of a model, loaded once and used from then on."""

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
from model.card import Card, InputForm, ModelKind, Scores
from model.catalog import Catalog
from model.columns import Column, Floats, code_frame, code_records, column_of, frame_of
from model.errors import BrokenModel, ScoringFailed
from model.explain import AdditiveModel, Explanation
from model.schema import Value
from model.tree_explain import TreeExplainer


@dataclass(frozen=True)
class Predictions:
    """Predictions of n records, in their order.

    `values`, shape (n,): of a classifier, indices into the card's classes; of a regressor, numbers. `scores`, shape
    (n, s): what stands beside them, a column for each of the card's `score_columns`.
    """

    values: NDArray[Any]
    scores: Floats

    @property
    def positive(self) -> Floats:
        """Of a binary classifier: the probability (or decision) of the positive class, shape (n,)."""
        return self.scores[:, 0]

    @classmethod
    def joined(cls, parts: Sequence[Self], order: NDArray[np.int64]) -> Self:
        """The predictions of all parts, of which there is at least one, in the given order of their rows."""
        values = np.concatenate([part.values for part in parts])
        return cls(values[order], np.concatenate([part.scores for part in parts])[order])


class Scorer:
    """A model's card with its fitted pipeline. Frames have one column per feature; NaN or None is missing.

    Making one raises BrokenModel where the pipeline's classes are not the card's. Every method raises ScoringFailed
    where the pipeline raises, or answers NaN or another number of rows.
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
        return self._asked("predict_proba", self._prepared(frame), shape)

    def predict(self, frame: pd.DataFrame, threshold: float | None = None) -> Predictions:
        """Return the predictions of a frame.

        Where a binary classifier has probabilities, positive is what has at least `threshold` (None: the card's).
        """
        return self._predict(self._prepared(frame), threshold)

    def predict_coded(self, columns: Mapping[str, Column], threshold: float | None = None) -> Predictions:
        """Return what `predict` does, of dictionary-coded columns, by feature.

        A missing value (None or NaN) is a distinct value like any other; of a feature that allows none it may be
        listed, but not used. Additive models are scored from a table per feature, which is far quicker than their
        pipeline and equal to it; others by their pipeline.
        """
        if self._additive is None:
            return self._predict(self._decoded(columns), threshold)
        rows = len(next(iter(columns.values()))[1])
        with self._failures(rows):
            positive = self._additive.positive(columns)
        return self._decided(self._checked(positive, (rows,)), threshold)

    def predict_records(self, records: Sequence[Mapping[str, Value]], threshold: float | None = None) -> Predictions:
        """Return the predictions of records as `Schema.validate_record` gives them: the quick way for a few."""
        if self._additive is None:
            return self._predict(frame_of(records, self.card.features), threshold)
        return self.predict_coded(code_records(records, self.card.features), threshold)

    def explain(self, frame: pd.DataFrame) -> Explanation | None:
        """Return each feature's effect on each record; None where the model has no exact explanation.

        Additive models and tree models have one; of several classes, each record's is about its likeliest.
        """
        prepared = self._prepared(frame)
        if self._additive is not None:
            return self._explained(self._additive, code_frame(prepared, self.card.features), len(frame))
        return self._explained_by_trees(prepared)

    def explain_coded(self, columns: Mapping[str, Column]) -> Explanation | None:
        """Return what `explain` does, of dictionary-coded columns, as `predict_coded` takes them."""
        if self._additive is not None:
            return self._explained(self._additive, columns, len(next(iter(columns.values()))[1]))
        return self._explained_by_trees(self._decoded(columns))

    def explain_records(self, records: Sequence[Mapping[str, Value]]) -> Explanation | None:
        """Return what `explain` does, of records as `Schema.validate_record` gives them."""
        if self._additive is not None:
            return self._explained(self._additive, code_records(records, self.card.features), len(records))
        return self._explained_by_trees(frame_of(records, self.card.features))

    def predict_and_explain_records(
        self, records: Sequence[Mapping[str, Value]], threshold: float | None = None
    ) -> tuple[Predictions, Explanation | None]:
        """Return what `predict_records` and `explain_records` do, in one go."""
        explanation = self.explain_records(records)
        if self._additive is None or explanation is None:
            return self.predict_records(records, threshold), explanation
        return self._decided(expit(explanation.output), threshold), explanation

    @property
    def _positive_index(self) -> int:
        return self.card.classes.index(str(self.card.positive_class))

    def _predict(self, frame: pd.DataFrame, threshold: float | None) -> Predictions:
        rows = len(frame)
        if self.card.kind is ModelKind.REGRESSOR:
            return Predictions(self._asked("predict", frame, (rows,)), np.empty((rows, 0)))
        match self.card.scores:
            case Scores.PROBABILITY:
                return self._by_probability(frame, threshold)
            case Scores.DECISION:
                return self._by_decision(frame)
            case Scores.NONE:
                return Predictions(self._class_indices(frame), np.empty((rows, 0)))

    def _by_probability(self, frame: pd.DataFrame, threshold: float | None) -> Predictions:
        probabilities = self._asked("predict_proba", frame, (len(frame), len(self.card.classes)))
        if self.card.kind is ModelKind.BINARY_CLASSIFIER:
            return self._decided(probabilities[:, self._positive_index], threshold)
        return Predictions(probabilities.argmax(axis=1), probabilities)

    def _by_decision(self, frame: pd.DataFrame) -> Predictions:
        if self.card.kind is ModelKind.BINARY_CLASSIFIER:
            # As scikit-learn decides: the second class from zero on, zero itself not included.
            decision = self._asked("decision_function", frame, (len(frame),))
            scores = decision if self._positive_index else -decision
            return Predictions((decision > 0).astype(np.int64), scores[:, np.newaxis])
        decisions = self._asked("decision_function", frame, (len(frame), len(self.card.classes)))
        return Predictions(decisions.argmax(axis=1), decisions)

    def _decided(self, positive: Floats, threshold: float | None) -> Predictions:
        limit = self.card.threshold if threshold is None else threshold
        # Only a binary classifier has a positive class, so the other index is the negative one.
        values = np.where(positive >= limit, self._positive_index, 1 - self._positive_index)
        return Predictions(values, positive[:, np.newaxis])

    def _class_indices(self, frame: pd.DataFrame) -> NDArray[np.int64]:
        if not len(frame):
            return np.empty(0, np.int64)
        with self._failures(len(frame)):
            labels = np.asarray(self.pipeline.predict(self._given(frame)))
            places = {name: place for place, name in enumerate(self.card.classes)}
            indices = np.array([places[str(label)] for label in labels.tolist()], np.int64)
        self._check_shape(indices, (len(frame),))
        return indices

    def _asked(self, method: str, frame: pd.DataFrame, shape: tuple[int, ...]) -> Floats:
        """The answer of one of the pipeline's methods to a prepared frame, checked; it is not asked about no rows."""
        if not len(frame):
            return np.empty(shape)
        with self._failures(len(frame)):
            answer = np.asarray(getattr(self.pipeline, method)(self._given(frame)), dtype=np.float64)
        return self._checked(answer[:, 0] if answer.shape == (*shape, 1) else answer, shape)

    def given(self, frame: pd.DataFrame) -> Any:
        """Return a frame of validated values as the pipeline takes it: as a frame, an array or texts."""
        return self._given(self._prepared(frame))

    def _given(self, frame: pd.DataFrame) -> Any:
        match self.card.takes:
            case InputForm.FRAME:
                return frame
            case InputForm.ARRAY:
                return frame.to_numpy()
            case InputForm.TEXTS:
                return frame.iloc[:, 0].to_numpy()

    @contextmanager
    def _failures(self, rows: int) -> Iterator[None]:
        """Turn whatever a pipeline raises into ScoringFailed: pipelines are others' code and may raise anything."""
        try:
            yield
        except Exception as error:
            raise ScoringFailed(f"model {self.card.name!r} could not score {rows} rows: {error}") from error

    def _prepared(self, frame: pd.DataFrame) -> pd.DataFrame:
        with self._failures(len(frame)):
            return pd.DataFrame(
                {feature.name: column_of(feature, frame[feature.name].array) for feature in self.card.features}
            )

    def _decoded(self, columns: Mapping[str, Column]) -> pd.DataFrame:
        """Coded columns as the frame that the pipeline takes; each distinct value is converted once."""
        rows = len(next(iter(columns.values()))[1])
        with self._failures(rows):
            return pd.DataFrame(
                {
                    feature.name: column_of(feature, columns[feature.name][0]).array.take(columns[feature.name][1])
                    for feature in self.card.features
                }
            )

    @cached_property
    def _tree_explainer(self) -> TreeExplainer | None:
        # Made when it is first asked for: its library takes a second to load, and scoring files does not need it.
        return TreeExplainer.of(self.pipeline, self.card.features) if self.card.by_trees else None

    def _explained(self, model: AdditiveModel, columns: Mapping[str, Column], rows: int) -> Explanation:
        with self._failures(rows):
            explanation = model.explain(columns)
        self._checked(explanation.effects, (rows, len(self.card.features)))
        return explanation

    def _explained_by_trees(self, frame: pd.DataFrame) -> Explanation | None:
        with self._failures(len(frame)):
            explainer = self._tree_explainer
            return explainer.explain(frame, self._positive_classes(len(frame))) if explainer else None

    def _positive_classes(self, rows: int) -> NDArray[np.int64] | None:
        if self.card.positive_class is None:
            return None
        return np.full(rows, self._positive_index)

    def _checked(self, answer: Floats, shape: tuple[int, ...]) -> Floats:
        self._check_shape(answer, shape)
        if np.isnan(answer).any():
            raise ScoringFailed(f"model {self.card.name!r} answered NaN for {int(np.isnan(answer).sum())} values")
        return answer

    def _check_shape(self, answer: NDArray[Any], shape: tuple[int, ...]) -> None:
        if answer.shape != shape:
            raise ScoringFailed(f"model {self.card.name!r} answered {answer.shape}, not {shape}")


def _additive_form(card: Card, pipeline: Any) -> AdditiveModel | None:
    """Return the additive form, whose decision is about the second class, where that is the positive one."""
    if not card.additive or card.classes[1:] != (card.positive_class,):
        return None
    return AdditiveModel.of(pipeline, card.features, card.average_effects)


def _check_classes(card: Card, pipeline: Any) -> None:
    found = tuple(map(str, getattr(pipeline, "classes_", ())))
    if found != card.classes:
        raise BrokenModel(f"the artifact of {card.name!r} predicts {found}, its card says {card.classes}")
