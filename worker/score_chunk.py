"""Scoring a chunk: bytes in; bytes, counts and reasons out. Pure, but for the model's own work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.messages import InputChunk
from jobs.records import RecordIndex, as_field
from jobs.store import ScoredChunk
from model.card import Card, ModelKind, Scores
from model.columns import Column
from model.faults import Faults
from model.schema import Fault, FaultCode
from model.scorer import Predictions, Scorer
from model.validate import ParsedValues, parse_distinct
from worker.assemble import Mended, join, records_with_line_ends, scored_text, shortest, six_decimals
from worker.parse import Layout, ParsedChunk, parse_chunk, read_records
from worker.rejects import FaultColumn, count_faults, error_texts, reject_lines
from worker.spread import spread

BINS = 20
_ATTEMPTS_USED_UP = "the model could not score it in the attempts allowed"


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """What the model said of the valid rows: their numbers, shape (k,), ascending, and their predictions."""

    rows: NDArray[np.int64]
    predictions: Predictions
    failed: FaultColumn


def score_chunk(
    chunk: InputChunk, layout: Layout, scorer: Scorer, threshold: float | None, apart: bool = False
) -> ScoredChunk:
    """Score the rows of a chunk; `apart` finds the rows that the model fails on, and rejects them alone.

    Raises:
        ScoringFailed: when the model fails, without `apart`.
    """
    parsed = parse_chunk(chunk.data, layout)
    columns, faults, spreads = validate(parsed, scorer)
    rejected, valid = _split(len(parsed), faults)
    kept = np.searchsorted(parsed.good, valid)
    scored = _predict(_select(columns, kept), valid, scorer, threshold, apart)
    if len(scored.failed.rows):
        faults = [*faults, scored.failed]
        rejected, _ = _split(len(parsed), faults)
    mended = parsed.broken.mended if parsed.broken else None
    fine = _fine_suffixes(scored.predictions, scorer.card, layout.delimiter)
    suffixes = _suffixes(len(parsed), scored.rows, fine, faults, rejected, layout)
    return ScoredChunk(
        output=scored_text(parsed.index, mended, suffixes),
        rejects=_rejects(parsed.index, mended, faults, chunk.first_row, layout),
        scored=len(scored.rows),
        rejected=len(rejected),
        scoring_failed=len(scored.failed.rows),
        summary=_summary(scored.predictions, scorer.card) | count_faults(faults) | spreads,
    )


def reject_chunk(chunk: InputChunk, layout: Layout) -> ScoredChunk:
    """Reject all rows of a chunk whose attempts are used up, with as little work as can be: something in it kills."""
    index, broken = read_records(chunk.data, layout)
    columns = [broken.faults] if broken else []
    _, left = _split(len(index), columns)
    columns.append(_failed(left, _ATTEMPTS_USED_UP))
    mended = broken.mended if broken else None
    rows = np.arange(len(index))
    nothing = pa.array([], pa.binary())
    return ScoredChunk(
        output=scored_text(index, mended, _suffixes(len(index), rows[:0], nothing, columns, rows, layout)),
        rejects=_rejects(index, mended, columns, chunk.first_row, layout),
        scored=0,
        rejected=len(index),
        scoring_failed=len(left),
        summary=count_faults(columns),
    )


def _rejects(
    index: RecordIndex, mended: Mended | None, faults: list[FaultColumn], first_row: int, layout: Layout
) -> bytes:
    if not faults or not len(index):
        return b""
    line_end = b"\r\n" if index.data.startswith(b"\r\n", int(index.ends[0])) else b"\n"
    lines = records_with_line_ends(index, mended, line_end)
    return reject_lines(faults, lines, first_row, layout.delimiter)


def validate(parsed: ParsedChunk, scorer: Scorer) -> tuple[dict[str, Column], list[FaultColumn], dict[str, int]]:
    """The good records' columns as values, every fault of the chunk, those of whole records first, and how values are
    spread, as counts for the summary."""
    faults = [parsed.broken.faults] if parsed.broken else []
    columns: dict[str, Column] = {}
    spreads: dict[str, int] = {}
    for feature in scorer.card.features:
        texts, codes = parsed.columns[feature.name]
        values = parse_distinct(feature, texts)
        columns[feature.name] = (values.values, codes)
        if len(values.faults):
            faults.append(_column_faults(values, codes, parsed.good))
        if summary := scorer.card.summary.get(feature.name):
            spreads |= spread(feature.name, summary, values, codes)
    return columns, faults, spreads


def _column_faults(values: ParsedValues, codes: NDArray[np.int32], good: NDArray[np.int64]) -> FaultColumn:
    places = np.full(len(values.values), -1)
    places[values.at_fault] = np.arange(len(values.at_fault))
    found = places[codes]
    at = np.flatnonzero(found >= 0)
    return FaultColumn(good[at], found[at], values.faults)


def _split(count: int, faults: Sequence[FaultColumn]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of the rows, of `count`, that have a fault, and of those that have none."""
    rejected = np.zeros(count, np.bool_)
    for column in faults:
        rejected[column.rows] = True
    return np.flatnonzero(rejected), np.flatnonzero(~rejected)


