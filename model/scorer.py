"""Scoring: records in, predictions out. A scorer is one version of a model, loaded once and used from then on."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model import artifact
from model.card import Card
from model.catalog import Catalog
from model.errors import BrokenModel, ScoringFailed
from model.explain import AdditiveModel, Column, Explanation, Floats, code_frame, code_records, column_of
from model.schema import Value


@dataclass(frozen=True)
class Predictions:
    """Predictions of n records, in their order.

    `labels`, shape (n,): index into the card's classes. `positive`, shape (n,): probability of the positive class, or,
    where the model has none, of the predicted class.
    """

    labels: NDArray[np.int64]
    positive: Floats


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
        pipeline = artifact.load(catalog.artifact_path(card.name, card.version), card.artifact_sha256)
        return cls(card, pipeline)

    def probabilities(self, frame: pd.DataFrame) -> Floats:
        """Return the pipeline's probabilities of each class, shape (n, classes), columns in the card's order."""
        if len(frame) == 0:
            return np.empty((0, len(self.card.classes)))
        with self._failures(len(frame)):
            answer = np.asarray(self.pipeline.predict_proba(self._prepared(frame)), dtype=np.float64)
        return self._checked(answer, (len(frame), len(self.card.classes)))

    def predict(self, frame: pd.DataFrame, threshold: float | None = None) -> Predictions:
        """Return the predictions of a frame; positive where its probability >= `threshold` (None: the card's)."""
        probabilities = self.probabilities(frame)
        if self.card.positive_class is None:
            return Predictions(probabilities.argmax(axis=1), probabilities.max(axis=1, initial=0.0))
        return self._decide(probabilities[:, self._positive_index], threshold)

    def explain(self, frame: pd.DataFrame) -> Explanation | None:
        """Return each feature's effect on each record, log-odds; None where the model is not additive."""
        if self._additive is None:
            return None
        with self._failures(len(frame)):
            explanation = self._additive.explain(code_frame(self._prepared(frame), self.card.features))
        return self._checked_explanation(explanation, len(frame))

    def coded_probabilities(self, columns: Mapping[str, Column]) -> Floats:
        """Return the probability of the positive class, shape (n,), of dictionary-coded columns.

        `columns`: per feature its distinct values and, per row, the index of its value, from 0. A missing value (None
        or NaN) is a distinct value like any other; of a feature that allows none it may be listed, but not used.
        Additive models are scored from a table per feature, which is far quicker than their pipeline and equal to it;
        others by their pipeline.
        """
        rows = len(next(iter(columns.values()))[1])
        if self._additive is None:
            frame = pd.DataFrame({name: distinct[codes] for name, (distinct, codes) in columns.items()})
            return self.predict(frame).positive
        with self._failures(rows):
            answer = self._additive.positive(columns)
        return self._checked(answer, (rows,))

    def predict_coded(self, columns: Mapping[str, Column], threshold: float | None = None) -> Predictions:
        """Return what `predict` does, of dictionary-coded columns; models with a positive class only."""
        return self._decide(self.coded_probabilities(columns), threshold)

    def predict_records(self, records: Sequence[Mapping[str, Value]], threshold: float | None = None) -> Predictions:
        """Return the predictions of records as `Schema.validate_record` gives them: the quick way for a few."""
        if self._additive is None:
            return self.predict(self._frame_of(records), threshold)
        return self._decide(self.coded_probabilities(code_records(records, self.card.features)), threshold)

    def explain_records(self, records: Sequence[Mapping[str, Value]]) -> Explanation | None:
        """Return what `explain` does, of records as `Schema.validate_record` gives them."""
        if self._additive is None:
            return None
        with self._failures(len(records)):
            explanation = self._additive.explain(code_records(records, self.card.features))
        return self._checked_explanation(explanation, len(records))

    def predict_and_explain_records(self, records: Sequence[Mapping[str, Value]]) -> tuple[Floats, Explanation | None]:
        """Return the positive class's probabilities, shape (n,), and what `explain_records` does, in one go."""
        explanation = self.explain_records(records)
        if explanation is None:
            return self.predict_records(records).positive, None
        return explanation.positive, explanation

    @property
    def _positive_index(self) -> int:
        return self.card.classes.index(str(self.card.positive_class))

    def _decide(self, positive: Floats, threshold: float | None) -> Predictions:
        limit = self.card.threshold if threshold is None else threshold
        # Only a binary classifier has a positive class, so the other index is the negative one.
        labels = np.where(positive >= limit, self._positive_index, 1 - self._positive_index)
        return Predictions(labels, positive)

    @contextmanager
    def _failures(self, rows: int) -> Iterator[None]:
        """Turn whatever a pipeline raises into ScoringFailed: pipelines are others' code and may raise anything."""
        try:
            yield
        except Exception as error:
            raise ScoringFailed(f"model {self.card.name!r} could not score {rows} rows: {error}") from error

    def _prepared(self, frame: pd.DataFrame) -> pd.DataFrame:
        columns = {feature.name: column_of(feature, frame[feature.name]) for feature in self.card.features}
        return pd.DataFrame(columns)

    def _frame_of(self, records: Sequence[Mapping[str, Value]]) -> pd.DataFrame:
        names = [feature.name for feature in self.card.features]
        return pd.DataFrame([[record[name] for name in names] for record in records], columns=names)

    def _checked_explanation(self, explanation: Explanation, rows: int) -> Explanation:
        self._checked(explanation.effects, (rows, len(self.card.features)))
        return explanation

    def _checked(self, answer: Floats, shape: tuple[int, ...]) -> Floats:
        if answer.shape != shape:
            raise ScoringFailed(f"model {self.card.name!r} answered {answer.shape}, not {shape}")
        if np.isnan(answer).any():
            raise ScoringFailed(f"model {self.card.name!r} answered NaN for {int(np.isnan(answer).sum())} values")
        return answer


def _additive_form(card: Card, pipeline: Any) -> AdditiveModel | None:
    """Return the additive form, whose decision is about the second class, where that is the positive one."""
    if not card.additive or card.classes[1:] != (card.positive_class,):
        return None
    return AdditiveModel.of(pipeline, card.features, card.average_effects)


def _check_classes(card: Card, pipeline: Any) -> None:
    found = tuple(map(str, getattr(pipeline, "classes_", ())))
    if found != card.classes:
        raise BrokenModel(f"the artifact of {card.name!r} predicts {found}, its card says {card.classes}")
