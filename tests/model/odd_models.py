"""Classifiers that misbehave, as users' own classes may."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin


class Odd(ClassifierMixin, BaseEstimator):
    """Keeps only the classes and the names of the columns."""

    def fit(self, frame: Any, labels: Any) -> "Odd":
        self.classes_ = np.unique(labels)
        self.feature_names_in_ = np.array(frame.columns, dtype=object)
        self.n_features_in_ = len(frame.columns)
        return self

    def predict(self, frame: Any) -> Any:
        return np.repeat(self.classes_[:1], len(frame))


class Raises(Odd):
    def predict(self, frame: Any) -> Any:
        raise RuntimeError("the moon is not full")


class AnswersTooFew(Odd):
    def predict(self, frame: Any) -> Any:
        return super().predict(frame)[1:]


class AnswersNaN(Odd):
    def predict_proba(self, frame: Any) -> Any:
        return np.full((len(frame), 2), np.nan)


def unchanged(values: Any) -> Any:
    """Return the argument: a function that only its owner has."""
    return values
