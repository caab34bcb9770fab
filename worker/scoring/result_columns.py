"""What is appended to each record: predictions, scores, the reason of a rejection, the strongest effects. Pure."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jobs.csv.records import as_field
from model.card import Card, Scores
from model.columns import Floats
from model.scorer import Predictions
from worker.scoring.parse import Layout
from worker.scoring.rejects import FaultColumn, error_texts
from worker.scoring.render import join, shortest, six_decimals
from worker.scoring.row_predictions import RowPredictions

_EFFECT_DECIMALS = 6


def fine_suffixes(
    answers: RowPredictions, cards: Sequence[Card], layout: Layout, warnings: pa.BinaryArray | None = None
) -> pa.BinaryArray:
    """What follows the records that were scored: each model's prediction and scores, no error, the effects.

    `warnings`, where there is a column for them, holds the text for each record.
    """
    separator = layout.delimiter.encode()
    parts: list[pa.Array | bytes] = []
    for predictions, card in zip(answers.predictions, cards, strict=True):
        parts += _answer(predictions, card, layout.delimiter, b"" if parts else separator)
    if layout.warnings:
        parts += [separator, b"" if warnings is None else warnings]
    if answers.effects is not None:
        fields = [as_field(feature.name, layout.delimiter) for feature in cards[0].features]
        names = [separator + field + separator for field in (*fields, b"")]
        parts += _strongest(answers.effects, pa.array(names, pa.binary()), layout.explained)
    return join(*parts)


def suffixes(
    count: int,
    scored: NDArray[np.int64],
    fine: pa.BinaryArray,
    faults: list[FaultColumn],
    rejected: NDArray[np.int64],
    layout: Layout,
) -> pa.BinaryArray:
    """What follows each of `count` records: those of the scored rows as given, the rejected ones' reasons."""
    if not len(rejected):
        return fine
    separator = layout.delimiter.encode()
    after = (2 * layout.explained + layout.warnings) * separator
    wrong = join(layout.added * separator, error_texts(faults, rejected), after)
    places = np.empty(count, np.int64)
    places[scored] = np.arange(len(scored))
    places[rejected] = np.arange(len(scored), count)
    return pa.concat_arrays([fine, wrong]).take(pa.array(places))


def _answer(predictions: Predictions, card: Card, delimiter: str, before: bytes) -> list[pa.Array | bytes]:
    """A model's prediction and scores, each with a delimiter after it, and `before` before the first."""
    separator = delimiter.encode()
    parts: list[pa.Array | bytes] = [before]
    for values, classes in predictions.by_target(card):
        if classes:
            names = pa.array([as_field(name, delimiter) + separator for name in classes], pa.binary())
            parts.append(names.take(pa.array(values)))
        else:
            parts += [shortest(values), separator]
    write = six_decimals if card.scores is Scores.PROBABILITY else shortest
    return parts + [part for column in predictions.scores.T for part in (write(column), separator)]


def _strongest(effects: Floats, names: pa.BinaryArray, most: int) -> Iterator[pa.Array]:
    """The names of each row's strongest features, and after each its effect; of equals, the first feature.

    The last of the names is that of no feature: rows whose effects are NaN have neither names nor effects.
    """
    known = np.asarray(np.isfinite(effects).all(axis=1))
    rounded = np.round(np.where(known[:, np.newaxis], effects, 0), _EFFECT_DECIMALS) + 0.0  # no negative zero
    order = np.argsort(-np.abs(rounded), axis=1, kind="stable")[:, :most]
    for places in order.T:
        yield names.take(pa.array(np.where(known, places, len(names) - 1)))
        written = shortest(rounded[np.arange(len(rounded)), places])
        yield written if known.all() else pc.if_else(pa.array(known), written, pa.scalar(b"", written.type))
