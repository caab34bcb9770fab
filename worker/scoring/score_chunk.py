"""Score a chunk: bytes in; bytes, counts and faults out. Pure, except for what the model itself does."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from jobs.csv.records import RecordIndex
from jobs.formats.typed import pack_texts
from jobs.messages import InputChunk
from jobs.store.chunks import ScoredChunk
from jobs.store.outputs import TypedOutput
from model.columns import Column
from model.faults import Faults
from model.monitoring.counts import REPAIRED, WARNING
from model.schema import Fault, FaultCode, Feature
from model.scorer import Scorer
from model.validate import ParsedValues, parse_distinct
from worker.scoring.malformed import BrokenRecords
from worker.scoring.parse import Layout, ParsedChunk, parse_chunk, read_records
from worker.scoring.rejects import FaultColumn, count_faults, error_texts, reject_lines
from worker.scoring.render import RewrittenRecords, records_with_line_ends, scored_text
from worker.scoring.repair import repair_records
from worker.scoring.repeated_header import without_repeated_headers
from worker.scoring.result_columns import answer_suffixes, suffixes
from worker.scoring.row_predictions import ScoringRequest, failed, score
from worker.scoring.summary import count_values, summarise

# Rows of a chunk, at most, that the summary lists as repaired; ``record.lua`` limits those of a job.
_MAX_LISTED = 1000
_TOTALS = Fault(FaultCode.TOTALS_LINE, "the last line of the file holds totals, not a record")
ATTEMPTS_USED_UP = "the model could not score it in the attempts allowed"


@dataclass(frozen=True, slots=True)
class Validated:
    """A chunk after validation: the columns of its readable records, all faults (of whole records first) and warnings.

    ``columns`` holds, per model, its dictionary-coded columns by feature; ``value_counts`` are for the summary.
    """

    columns: list[dict[str, Column]] = field(default_factory=list)
    faults: list[FaultColumn] = field(default_factory=list)
    warnings: list[FaultColumn] = field(default_factory=list)
    value_counts: dict[str, int] = field(default_factory=dict)


def score_chunk(
    chunk: InputChunk,
    layout: Layout,
    scorers: Sequence[Scorer],
    threshold: float | None,
    bisect: bool = False,
    isolated_seconds: float | None = None,
) -> ScoredChunk:
    """Score the rows of a chunk with one model, or with two to compare.

    With ``bisect``, rows that a model fails on are found by halving and rejected alone. With ``isolated_seconds``, a
    limit for all of the work, rows that crash or hang the process are found as well, in processes of their own.

    Raises:
        ScoringFailed: a model failed, without ``bisect``.
        OSError: the system could not start a process.
    """
    if chunk.is_totals:
        return _reject_totals(chunk, layout)
    values = _Values(layout)
    are_invalid = partial(_are_invalid, scorers=scorers, values=values)
    repair = partial(repair_records, layout=layout, are_invalid=are_invalid)
    # No quote of a line of JSON is its writer's: there is nothing to repair.
    parsed = without_repeated_headers(parse_chunk(chunk, layout, None if layout.of_json else repair), layout)
    validated = validate(parsed, scorers, layout, values)
    faults = validated.faults
    rejected, valid = _split(len(parsed), faults)
    request = ScoringRequest(scorers, validated.columns, threshold, bool(layout.explained))
    scored = score(request.of(np.searchsorted(parsed.good, valid)), valid, bisect, isolated_seconds)
    # Rows that the model fails on are known only now.
    if len(scored.failed.rows):
        faults = [*faults, scored.failed]
        rejected, _ = _split(len(parsed), faults)
    broken = parsed.broken
    rewritten = broken.rewritten if broken else None
    repaired = broken.repaired.rows.tolist() if broken and broken.repaired else []
    cards = [scorer.card for scorer in scorers]
    warnings = _select_rows(validated.warnings, scored.rows)
    warned = np.unique(np.concatenate([scored.rows[:0], *(column.rows for column in warnings)]))
    answers = answer_suffixes(scored.answers, cards, layout, _warning_texts(warnings, warned, scored.rows))
    appended = suffixes(len(parsed), scored.rows, answers, faults, rejected, layout)
    return ScoredChunk(
        output=b"" if chunk.is_typed else scored_text(parsed.index, rewritten, appended),
        typed=TypedOutput(chunk.data, pack_texts(appended)) if chunk.is_typed else None,
        rejects=_rejects(parsed.index, rewritten, faults, chunk.first_row, layout) if faults else b"",
        scored=len(scored.rows),
        rejected=len(rejected),
        warned=len(warned),
        scoring_failed=len(scored.failed.rows),
        summary=summarise(scored.answers, cards)
        | count_faults(faults)
        | count_faults(warnings, WARNING)
        | validated.value_counts
        | {f"{REPAIRED}:{chunk.first_row + row}": 1 for row in repaired[:_MAX_LISTED]},
        repaired=len(repaired),
        originals=broken.originals(parsed.index) if broken else {},
    )


def reject_chunk(chunk: InputChunk, layout: Layout) -> ScoredChunk:
    """Reject all rows of a chunk whose attempts are used up, with as little work as possible: something in it kills."""
    index, broken = read_records(chunk, layout)
    columns = [broken.faults] if broken else []
    _, left = _split(len(index), columns)
    columns.append(failed(left, ATTEMPTS_USED_UP))
    return _reject_all(chunk, layout, index, broken, columns, scoring_failed=len(left))


def _reject_totals(chunk: InputChunk, layout: Layout) -> ScoredChunk:
    """Reject the lines at the end of a file that hold totals."""
    index, broken = read_records(chunk, layout)
    rows = np.arange(len(index))
    totals = FaultColumn(rows, np.zeros(len(rows), np.int64), Faults.of(None, [_TOTALS]))
    return _reject_all(chunk, layout, index, broken, [totals])


def _reject_all(
    chunk: InputChunk,
    layout: Layout,
    index: RecordIndex,
    broken: BrokenRecords | None,
    columns: list[FaultColumn],
    scoring_failed: int = 0,
) -> ScoredChunk:
    rewritten = broken.rewritten if broken else None
    rows = np.arange(len(index))
    nothing = pa.array([], pa.binary())
    return ScoredChunk(
        output=scored_text(index, rewritten, suffixes(len(index), rows[:0], nothing, columns, rows, layout)),
        rejects=_rejects(index, rewritten, columns, chunk.first_row, layout),
        scored=0,
        rejected=len(index),
        scoring_failed=scoring_failed,
        summary=count_faults(columns),
        originals=broken.originals(index) if broken else {},
    )


def _rejects(
    index: RecordIndex, rewritten: RewrittenRecords | None, faults: list[FaultColumn], first_row: int, layout: Layout
) -> bytes:
    if not len(index):
        return b""
    # For the last record, which may have none.
    line_end = b"\r\n" if index.data.startswith(b"\r\n", int(index.ends[0])) else b"\n"
    rows, _ = _split(len(index), faults)
    lines = records_with_line_ends(index, rewritten, rows, line_end)
    return reject_lines(faults, rows, lines, first_row, layout.delimiter)


@dataclass(slots=True)
class _Values:
    """The values of the distinct texts of columns. Those of a column of repaired records are needed twice."""

    layout: Layout
    _valid: dict[tuple[int, int], tuple[Feature, pa.StringArray, ParsedValues]] = field(default_factory=dict)

    def of(self, feature: Feature, texts: pa.StringArray, suggest: bool = True) -> ParsedValues:
        """Parse the texts, unless they have been, and all were valid."""
        key = (id(feature), id(texts))  # they are kept, so that no others get their ids
        if key in self._valid:
            return self._valid[key][-1]
        values = parse_distinct(feature, texts, self.layout.numbers, suggest)
        if not len(values.at_fault) and not len(values.unusual):
            self._valid[key] = (feature, texts, values)
        return values


def _are_invalid(name: str, texts: pa.StringArray, scorers: Sequence[Scorer], values: _Values) -> NDArray[np.bool_]:
    """Return which of the distinct texts of a feature have a fault or a warning."""
    invalid = np.zeros(len(texts), np.bool_)
    for feature in (one for scorer in scorers for one in scorer.card.features if one.name == name):
        found = values.of(feature, texts, suggest=False)
        invalid[found.at_fault] = invalid[found.unusual] = True
    return invalid


def validate(
    parsed: ParsedChunk, scorers: Sequence[Scorer], layout: Layout, values: _Values | None = None
) -> Validated:
    """Validate the chunk for each model; a value that both reject is one fault."""
    values = values or _Values(layout)
    whole = [parsed.broken.faults] if parsed.broken and len(parsed.broken.faults.rows) else []
    validated = Validated(faults=[*whole, parsed.repeated_headers] if parsed.repeated_headers else whole)
    known: dict[str, tuple[Feature, ParsedValues]] = {}
    counted: set[str] = set()
    for scorer in scorers:
        columns: dict[str, Column] = {}
        for feature in scorer.card.features:
            codes = parsed.columns[feature.name][1]
            column = _parse_column(feature, parsed, values, known, validated)
            columns[feature.name] = (column.values, codes)
            summary = scorer.card.summary.get(feature.name)
            # Of two models, the first one with a summary of the feature defines the bins.
            if summary and feature.name not in counted:
                counted.add(feature.name)
                validated.value_counts.update(count_values(feature.name, summary, column, codes))
        validated.columns.append(columns)
    return validated


def _parse_column(
    feature: Feature,
    parsed: ParsedChunk,
    parsed_values: _Values,
    known: dict[str, tuple[Feature, ParsedValues]],
    validated: Validated,
) -> ParsedValues:
    """Parse the distinct values of a column; add their faults and warnings, unless the first model found the same."""
    texts, codes = parsed.columns[feature.name]
    before = known.get(feature.name)
    # Two models with the same feature share its values, whose faults are reported once.
    if before and before[0] == feature:
        return before[1]
    layout, values = parsed_values.layout, parsed_values.of(feature, texts)
    new = values.without_those_of(before[1]) if before else values
    if len(new.faults):
        faults = _as_written(new.faults, layout)
        validated.faults.append(_rows_of_values(new.at_fault, faults, len(values.values), codes, parsed.good))
    if len(new.warnings):
        warnings = _as_written(new.warnings, layout)
        validated.warnings.append(_rows_of_values(new.unusual, warnings, len(values.values), codes, parsed.good))
    known.setdefault(feature.name, (feature, values))
    return values


def _as_written(faults: Faults, layout: Layout) -> Faults:
    """Return the faults with texts that read in the file as they read now."""
    return faults if layout.dialect.is_plain else faults.rewritten(layout.dialect.text_of)


def _rows_of_values(
    texts: NDArray[np.int64], faults: Faults, distinct: int, codes: NDArray[np.int32], good: NDArray[np.int64]
) -> FaultColumn:
    """Return the rows with the distinct values at ``texts``, out of ``distinct`` ones, and the fault of each."""
    # Faults are found by distinct value; -1 stands for a valid one.
    fault_of_value = np.full(distinct, -1)
    fault_of_value[texts] = np.arange(len(texts))
    fault_of_row = fault_of_value[codes]
    at = np.flatnonzero(fault_of_row >= 0)
    return FaultColumn(good[at], fault_of_row[at], faults)


def _select_rows(columns: Sequence[FaultColumn], rows: NDArray[np.int64]) -> list[FaultColumn]:
    """Return the faults of the given rows, ascending."""
    kept = [(column, np.isin(column.rows, rows, assume_unique=True)) for column in columns]
    return [FaultColumn(column.rows[at], column.codes[at], column.faults) for column, at in kept if at.any()]


def _warning_texts(
    warnings: Sequence[FaultColumn], warned: NDArray[np.int64], rows: NDArray[np.int64]
) -> pa.BinaryArray | None:
    """Return each row's ``warnings`` field, empty for most rows; None if no row has any."""
    if not len(warned):
        return None
    places = np.full(len(rows), len(warned))
    places[np.searchsorted(rows, warned)] = np.arange(len(warned))
    texts = pa.concat_arrays([error_texts(warnings, warned), pa.array([b""], pa.binary())])
    return texts.take(pa.array(places))


def _split(count: int, faults: Sequence[FaultColumn]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the indexes of the rows with a fault and of those without, out of ``count``."""
    rejected = np.zeros(count, np.bool_)
    for column in faults:
        rejected[column.rows] = True
    return np.flatnonzero(rejected), np.flatnonzero(~rejected)
