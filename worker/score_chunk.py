"""Scoring a chunk: bytes in; bytes, counts and reasons out. Pure, but for the model's own work."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.messages import InputChunk
from jobs.store import ScoredChunk
from model.explain import Column
from model.schema import Fault, FaultCode
from model.scorer import Predictions, Scorer
from model.validate import parse_distinct
from worker.assemble import join, quoted, records_with_line_ends, scored_text, six_decimals
from worker.parse import Layout, ParsedChunk, parse_chunk
from worker.rejects import FaultColumn, count_faults, error_texts, reject_lines

BINS = 20


@dataclass(frozen=True, slots=True)
class Caution:
    """How to score a chunk: `apart` halves what the model fails on until the bad rows stand alone; `not_at_all`
    rejects every row, once the attempts are used up."""

    apart: bool = False
    not_at_all: bool = False


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """What the model said of the valid rows: their numbers, shape (k,), ascending, and their predictions."""

    rows: NDArray[np.int64]
    predictions: Predictions
    failed: FaultColumn


def score_chunk(
    chunk: InputChunk, layout: Layout, scorer: Scorer, threshold: float | None, caution: Caution
) -> ScoredChunk:
    """Score the rows of a chunk.

    Raises:
        ScoringFailed: when the model fails, unless `caution` says to find the rows that it fails on.
    """
    parsed = parse_chunk(chunk.data, layout)
    columns, faults = validate(parsed, scorer)
    rejected = _rows_of(faults)
    valid = np.setdiff1d(np.arange(len(parsed)), rejected, assume_unique=True)
    kept = np.searchsorted(parsed.good, valid)
    scored = _predict(_select(columns, kept), valid, scorer, threshold, caution)
    if len(scored.failed.rows):
        faults = [*faults, scored.failed]
        rejected = _rows_of(faults)
    suffixes = _suffixes(len(parsed), scored, faults, rejected, scorer, layout.delimiter)
    rejects = b""
    if faults:
        line_end = b"\r\n" if b"\r\n" in parsed.index.data else b"\n"
        lines = records_with_line_ends(parsed.index, parsed.mended, line_end)
        rejects = reject_lines(faults, lines, chunk.first_row, layout.delimiter)
    return ScoredChunk(
        output=scored_text(parsed.index, parsed.mended, suffixes),
        rejects=rejects,
        scored=len(scored.rows),
        rejected=len(rejected),
        scoring_failed=len(scored.failed.rows),
        summary=_summary(scored.predictions, scorer) | count_faults(faults),
    )


def validate(parsed: ParsedChunk, scorer: Scorer) -> tuple[dict[str, Column], list[FaultColumn]]:
    """The good records' columns as values, and every fault of the chunk, those of whole records first."""
    faults = [_record_faults(parsed.faults)] if parsed.faults else []
    columns: dict[str, Column] = {}
    for feature in scorer.card.features:
        texts, codes = parsed.columns[feature.name]
        values = parse_distinct(feature, texts)
        columns[feature.name] = (values.values, codes)
        if values.faults:
            faults.append(_column_faults(values.faults, len(texts), codes, parsed.good))
    return columns, faults


def _record_faults(faults: Mapping[int, Fault]) -> FaultColumn:
    rows = np.array(sorted(faults))
    distinct = list(dict.fromkeys(faults[row] for row in rows.tolist()))
    codes = {fault: code for code, fault in enumerate(distinct)}
    return FaultColumn(rows, np.array([codes[faults[row]] for row in rows.tolist()]), distinct)


def _column_faults(
    faults: Mapping[int, Fault], distinct: int, codes: NDArray[np.int32], good: NDArray[np.int64]
) -> FaultColumn:
    places = np.full(distinct, -1)
    places[list(faults)] = np.arange(len(faults))
    found = places[codes]
    at = np.flatnonzero(found >= 0)
    return FaultColumn(good[at], found[at], list(faults.values()))


def _rows_of(faults: list[FaultColumn]) -> NDArray[np.int64]:
    return np.unique(np.concatenate([column.rows for column in faults])) if faults else np.empty(0, np.int64)


def _select(columns: Mapping[str, Column], rows: NDArray[np.int64]) -> dict[str, Column]:
    """The given rows of dictionary-coded columns, without the distinct values that none of them has."""
    selected = {}
    for name, (values, codes) in columns.items():
        taken = codes[rows]
        used = np.bincount(taken, minlength=len(values)) > 0
        selected[name] = (values, taken) if used.all() else (values[used], (np.cumsum(used) - 1)[taken])
    return selected


def _predict(
    columns: dict[str, Column], rows: NDArray[np.int64], scorer: Scorer, threshold: float | None, caution: Caution
) -> ScoredRows:
    if caution.not_at_all:
        return _failed(rows, "the model could not score it in the attempts allowed")
    if not caution.apart:
        predictions = scorer.predict_coded(columns, threshold)
        return ScoredRows(rows, predictions, _failed(rows[:0], "").failed)
    return _predict_apart(columns, rows, scorer, threshold)


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
    places = np.concatenate([part for part, _ in done]) if done else np.empty(0, np.int64)
    order = np.argsort(places)
    labels = np.concatenate([p.labels for _, p in done]) if done else np.empty(0, np.int64)
    positive = np.concatenate([p.positive for _, p in done]) if done else np.empty(0)
    broken = _failed(rows[np.sort(np.array(failed, np.int64))], "the model could not score it").failed
    return ScoredRows(rows[places[order]], Predictions(labels[order], positive[order]), broken)


def _failed(rows: NDArray[np.int64], detail: str) -> ScoredRows:
    nothing = Predictions(np.empty(0, np.int64), np.empty(0))
    faults = FaultColumn(rows, np.zeros(len(rows), np.int64), [Fault(FaultCode.SCORING_FAILED, detail)])
    return ScoredRows(rows[:0], nothing, faults)


def _suffixes(
    count: int,
    scored: ScoredRows,
    faults: list[FaultColumn],
    rejected: NDArray[np.int64],
    scorer: Scorer,
    delimiter: str,
) -> pa.BinaryArray:
    """What follows each record: prediction, probability and error, each after a delimiter."""
    separator = delimiter.encode()
    labels = pa.array([separator + quoted(name, delimiter) + separator for name in scorer.card.classes], pa.binary())
    predictions = scored.predictions
    fine = join(labels.take(pa.array(predictions.labels)), six_decimals(predictions.positive), separator)
    if not len(rejected):
        return fine
    wrong = join(3 * separator, error_texts(faults, rejected))
    places = np.empty(count, np.int64)
    places[scored.rows] = np.arange(len(scored.rows))
    places[rejected] = np.arange(len(scored.rows), count)
    return pa.concat_arrays([fine, wrong]).take(pa.array(places))


def _summary(predictions: Predictions, scorer: Scorer) -> dict[str, int]:
    """Counts of each prediction and of probabilities in 20 equal bins, the last closed on both sides."""
    labels = np.bincount(predictions.labels, minlength=len(scorer.card.classes)).tolist()
    bins = np.minimum((predictions.positive * BINS).astype(np.int64), BINS - 1)
    counts: dict[str, Any] = {f"prediction:{name}": n for name, n in zip(scorer.card.classes, labels, strict=True)}
    counts |= {f"probability:{place}": n for place, n in enumerate(np.bincount(bins, minlength=BINS).tolist())}
    return {name: count for name, count in counts.items() if count}
