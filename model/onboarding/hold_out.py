"""Estimate how well a fitted pipeline performs on unseen records, where there is only its training data."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import train_test_split

from model.card import InputForm, ModelKind
from model.columns import as_input
from model.scorer import Predictions, Scorer

_SHARE = 0.2
_MAX_ROWS = 50_000
_LEAST_ROWS = 20


def hold_out(
    scorer: Scorer, form: InputForm, frame: pd.DataFrame, values: pd.DataFrame, truth: NDArray[Any]
) -> tuple[NDArray[Any], Predictions] | str:
    """Refit the pipeline on a random 80% of the records and have it predict the rest.

    The pipeline itself may have seen every record, so that its own performance would be too good. ``frame``, shape (n,
    features), is the user's, ``values`` the same as the product reads it; ``truth``, shape (n,) or (n, targets), holds
    indices into the card's classes for a classifier. Return the truth and the predictions of the rest, or why there are
    none.
    """
    if len(frame) < _LEAST_ROWS:
        return f"not evaluated: {len(frame)} rows are too few to hold some out"
    if len(frame) > _MAX_ROWS:
        chosen = np.sort(np.random.default_rng(0).choice(len(frame), _MAX_ROWS, replace=False))
        frame, values, truth = frame.iloc[chosen], values.iloc[chosen], truth[chosen]
    is_classifier = scorer.card.kind in (ModelKind.BINARY_CLASSIFIER, ModelKind.MULTICLASS_CLASSIFIER)
    train, test = train_test_split(
        np.arange(len(frame)),
        test_size=_SHARE,
        random_state=0,
        stratify=truth if is_classifier and _can_stratify(truth) else None,
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            refitted = clone(scorer.pipeline).fit(as_input(frame.iloc[train], form), _labels(scorer, truth[train]))
        # By the scorer, not by ``predict``, so that the labels are those of the schema's threshold.
        return truth[test], Scorer(scorer.card, refitted).predict(values.iloc[test])
    except Exception as error:  # noqa: BLE001 - pipelines are others' code and may raise anything
        return f"not evaluated: the pipeline could not be refitted ({' '.join(str(error).split())[:200]})"


def _can_stratify(truth: NDArray[np.int64]) -> bool:
    """Return whether scikit-learn can: no class has one record only, and each finds a place among the held-out ones."""
    counts = np.unique(truth, return_counts=True)[1]
    return bool(counts.min() > 1 and len(counts) <= _SHARE * len(truth))


def _labels(scorer: Scorer, truth: NDArray[Any]) -> Any:
    """Return the truth in the form in which the pipeline was fitted on it."""
    if scorer.card.kind is ModelKind.MULTIOUTPUT_CLASSIFIER:
        classes = getattr(scorer.pipeline, "classes_", None)
        if not isinstance(classes, list):
            return truth
        return np.column_stack([np.asarray(own)[truth[:, at]] for at, own in enumerate(classes)])
    if scorer.card.kind.predicts_classes:
        return np.asarray(scorer.pipeline.classes_)[truth]
    return truth
