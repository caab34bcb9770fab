"""Inspect a fitted pipeline: its kind, its classes or targets, the columns that it takes, and in which form."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import is_classifier, is_clusterer, is_outlier_detector, is_regressor
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture
from sklearn.pipeline import Pipeline

from model.card import InputForm, ModelKind
from model.columns import as_input
from model.errors import RefusedModel, failure_reason
from model.onboarding.known_values import inner_estimator, inner_estimators
from model.onboarding.training_data import TrainingData

_NAMED = 20
# In the order of -1 and 1, which ``predict`` returns.
_OUTLIER_CLASSES = ("outlier", "normal")
_MIXTURES = (GaussianMixture, BayesianGaussianMixture)
# Attributes from which a clusterer's clusters can be told.
_CENTERS, _LABELS = ("cluster_centers_", "means_"), ("subcluster_labels_", "labels_")
# Names that libraries give to unnamed columns.
_NO_NAME = re.compile(r"(Column_|f|x)?\d+")


@dataclass(frozen=True, slots=True)
class PipelineInspection:
    """A pipeline and what it says about itself.

    ``classes`` are those of a classifier of one target, as text in the pipeline's order, ``target_classes`` those of
    one of several; ``class_names`` are what the classes are called. ``names`` are the columns that it takes, in order,
    ``text_columns`` those that it takes as one-dimensional texts; with ``takes_all_columns``, it does not say which it
    takes, and gets all those of the table. ``targets`` is the number of targets that it
    predicts.
    """

    pipeline: Any
    kind: ModelKind
    classes: tuple[str, ...]
    target_classes: tuple[tuple[str, ...], ...]
    names: tuple[str, ...]
    form: InputForm
    text_columns: frozenset[str]
    class_names: tuple[str, ...] = ()
    targets: int = 1
    takes_all_columns: bool = False


def inspect_pipeline(
    pipeline: Any, data: TrainingData, targets: Sequence[str], features: Sequence[str] | None = None
) -> PipelineInspection:
    """Find out what a pipeline is and which columns of the table it takes.

    ``features`` are the names of its inputs where its file tells them. Raise RefusedModel where it is of no supported
    kind, or its columns are not in the table.
    """
    kind, classes, target_classes = _kind(pipeline)
    names, texts, form = _inputs(pipeline, data, targets, features)
    # LightGBM replaces spaces in names, and accepts columns under any names.
    by_table = form is not InputForm.FRAME or type(pipeline).__module__.startswith("lightgbm")
    names = tuple(data.name_of(name) if by_table else name for name in names)
    for name in names:
        # It raises where the table has no such column.
        data.name_of(name)
    target_count = len(target_classes) or 1
    return PipelineInspection(
        pipeline, kind, classes, target_classes, names, form, frozenset(texts), targets=target_count,
        takes_all_columns=form is not InputForm.TEXTS and features is None and not _declares_columns(pipeline),
    )  # fmt: skip


def last_step(pipeline: Any) -> Any:
    """Return the estimator that predicts in the end, within searches and pipelines."""
    while True:
        if isinstance(pipeline, Pipeline) or hasattr(pipeline, "steps"):
            pipeline = pipeline.steps[-1][1]
        elif hasattr(pipeline, "best_estimator_"):
            pipeline = pipeline.best_estimator_
        else:
            return pipeline


def _kind(pipeline: Any) -> tuple[ModelKind, tuple[str, ...], tuple[tuple[str, ...], ...]]:
    if is_classifier(pipeline):
        return _classifier(pipeline)
    if is_regressor(pipeline):
        return ModelKind.REGRESSOR, (), ()
    if is_outlier_detector(pipeline):
        return ModelKind.OUTLIER_DETECTOR, _OUTLIER_CLASSES, ()
    # Mixtures predict a component, but scikit-learn counts them among density estimators.
    if is_clusterer(pipeline) or isinstance(last_step(pipeline), _MIXTURES):
        return ModelKind.CLUSTERER, _clusters(last_step(pipeline)), ()
    detail = "neither a classifier nor a regressor, an outlier detector or a clusterer"
    raise RefusedModel(f"a {type(pipeline).__name__} is {detail}; add the pipeline whose predict gives the result")


def _classifier(pipeline: Any) -> tuple[ModelKind, tuple[str, ...], tuple[tuple[str, ...], ...]]:
    classes = getattr(pipeline, "classes_", None)
    if classes is None:
        raise RefusedModel(f"the classifier, a {type(pipeline).__name__}, does not say which classes it has (classes_)")
    # With several targets, scikit-learn has an array of classes for each.
    if isinstance(classes, list) and classes and isinstance(classes[0], np.ndarray | list):
        each = tuple(tuple(map(str, np.asarray(names, dtype=object).tolist())) for names in classes)
        return ModelKind.MULTIOUTPUT_CLASSIFIER, (), each
    names = tuple(map(str, np.asarray(classes, dtype=object).tolist()))
    # A one-versus-rest classifier of labels: its classes are the labels, each of which is a target of 0 or 1.
    if getattr(pipeline, "multilabel_", False) or getattr(last_step(pipeline), "multilabel_", False):
        return ModelKind.MULTIOUTPUT_CLASSIFIER, (), (("0", "1"),) * len(names)
    if len(set(names)) != len(names) or len(names) < 2:
        raise RefusedModel(f"the classifier's classes are not two or more different ones: {', '.join(names)}")
    return (ModelKind.BINARY_CLASSIFIER if len(names) == 2 else ModelKind.MULTICLASS_CLASSIFIER), names, ()


def _clusters(estimator: Any) -> tuple[str, ...]:
    for attribute in _CENTERS:
        if (centres := getattr(estimator, attribute, None)) is not None:
            return tuple(map(str, range(len(centres))))
    for attribute in _LABELS:
        if (labels := getattr(estimator, attribute, None)) is not None:
            return tuple(str(int(label)) for label in np.unique(labels))
    raise RefusedModel(f"the clusterer, a {type(estimator).__name__}, does not say which clusters it has (labels_)")


def _inputs(
    pipeline: Any, data: TrainingData, targets: Sequence[str], features: Sequence[str] | None
) -> tuple[Sequence[str], set[str], InputForm]:
    """Return the names of the columns that the pipeline takes, those that are texts, and the form of its input."""
    target_columns = {data.name_of(target) for target in targets}
    others = [name for name in data.columns if name not in target_columns]
    own = _fitted_names(pipeline)
    # Names that a library made up for an array (``f0``, ``Column_0``) say as little as none, unless the table has them.
    if own is not None and not (all(map(_NO_NAME.fullmatch, own)) and not set(own) & set(data.columns)):
        used, texts = _used_columns(pipeline)
        return [name for name in own if not used or name in used], texts, InputForm.FRAME
    count = getattr(pipeline, "n_features_in_", None if own is None else len(own))
    if features is not None and count in (None, len(features)):
        return features, set(), InputForm.ARRAY
    if count is None:
        return _undeclared(pipeline, others, data)
    if count != len(others):
        detail = f"the pipeline takes {count} columns, whose names it does not know, and {data.path} has"
        hint = "keep only those that it takes, in their order, or fit it on a frame with named columns"
        raise RefusedModel(f"{detail} {len(others)} beside the target: {', '.join(others[:_NAMED])}; {hint}")
    return others, set(), InputForm.ARRAY


def _declares_columns(pipeline: Any) -> bool:
    return _fitted_names(pipeline) is not None or getattr(pipeline, "n_features_in_", None) is not None


def _undeclared(pipeline: Any, others: Sequence[str], data: TrainingData) -> tuple[Sequence[str], set[str], InputForm]:
    """Return what a pipeline takes that says nothing about it: one text, or all columns in their order."""
    forms = [InputForm.TEXTS] if len(others) == 1 else []
    errors = {}
    for form in (*forms, InputForm.FRAME, InputForm.ARRAY):
        errors[form] = _error_on(pipeline, data.frame[list(others)], form)
        if errors[form] is None:
            return others, set(others) if form is InputForm.TEXTS else set(), form
    if len(others) == 1:
        return others, set(others), InputForm.TEXTS
    first = _first_step(pipeline)
    if isinstance(first, CountVectorizer | HashingVectorizer):
        detail = f"the pipeline reads one text, and {data.path} has {len(others)} columns beside the target"
        raise RefusedModel(f"{detail}: {', '.join(others[:_NAMED])}; keep only the one that it reads")
    raise RefusedModel(
        f"the pipeline's first step, a {type(first).__name__}, does not say which columns it takes, and the pipeline "
        f"fails on all {len(others)} of {data.path} beside the target ({errors[InputForm.FRAME]}); keep only those "
        "that it takes, in their order, or set feature_names_in_ in its fit and fit it again"
    )


def _error_on(pipeline: Any, frame: pd.DataFrame, form: InputForm) -> str | None:
    """Return what a pipeline raises on some rows without missing values, where there are such, or None."""
    complete = frame.dropna()
    # Not as many rows as columns: a pipeline of texts takes the columns' names for its records.
    rows = (frame if complete.empty else complete).head(frame.shape[1] + 1)
    try:
        answer = pipeline.predict(as_input(rows, form))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - pipelines are others' code and may raise anything
        return failure_reason(error)
    return None if len(answer) == len(rows) else f"it answers {len(answer)} of {len(rows)} rows"


def _first_step(pipeline: Any) -> Any:
    while (inner := _first_inner(pipeline)) is not None:
        pipeline = inner
    return pipeline


def _fitted_names(pipeline: Any) -> list[str] | None:
    """Return the names of the columns on which the pipeline was fitted, where it has kept them."""
    estimator, depth = pipeline, 0
    while estimator is not None and depth < 5:
        # The second is CatBoost's.
        for attribute in ("feature_names_in_", "feature_names_"):
            names = getattr(estimator, attribute, None)
            if names is not None and len(names):
                return [str(name) for name in names]
        estimator, depth = _first_inner(estimator), depth + 1
    return None


def _first_inner(estimator: Any) -> Any | None:
    if hasattr(estimator, "steps"):
        return estimator.steps[0][1]
    return inner_estimator(estimator)


def _used_columns(estimator: Any) -> tuple[set[str], set[str]]:
    """Return the columns that leading ColumnTransformers use (none: all), and those that they take as texts.

    A vote or a stack uses what any of its members uses.
    """
    if isinstance(estimator, ColumnTransformer):
        return _selected_columns(estimator)
    firsts = [estimator.steps[0][1]] if hasattr(estimator, "steps") else inner_estimators(estimator)
    by_first = [_used_columns(first) for first in firsts]
    texts = set[str]().union(*(texts for _, texts in by_first))
    # A stack with ``passthrough`` hands every column to its final estimator.
    if getattr(estimator, "passthrough", False) is True or not all(used for used, _ in by_first):
        return set(), texts
    return set[str]().union(*(used for used, _ in by_first)), texts


def _selected_columns(columns: ColumnTransformer) -> tuple[set[str], set[str]]:
    used: set[str] = set()
    texts: set[str] = set()
    for _, transformer, selected in columns.transformers_:
        if isinstance(transformer, str) and transformer == "drop":
            continue
        # A name that is not in a list selects a one-dimensional column, as vectorizers of text need it.
        if isinstance(selected, str):
            texts.add(selected)
        elif not isinstance(selected, list) or not all(isinstance(name, str) for name in selected):
            return set(), texts
        used |= {selected} if isinstance(selected, str) else set(selected)
    return used, texts
