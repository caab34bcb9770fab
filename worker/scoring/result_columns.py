"""The columns appended to each record: predictions, scores, error, warnings and the largest effects. Pure."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from model.card import Card, Scores
from model.columns import Floats
from model.scorer import Predictions
from worker.scoring.parse import Layout
from worker.scoring.rejects import FaultColumn, error_texts
from worker.scoring.render import join, shortest, six_decimals
from worker.scoring.row_predictions import RowPredictions

_EFFECT_DECIMALS = 6


def answer_suffixes(
    answers: RowPredictions, cards: Sequence[Card], layout: Layout, warnings: pa.BinaryArray | None = None
) -> pa.BinaryArray:
    """Return what is appended to scored records: each model's prediction and scores, an empty error, the effects.

    ``warnings`` holds the text of the ``warnings`` column for each record, if there is one.
    """
    separator = layout.delimiter.encode()
    parts: list[pa.Array | bytes] = []
    for predictions, card in zip(answers.predictions, cards, strict=True):
        parts += _answer(predictions, card, layout, b"" if parts else separator)
    if layout.warnings:
        parts += [separator, b"" if warnings is None else warnings]
    if answers.effects is not None:
        fields = [layout.as_field(feature.name) for feature in cards[0].features]
        names = [separator + field + separator for field in (*fields, b"")]
        parts += _largest_effects(answers.effects, pa.array(names, pa.binary()), layout)
    return join(*parts)


def suffixes(
    count: int,
    scored: NDArray[np.int64],
    answers: pa.BinaryArray,
    faults: list[FaultColumn],
    rejected: NDArray[np.int64],
    layout: Layout,
) -> pa.BinaryArray:
    """Return what is appended to each of ``count`` records: ``answers`` of scored rows, errors of rejected ones."""
    if not len(rejected):
        return answers
    separator = layout.delimiter.encode()
    after = (2 * layout.explained + layout.warnings) * separator
    errors = join(layout.added * separator, error_texts(faults, rejected), after)
    places = np.empty(count, np.int64)
    places[scored] = np.arange(len(scored))
    places[rejected] = np.arange(len(scored), count)
    return pa.concat_arrays([answers, errors]).take(pa.array(places))


def _answer(predictions: Predictions, card: Card, layout: Layout, before: bytes) -> list[pa.Array | bytes]:
    """Return a model's prediction and scores, each followed by a delimiter, with ``before`` in front."""
    separator = layout.delimiter.encode()
    parts: list[pa.Array | bytes] = [before]
    for values, classes in predictions.by_target(card):
        if classes:
            names = pa.array([layout.as_field(name) + separator for name in classes], pa.binary())
            parts.append(names.take(pa.array(values)))
        else:
            parts += [layout.as_numbers(shortest(values)), separator]
    write = six_decimals if card.scores is Scores.PROBABILITY else shortest
    return parts + [part for column in predictions.scores.T for part in (layout.as_numbers(write(column)), separator)]


def _largest_effects(effects: Floats, names: pa.BinaryArray, layout: Layout) -> Iterator[pa.Array]:
    """Yield the features with the largest effects of each row, each followed by its effect; ties keep feature order.

    The last of ``names`` stands for no feature: rows whose effects are NaN get neither names nor effects.
    """
    known = np.asarray(np.isfinite(effects).all(axis=1))
    rounded = (
        np.round(np.where(known[:, np.newaxis], effects, 0), _EFFECT_DECIMALS) + 0.0
    )  # adding 0.0 turns -0.0 into 0.0
    order = np.argsort(-np.abs(rounded), axis=1, kind="stable")[:, : layout.explained]
    for places in order.T:
        yield names.take(pa.array(np.where(known, places, len(names) - 1)))
        written = layout.as_numbers(shortest(rounded[np.arange(len(rounded)), places]))
        yield written if known.all() else pc.if_else(pa.array(known), written, pa.scalar(b"", written.type))
