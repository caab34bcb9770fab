"""Scoring a chunk: bytes in; bytes, counts and reasons out. Pure, but for the model's own work."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.chunks import ScoredChunk
from jobs.messages import InputChunk
from jobs.records import RecordIndex
from model.columns import Column
from model.schema import Feature
from model.scorer import Scorer
from model.validate import ParsedValues, parse_distinct
from worker.answers import Question, failed, score
from worker.assemble import Mended, records_with_line_ends, scored_text
from worker.parse import Layout, ParsedChunk, parse_chunk, read_records
from worker.rejects import FaultColumn, count_faults, reject_lines
from worker.spread import spread
from worker.suffixes import fine_suffixes, suffixes
from worker.summary import summarise

_ATTEMPTS_USED_UP = "the model could not score it in the attempts allowed"


@dataclass(frozen=True, slots=True)
class Validated:
    """A chunk's good records as each model takes them, and every fault, those of whole records first.

    `columns` holds, per model, its dictionary-coded columns by feature; `spreads` counts their values for the summary.
    """

    columns: list[dict[str, Column]] = field(default_factory=list)
    faults: list[FaultColumn] = field(default_factory=list)
    spreads: dict[str, int] = field(default_factory=dict)


def score_chunk(
    chunk: InputChunk,
    layout: Layout,
    scorers: Sequence[Scorer],
    threshold: float | None,
    apart: bool = False,
    isolated_seconds: float | None = None,
) -> ScoredChunk:
    """Score the rows of a chunk with one model, or with two to be compared.

    `apart` finds the rows that a model fails on, and rejects them alone.

    With `isolated_seconds`, which all of it may take, also those that take its process down or never end.

    Raises:
        ScoringFailed: when a model fails, without `apart`.
        OSError: when the system has no process to give.
        BrokenModel: when the layout has columns for explanations that the model does not give.
    """
    parsed = parse_chunk(chunk.data, layout)
    found = validate(parsed, scorers)
    faults = found.faults
    rejected, valid = _split(len(parsed), faults)
    question = Question(scorers, found.columns, threshold, bool(layout.explained))
    scored = score(question.of(np.searchsorted(parsed.good, valid)), valid, apart, isolated_seconds)
    if len(scored.failed.rows):
        faults = [*faults, scored.failed]
        rejected, _ = _split(len(parsed), faults)
    mended = parsed.broken.mended if parsed.broken else None
    cards = [scorer.card for scorer in scorers]
    fine = fine_suffixes(scored.answers, cards, layout)
    appended = suffixes(len(parsed), scored.rows, fine, faults, rejected, layout)
    return ScoredChunk(
        output=scored_text(parsed.index, mended, appended),
        rejects=_rejects(parsed.index, mended, faults, chunk.first_row, layout),
        scored=len(scored.rows),
        rejected=len(rejected),
        scoring_failed=len(scored.failed.rows),
        summary=summarise(scored.answers, cards) | count_faults(faults) | found.spreads,
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
    )


def _rejects(
    index: RecordIndex, mended: Mended | None, faults: list[FaultColumn], first_row: int, layout: Layout
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
            values = _parsed(feature, parsed, known, found.faults)
            columns[feature.name] = (values.values, codes)
            summary = scorer.card.summary.get(feature.name)
            if summary and feature.name not in counted:
                counted.add(feature.name)
                found.spreads.update(spread(feature.name, summary, values, codes))
        found.columns.append(columns)
    return found


def _parsed(
    feature: Feature, parsed: ParsedChunk, known: dict[str, tuple[Feature, ParsedValues]], faults: list[FaultColumn]
) -> ParsedValues:
    """The distinct values of a column; what is wrong with them joins the faults, unless it is known from before."""
    texts, codes = parsed.columns[feature.name]
    before = known.get(feature.name)
    if before and before[0] == feature:
        return before[1]
    values = parse_distinct(feature, texts)
    news = values.without_faults_at(before[1].at_fault) if before else values
    if len(news.faults):
        faults.append(_column_faults(news, codes, parsed.good))
    known.setdefault(feature.name, (feature, values))
    return values


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