def _select(columns: Mapping[str, Column], rows: NDArray[np.int64]) -> dict[str, Column]:
    """The given rows, ascending, of dictionary-coded columns, without the distinct values that none of them has."""
    if all(len(codes) == len(rows) for _, codes in columns.values()):
        return dict(columns)
    selected = {}
    for name, (values, codes) in columns.items():
        taken = codes[rows]
        used = np.bincount(taken, minlength=len(values)) > 0
        selected[name] = (values, taken) if used.all() else (values[used], (np.cumsum(used) - 1)[taken])
    return selected


def _predict(
    columns: dict[str, Column], rows: NDArray[np.int64], scorer: Scorer, threshold: float | None, apart: bool
) -> ScoredRows:
    if apart:
        return _predict_apart(columns, rows, scorer, threshold)
    return ScoredRows(rows, scorer.predict_coded(columns, threshold), _failed(rows[:0]))


def _predict_apart(
    columns: dict[str, Column], rows: NDArray[np.int64], scorer: Scorer, threshold: float | None
) -> ScoredRows:
    """Predict by halves: a part that the model fails on is halved, down to the single rows that it cannot score."""
    waiting, done, failed = [np.arange(len(rows))], [], []
    while waiting:
        part = waiting.pop()
        try:
            done.append((part, scorer.predict_coded(_select(columns, part), threshold)))
        except Exception:  # noqa: BLE001 - a model may raise anything; the row it fails on is rejected with a reason
            if len(part) == 1:
                failed.append(int(part[0]))
            else:
                waiting += np.array_split(part, 2)
    if not done:
        done = [(rows[:0], scorer.predict_coded(_select(columns, rows[:0]), threshold))]
    places = np.concatenate([part for part, _ in done])
    order = np.argsort(places)
    predictions = Predictions.joined([prediction for _, prediction in done], order)
    return ScoredRows(rows[places[order]], predictions, _failed(rows[np.sort(np.array(failed, np.int64))]))


def _failed(rows: NDArray[np.int64], why: str = "the model could not score it") -> FaultColumn:
    return FaultColumn(rows, np.zeros(len(rows), np.int64), Faults.of(None, [Fault(FaultCode.SCORING_FAILED, why)]))


def _fine_suffixes(predictions: Predictions, card: Card, delimiter: str) -> pa.BinaryArray:
    """What follows the records that were scored: prediction, scores and no error, each after a delimiter."""
    separator = delimiter.encode()
    if card.kind is ModelKind.REGRESSOR:
        values = join(separator, shortest(predictions.values), separator)
    else:
        names = pa.array([separator + as_field(name, delimiter) + separator for name in card.classes], pa.binary())
        values = names.take(pa.array(predictions.values))
    write = six_decimals if card.scores is Scores.PROBABILITY else shortest
    scores = [part for column in predictions.scores.T for part in (write(column), separator)]
    return join(values, *scores)


def _suffixes(
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
    wrong = join(layout.added * layout.delimiter.encode(), error_texts(faults, rejected))
    places = np.empty(count, np.int64)
    places[scored] = np.arange(len(scored))
    places[rejected] = np.arange(len(scored), count)
    return pa.concat_arrays([fine, wrong]).take(pa.array(places))


def _summary(predictions: Predictions, card: Card) -> dict[str, int]:
    """Counts of each predicted class, of probabilities in 20 equal bins, of a regressor's predictions in its bins."""
    counts: dict[str, int] = {}
    if card.kind is ModelKind.REGRESSOR:
        counts |= _counted("value", np.searchsorted(card.prediction_edges[1:-1], predictions.values, "right"))
    else:
        labels = np.bincount(predictions.values, minlength=len(card.classes)).tolist()
        counts |= {f"prediction:{name}": n for name, n in zip(card.classes, labels, strict=True) if n}
    if card.decides_by_threshold:
        bins = np.minimum((predictions.positive * BINS).astype(np.int64), BINS - 1)
        counts |= _counted("probability", bins)
    return counts


def _counted(kind: str, bins: NDArray[np.int64]) -> dict[str, int]:
    return {f"{kind}:{place}": count for place, count in enumerate(np.bincount(bins).tolist()) if count}
