"""How well a fitted pipeline would do on records it has not seen, where there are only those it was trained on."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import train_test_split

from model.brought import ways
from model.card import ModelKind
from model.scorer import Predictions, Scorer

_SHARE = 0.2
_MOST_ROWS = 50_000
_LEAST_ROWS = 20


def held_out(scorer: Scorer, frame: pd.DataFrame, truth: NDArray[Any]) -> tuple[NDArray[Any], Predictions] | str:
    """Fit a twin of the pipeline on four fifths of the records and have it predict the rest, drawn by chance.

    The pipeline itself may have seen every record, so that its own figures would flatter it. `truth`, shape (n,): of a
    classifier indices into the card's classes. Answers the truth and the predictions of the rest, or why there are
    none.
    """
    if len(frame) < _LEAST_ROWS:
        return f"not evaluated: {len(frame)} rows are too few to hold some out"
    if len(frame) > _MOST_ROWS:
        chosen = np.sort(np.random.default_rng(0).choice(len(frame), _MOST_ROWS, replace=False))
        frame, truth = frame.iloc[chosen], truth[chosen]
    is_classifier = scorer.card.kind is not ModelKind.REGRESSOR
    often_enough = is_classifier and np.bincount(truth)[np.unique(truth)].min() > 1
    fitted_on, rest = train_test_split(
        np.arange(len(frame)), test_size=_SHARE, random_state=0, stratify=truth if often_enough else None
    )
    labels = scorer.pipeline.classes_[truth] if is_classifier else truth
    refusals = []
    for way in ways(scorer.card.features):
        like = Scorer(scorer.card.model_copy(update={"features": way}), scorer.pipeline)
        try:
            return truth[rest], _twin(like, frame.iloc[fitted_on], labels[fitted_on]).predict(frame.iloc[rest])
        except Exception as error:  # noqa: BLE001 - pipelines are others' code and may raise anything
            refusals.append(error)
    return f"not evaluated: a twin of the pipeline could not be fitted ({refusals[0]})"


def _twin(scorer: Scorer, frame: pd.DataFrame, labels: NDArray[Any]) -> Scorer:
    """A scorer like the given one, its pipeline fitted anew; raises BrokenModel where a class has no record here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Scorer(scorer.card, clone(scorer.pipeline).fit(scorer.given(frame), labels))
