"""Exact explanations of additive models, and their scores from tables.

A ColumnTransformer with one transformer per feature, followed by a binary LogisticRegression, is a generalised additive
model (T. Hastie & R. Tibshirani 1986, 'Generalized Additive Models', Statistical Science 1:297-310):

    decision = intercept + sum of effect_j(value_j), in log-odds,
    effect_j(value) = transformer_j(value) @ coefficients_j.

So each feature's effect is a function of its value alone: it is computed once per distinct value, looked up for each
row, and adds up to the decision exactly. Relative to the average training record, whose effect is the mean of
effect_j over the training records, these are also the model's SHAP values (S. Lundberg & S. Lee 2017, 'A Unified
Approach to Interpreting Model Predictions', arXiv:1705.07874, corollary 1).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from model.columns import Column, Floats, column_of, in_order, is_missing, parts_of
from model.explanation.explanation import Explanation, Unit
from model.schema import Feature, FeatureKind, Value

LARGEST_TABLE = 1000


@dataclass(frozen=True)
class _Term:
    """One feature's part of the decision: its fitted transformer, the coefficients of its basis, tabulated effects."""

    feature: Feature
    transformer: Any
    coefficients: Floats
    table: dict[Value, float]

    def compute(self, values: Sequence[Value]) -> Floats:
        """Return the effects of values by the transformer."""
        frame = pd.DataFrame({self.feature.name: column_of(self.feature, values)})
        effects = [
            (rows, np.asarray(self.transformer.transform(part) @ self.coefficients, dtype=np.float64))
            for rows, part in parts_of(frame, [self.feature])
        ]
        return in_order(effects)

    def effects(self, values: Sequence[Value]) -> Floats:
        """Return the effects of values, from the table where they are in it."""
        effects = [self.table.get(value) for value in values]
        # The rest in one call: a transformer takes as long for one value as for a thousand.
        if others := [value for value, effect in zip(values, effects, strict=True) if effect is None]:
            computed = iter(self.compute(others).tolist())
            effects = [next(computed) if effect is None else effect for effect in effects]
        return np.array(effects, dtype=np.float64)


class AdditiveModel:
    """A fitted additive pipeline as one effect function per feature; the classes are 0 (negative) and 1 (positive)."""

    def __init__(self, intercept: float, terms: Mapping[str, _Term], averages: Mapping[str, float]) -> None:
        self.intercept = intercept
        self.averages = averages
        self._terms = terms

    @classmethod
    def of(
        cls, pipeline: Any, features: Sequence[Feature], averages: Mapping[str, Sequence[float]]
    ) -> "AdditiveModel | None":
        """Return the additive form of a pipeline, or None where it has none.

        ``averages`` are each feature's mean effects over the training records, in log-odds, as the card holds them: one
        for each output, of which there is one here. An absent feature's counts as 0.
        """
        if not is_additive(pipeline, features):
            return None
        columns, regression = pipeline[0], pipeline[-1]
        terms = {feature.name: _term(feature, columns, regression) for feature in features}
        means = {name: effects[0] for name, effects in averages.items()}
        return cls(float(regression.intercept_[0]), terms, means)

    def effects_of_values(self, feature: str, values: Iterable[Any]) -> Floats:
        """Return the effect of each of ``values`` of a feature, in log-odds before centring; None or NaN is missing.

        A missing value has the effect NaN where the feature allows none: callers may list it among the distinct values,
        but not use it. Raise KeyError where there is no such feature, ValueError where the transformer refuses a value.
        """
        return self._terms[feature].effects([None if is_missing(value) else value for value in values])

    def decision(self, columns: Mapping[str, Column]) -> Floats:
        """Return the log-odds of the positive class, shape (n,), for dictionary-coded columns.

        ``columns`` holds, by feature, the distinct values and, for each row, an index into them.
        """
        effects = (self._effects_of_column(name, *columns[name]) for name in self._terms)
        # Added up in place, without a new array for each feature.
        total = next(effects) + self.intercept
        for effect in effects:
            total += effect
        return total

    def positive(self, columns: Mapping[str, Column]) -> Floats:
        """Return the probability of the positive class, shape (n,), for dictionary-coded columns."""
        return np.asarray(expit(self.decision(columns)), dtype=np.float64)

    def explain(self, columns: Mapping[str, Column]) -> Explanation:
        """Return the effects of dictionary-coded columns relative to the average training record."""
        averages = [self.averages.get(name, 0.0) for name in self._terms]
        effects = np.column_stack([self._effects_of_column(name, *columns[name]) for name in self._terms])
        baseline = np.full(len(effects), self.intercept + sum(averages))
        return Explanation(baseline, effects - averages, Unit.LOG_ODDS)

    def _effects_of_column(self, name: str, distinct: NDArray[Any], codes: NDArray[np.integer[Any]]) -> Floats:
        if codes.size and codes.min() < 0:
            raise ValueError(f"column {name!r} has negative codes; give missing as a distinct value of its own")
        return self.effects_of_values(name, distinct.tolist()).take(codes)


def is_additive(pipeline: Any, features: Sequence[Feature]) -> bool:
    """Return whether a pipeline is one transformer per feature (ColumnTransformer) and a binary LogisticRegression."""
    if not (isinstance(pipeline, Pipeline) and len(pipeline) == 2):
        return False
    columns, regression = pipeline[0], pipeline[-1]
    if not (isinstance(columns, ColumnTransformer) and isinstance(regression, LogisticRegression)):
        return False
    if columns.remainder != "drop" or not all(isinstance(selected, list) for _, _, selected in columns.transformers):
        return False
    taken = [(name, selected) for name, _, selected in columns.transformers]
    return len(regression.classes_) == 2 and taken == [(feature.name, [feature.name]) for feature in features]


def _term(feature: Feature, columns: ColumnTransformer, regression: LogisticRegression) -> _Term:
    coefficients = regression.coef_[0, columns.output_indices_[feature.name]]
    # Its transformer would raise on a missing value that it was not fitted to take.
    table: dict[Value, float] = {} if feature.missing_allowed else {None: math.nan}
    term = _Term(feature, columns.named_transformers_[feature.name], coefficients, table)
    if values := _values_to_tabulate(feature):
        term.table.update(zip(values, term.compute(values).tolist(), strict=True))
    return term


def _values_to_tabulate(feature: Feature) -> list[Value]:
    """Return the values worth tabulating: all categories, and all whole numbers of a narrow range."""
    missing: list[Value] = [None] if feature.missing_allowed else []
    if feature.kind is FeatureKind.CATEGORY:
        return [*feature.categories, *missing]
    if feature.integer and feature.minimum is not None and feature.maximum is not None:
        whole = range(int(feature.minimum), int(feature.maximum) + 1)
        return [*map(float, whole), *missing] if len(whole) <= LARGEST_TABLE else []
    return []
