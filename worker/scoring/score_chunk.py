"""Scoring a chunk: bytes in; bytes, counts and reasons out. Pure, but for the model's own work."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.csv.records import RecordIndex
from jobs.messages import InputChunk
from jobs.store.chunks import ScoredChunk
from model.columns import Column
from model.faults import Faults
from model.schema import Feature
from model.scorer import Scorer
from model.validate import ParsedValues, parse_distinct
from worker.scoring.histogram import spread
from worker.scoring.parse import Layout, ParsedChunk, parse_chunk, read_records
from worker.scoring.rejects import FaultColumn, count_faults, error_texts, reject_lines
from worker.scoring.render import RepairedRecords, records_with_line_ends, scored_text
from worker.scoring.result_columns import fine_suffixes, suffixes
from worker.scoring.row_predictions import ScoringRequest, failed, score
from worker.scoring.summary import summarise

_ATTEMPTS_USED_UP = "the model could not score it in the attempts allowed"


@dataclass(frozen=True, slots=True)
class Validated:
    """A chunk's good records as each model takes them, every fault, those of whole records first, and every warning.

    `columns` holds, per model, its dictionary-coded columns by feature; `spreads` counts their values for the summary.
    """

    columns: list[dict[str, Column]] = field(default_factory=list)
    faults: list[FaultColumn] = field(default_factory=list)
    warnings: list[FaultColumn] = field(default_factory=list)
    spreads: dict[str, int] = field(default_factory=dict)


def score_chunk(
    chunk: InputChunk,
    layout: Layout,
    scorers: Sequence[Scorer],
    threshold: float | None,
    bisect: bool = False,
    isolated_seconds: float | None = None,
) -> ScoredChunk:
    """Score the rows of a chunk with one model, or with two to be compared.

    `apart` finds the rows that a model fails on, and rejects them alone.

    With `isolated_seconds`, which all of it may take, also those that take its process down or never end.

    Raises:
        ScoringFailed: when a model fails, without `apart`.
        OSError: when the system has no process to give.
    """
    parsed = parse_chunk(chunk.data, layout)
    found = validate(parsed, scorers)
    faults = found.faults
    rejected, valid = _split(len(parsed), faults)
    request = ScoringRequest(scorers, found.columns, threshold, bool(layout.explained))
    scored = score(request.of(np.searchsorted(parsed.good, valid)), valid, bisect, isolated_seconds)
    if len(scored.failed.rows):
        faults = [*faults, scored.failed]
        rejected, _ = _split(len(parsed), faults)
    mended = parsed.broken.mended if parsed.broken else None
    cards = [scorer.card for scorer in scorers]
    warnings = _of_rows(found.warnings, scored.rows)
    warned = np.unique(np.concatenate([scored.rows[:0], *(column.rows for column in warnings)]))
    fine = fine_suffixes(scored.answers, cards, layout, _warning_texts(warnings, warned, scored.rows))
    appended = suffixes(len(parsed), scored.rows, fine, faults, rejected, layout)
    return ScoredChunk(
        output=scored_text(parsed.index, mended, appended),
        rejects=_rejects(parsed.index, mended, faults, chunk.first_row, layout),
        scored=len(scored.rows),
        rejected=len(rejected),
        warned=len(warned),
        scoring_failed=len(scored.failed.rows),
        summary=summarise(scored.answers, cards)
        | count_faults(faults)
        | count_faults(warnings, "warning")
        | found.spreads,
        field_counts=parsed.broken.field_counts if parsed.broken else {},
    )


def reject_chunk(chunk: InputChunk, layout: Layout) -> ScoredChunk:
    """Reject all rows of a chunk whose attempts are used up, with as little work as can be: something in it kills."""
    index, broken = read_records(chunk.data, layout)
    columns = [broken.faults] if broken else []
    _, left = _split(len(index), columns)
    columns.append(failed(left, _ATTEMPTS_USED_UP))
    mended = broken.mended if broken else None
    rows = np.arange(len(index))
    nothing = pa.array([], pa.binary())
    return ScoredChunk(
        output=scored_text(index, mended, suffixes(len(index), rows[:0], nothing, columns, rows, layout)),
        rejects=_rejects(index, mended, columns, chunk.first_row, layout),
        scored=0,
        rejected=len(index),
        scoring_failed=len(left),
        summary=count_faults(columns),
        field_counts=broken.field_counts if broken else {},
    )


def _rejects(
    index: RecordIndex, mended: RepairedRecords | None, faults: list[FaultColumn], first_row: int, layout: Layout
) -> bytes:
    if not faults or not len(index):
        return b""
    line_end = b"\r\n" if index.data.startswith(b"\r\n", int(index.ends[0])) else b"\n"
    lines = records_with_line_ends(index, mended, line_end)
    return reject_lines(faults, lines, first_row, layout.delimiter)


def validate(parsed: ParsedChunk, scorers: Sequence[Scorer]) -> Validated:
    """The chunk as each of the models takes it; a value that two of them reject is one fault."""
    found = Validated(faults=[parsed.broken.faults] if parsed.broken else [])
    known: dict[str, tuple[Feature, ParsedValues]] = {}
    counted: set[str] = set()
    for scorer in scorers:
        columns: dict[str, Column] = {}
        for feature in scorer.card.features:
            codes = parsed.columns[feature.name][1]
            values = _parsed(feature, parsed, known, found)
            columns[feature.name] = (values.values, codes)
            summary = scorer.card.summary.get(feature.name)
            if summary and feature.name not in counted:
                counted.add(feature.name)
                found.spreads.update(spread(feature.name, summary, values, codes))
        found.columns.append(columns)
    return found


def _parsed(
    feature: Feature, parsed: ParsedChunk, known: dict[str, tuple[Feature, ParsedValues]], found: Validated
) -> ParsedValues:
    """The distinct values of a column; what is said of them joins what was found, unless it is known from before."""
    texts, codes = parsed.columns[feature.name]
    before = known.get(feature.name)
    if before and before[0] == feature:
        return before[1]
    values = parse_distinct(feature, texts)
    news = values.without_those_of(before[1]) if before else values
    if len(news.faults):
        found.faults.append(_told_rows(news.at_fault, news.faults, len(values.values), codes, parsed.good))
    if len(news.warnings):
        found.warnings.append(_told_rows(news.unusual, news.warnings, len(values.values), codes, parsed.good))
    known.setdefault(feature.name, (feature, values))
    return values


def _told_rows(
    texts: NDArray[np.int64], faults: Faults, distinct: int, codes: NDArray[np.int32], good: NDArray[np.int64]
) -> FaultColumn:
    """The rows whose text is one of those at the given places, of so many distinct ones, with what is said of each."""
    places = np.full(distinct, -1)
    places[texts] = np.arange(len(texts))
    found = places[codes]
    at = np.flatnonzero(found >= 0)
    return FaultColumn(good[at], found[at], faults)


def _of_rows(columns: Sequence[FaultColumn], rows: NDArray[np.int64]) -> list[FaultColumn]:
    """What is said of the given rows, ascending."""
    kept = [(column, np.isin(column.rows, rows, assume_unique=True)) for column in columns]
    return [FaultColumn(column.rows[at], column.codes[at], column.faults) for column, at in kept if at.any()]


def _warning_texts(
    warnings: Sequence[FaultColumn], warned: NDArray[np.int64], rows: NDArray[np.int64]
) -> pa.BinaryArray | None:
    """The field of each of the rows that tells its warnings, empty for most; None where there are none."""
    if not len(warned):
        return None
    places = np.full(len(rows), len(warned))
    places[np.searchsorted(rows, warned)] = np.arange(len(warned))
    texts = pa.concat_arrays([error_texts(warnings, warned), pa.array([b""], pa.binary())])
    return texts.take(pa.array(places))


def _split(count: int, faults: Sequence[FaultColumn]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of the rows, of `count`, that have a fault, and of those that have none."""
    rejected = np.zeros(count, np.bool_)
    for column in faults:
        rejected[column.rows] = True
    return np.flatnonzero(rejected), np.flatnonzero(~rejected)
