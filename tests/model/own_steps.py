"""Steps as people write them for their pipelines, without the conventions of scikit-learn."""

import warnings
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin


class _Step(TransformerMixin, BaseEstimator):
    """Keeps neither the names nor the number of its columns."""

    def fit(self, frame: Any, labels: Any = None) -> Any:
        self.fitted_ = True
        return self


class Squares(_Step):
    def transform(self, frame: Any) -> Any:
        return np.column_stack([frame["size"], frame["size"] ** 2])


class NeedsAnother(_Step):
    def transform(self, frame: Any) -> Any:
        return frame[["height"]].to_numpy() if "size" in frame else np.column_stack([frame["length"]])


class Means(_Step):
    """Keeps the mean of each town in a form that is chosen by ``keep``."""

    def __init__(self, keep: str = "series") -> None:
        self.keep = keep

    def fit(self, frame: Any, labels: Any = None) -> Any:
        means = frame.groupby("town")["size"].mean()
        kept = {"series": means, "frame": means.to_frame(), "keys": {(town, 1): mean for town, mean in means.items()}}
        self.means_ = kept[self.keep]
        return self

    def transform(self, frame: Any) -> Any:
        return frame[["size"]].to_numpy()


class LastDigit(_Step):
    def transform(self, frame: Any) -> Any:
        return (frame[["number"]] % 10).to_numpy()


class Warns(_Step):
    def transform(self, frame: Any) -> Any:
        warnings.warn("this is of no use to anybody", UserWarning, stacklevel=1)
        return frame[["size"]].to_numpy()
