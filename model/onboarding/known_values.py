"""Find the values of a column that a fitted pipeline knows: the categories of its encoders, or of its model.

A pipeline knows what it was fitted on. So of several readings of a column, the right one is that whose values it knows.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import OneToOneFeatureMixin
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.utils.validation import check_is_fitted

Names = Sequence[str] | None

# Attributes in which meta-estimators keep their fitted estimator, or several.
_INNER = ("best_estimator_", "estimator_", "regressor_", "estimator", "base_estimator_")
_SEVERAL = ("estimators_", "calibrated_classifiers_")


@dataclass(frozen=True, slots=True)
class KnownValues:
    """What a pipeline knows about a column.

    ``values`` are those that it was fitted on, without missing ones; empty where it has not kept them. ``missing``
    tells whether it knows missing values or imputes them. With ``as_category``, it takes the column as pandas
    categories, in the order of ``values``. With ``learnt``, they are all that occurred in training, not a list that its
    owner wrote.
    """

    values: tuple[Any, ...] = ()
    missing: bool = False
    as_category: bool = False
    learnt: bool = False

    def match(self, column: pd.Series) -> tuple[float, float]:
        """Return the share of a column's values that are known, and the share of the known values that occur in it.

        The first alone would not tell a missing value, which is imputed, from a word that pandas reads as missing.
        """
        known = frozenset(self.values)
        counts = {value: int(count) for value, count in column.value_counts(dropna=True).items() if value in known}
        absent = int(column.isna().sum())
        hits = sum(counts.values()) + (absent if self.missing else 0)
        return hits / max(1, len(column)), len(counts) / max(1, len(known))


def known_values(pipeline: Any, names: Sequence[str]) -> dict[str, KnownValues]:
    """Return what a fitted pipeline knows about its input columns, by name, where it keeps their values."""
    by_column: dict[str, KnownValues] = {}
    for name, known in _walk(pipeline, list(names), filled=False):
        # The first step that knows a column saw it as it came in; later ones see what was made of it.
        by_column.setdefault(name, known)
    return by_column


def inner_estimator(estimator: Any) -> Any | None:
    """Return the fitted estimator inside a meta-estimator, such as the best of a search, or the first; or None."""
    return next(iter(inner_estimators(estimator)), None)


def inner_estimators(estimator: Any) -> list[Any]:
    """Return the fitted estimators inside a meta-estimator: all members of a vote or a stack, else one; or none."""
    for attribute in _INNER:
        inner = getattr(estimator, attribute, None)
        if inner is not None and _is_fitted(inner):
            return [inner]
    for attribute in _SEVERAL:
        several = getattr(estimator, attribute, None)
        if isinstance(several, list) and several:
            # ``calibrated_classifiers_`` holds objects without ``fit``, each around a fitted estimator.
            return [inner for each in several for inner in ([each] if hasattr(each, "fit") else inner_estimators(each))]
    return []


def _is_fitted(estimator: Any) -> bool:
    """Return whether this is the fitted estimator, and not the one from which it was cloned."""
    try:
        check_is_fitted(estimator)
    except (NotFittedError, TypeError):
        return False
    return True


def _walk(step: Any, names: Names, filled: bool) -> Iterator[tuple[str, KnownValues]]:
    """Yield what a step knows of its inputs; ``filled``: their missing values were imputed before."""
    if names is None or step is None or isinstance(step, str):
        return
    if isinstance(step, Pipeline) or hasattr(step, "steps"):
        yield from _of_steps(step, names, filled)
    elif isinstance(step, ColumnTransformer):
        for _, transformer, selected in step.transformers_:
            yield from _walk(transformer, _selected_names(names, selected), filled)
    elif isinstance(step, FeatureUnion):
        for _, transformer in step.transformer_list:
            yield from _walk(transformer, names, filled)
    elif (categories := getattr(step, "categories_", None)) is not None:
        # ``categories="auto"``, and not a list of the owner's.
        learnt = isinstance(getattr(step, "categories", None), str)
        yield from _of_encoder(names, categories, filled, learnt)
    elif (reader := _OWN_CATEGORIES.get(type(step).__module__.partition(".")[0])) is not None:
        yield from reader(step, names)
    elif (encoder := getattr(step, "_preprocessor", None)) is not None:  # of boosting, which takes missing values
        yield from _walk(encoder, names, filled=True)
    else:
        for inner in inner_estimators(step):
            yield from _walk(inner, names, filled)


def _of_steps(pipeline: Any, names: Names, filled: bool) -> Iterator[tuple[str, KnownValues]]:
    for _, step in pipeline.steps:
        yield from _walk(step, names, filled)
        # An encoder after an imputer never saw a missing value, and yet the pipeline takes them.
        filled = filled or isinstance(step, SimpleImputer)
        # After a step that makes other columns, what is known is no longer about the user's.
        names = names if _keeps_columns(step) else None


def _keeps_columns(step: Any) -> bool:
    # Samplers of imbalanced-learn change rows, and only in ``fit``.
    if step is None or isinstance(step, str) or hasattr(step, "fit_resample"):
        return True
    if isinstance(step, SimpleImputer):
        return not step.add_indicator and len(step.statistics_) == step.n_features_in_
    # An ordinal encoder keeps the columns, but their values are codes afterwards.
    return isinstance(step, OneToOneFeatureMixin) and not hasattr(step, "categories_")


def _selected_names(names: Sequence[str], selected: Any) -> list[str]:
    """Return the columns that a ColumnTransformer selects by names, indices, a mask or a slice."""
    if isinstance(selected, str) or np.isscalar(selected):
        selected = [selected]
    by_name = pd.Series(list(names), index=list(names))
    if isinstance(selected, slice):
        edges = [selected.start, selected.stop]
        return list(by_name.loc[selected] if any(isinstance(edge, str) for edge in edges) else by_name.iloc[selected])
    labels = list(selected)
    if any(isinstance(label, str) for label in labels):
        return [label for label in labels if label in by_name.index]
    return list(by_name.iloc[labels])


def _of_encoder(names: Sequence[str], categories: Any, filled: bool, learnt: bool) -> Iterator[tuple[str, KnownValues]]:
    if isinstance(categories, str) or len(categories) != len(names):
        return
    for name, known in zip(names, categories, strict=True):
        values = [value for value in pd.Series(known).tolist() if not pd.isna(value)]
        yield name, KnownValues(tuple(values), filled or len(values) < len(known), learnt=learnt)


def _of_lightgbm(model: Any, names: Sequence[str]) -> Iterator[tuple[str, KnownValues]]:
    """Yield LightGBM's categories, in the order of its categorical columns; it does not say which these are."""
    booster = getattr(model, "booster_", model)
    lists = getattr(booster, "pandas_categorical", None) or []
    # One tree, since only what is said of the features is needed.
    infos = booster.dump_model(num_iteration=1).get("feature_infos", {}) if lists else {}
    pairs = zip(names, booster.feature_name(), strict=False)
    # Only categorical features list their values there; numbers have a range.
    candidates = [name for name, own in pairs if infos.get(own, {}).get("values")]
    if len(candidates) == len(lists):
        for name, values in zip(candidates, lists, strict=True):
            yield name, KnownValues(tuple(values), missing=True, as_category=True)


def _of_xgboost(model: Any, names: Sequence[str]) -> Iterator[tuple[str, KnownValues]]:
    booster = model.get_booster() if hasattr(model, "get_booster") else model
    types = booster.feature_types or []
    categories = _xgboost_categories(booster)
    for name, kind, own in zip(names, types, booster.feature_names or names, strict=False):
        if kind == "c":
            yield name, KnownValues(tuple(categories.get(own, ())), missing=True, as_category=True)


def _xgboost_categories(booster: Any) -> dict[str, list[Any]]:
    try:
        exported = booster.get_categories(export_to_arrow=True).to_arrow()
    except Exception:  # noqa: BLE001 - older boosters do not keep them, in as many ways as there are versions
        return {}
    return {name: values.to_pylist() for name, values in exported or () if values is not None}


_OWN_CATEGORIES: dict[str, Callable[[Any, Sequence[str]], Iterator[tuple[str, KnownValues]]]] = {
    "lightgbm": _of_lightgbm,
    "xgboost": _of_xgboost,
}
