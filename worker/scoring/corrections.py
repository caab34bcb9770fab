"""Put the results of corrected rows into those of their chunk, in place of what they were. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from jobs.csv.rejected import RejectedRecords, RejectLine, ResultsLayout
from jobs.messages import InputChunk
from jobs.store.chunks import ReplacedChunk, ScoredChunk
from model.monitoring.counts import FAULT, REPAIRED
from model.schema import FaultCode
from model.scorer import Scorer
from worker.scoring.parse import Layout, parse_chunk
from worker.scoring.score_chunk import ATTEMPTS_USED_UP, validate


def merge(replaced: ReplacedChunk, scored: ScoredChunk, layout: Layout, scorers: Sequence[Scorer] = ()) -> ScoredChunk:
    """Return the whole chunk with the results of its corrected rows, which ``scored`` holds in order.

    Without ``scorers``, the values of the corrected rows stay in the summary as they were.
    """
    results = ResultsLayout(layout.delimiter, layout.width, layout.width + layout.added - 1)
    before = RejectedRecords.read(replaced.output, replaced.rejects.lines, results)
    after = RejectedRecords.read(scored.output, scored.rejects, results)
    faults = dict(zip(before.rows, before.faults(layout.delimiter), strict=True))
    old_faults = {row: faults.pop(row) for row in replaced.rows}
    # The scored records are in the order of the rows that they correct: record n belongs at ``indexes[n]``.
    indexes = [index for index, row in zip(before.indexes, before.rows, strict=True) if row in old_faults]
    records = {index: after.index.record(number) for number, index in enumerate(indexes)}
    lines = {row: _lines(before.lines, of_row) for row, of_row in faults.items()}
    for number, of_row in zip(after.rows, after.faults(layout.delimiter), strict=True):
        row = replaced.rows[number - 1]
        lines[row] = _lines(after.lines, of_row, row)
    # What these rows counted before is subtracted, so that the summary is that of the file as corrected.
    old_values = _count_values(before, old_faults, layout, scorers)
    return replace(
        scored,
        output=_spliced(before, records),
        rejects=b"".join(lines[row] for row in sorted(lines)),
        summary=_less(_renumbered(scored.summary, replaced.rows), _count_faults(old_faults.values()), old_values),
        originals=_merged(replaced.rejects.originals, scored.originals, indexes),
    )


def _spliced(before: RejectedRecords, records: Mapping[int, bytes]) -> bytes:
    """Return the results with some records replaced; every record keeps its line end."""
    index, parts, position = before.index, [], 0
    for number, record in sorted(records.items()):
        parts += [index.data[position : int(index.starts[number])], record]
        position = int(index.ends[number])
    return b"".join([*parts, index.data[position:]])


def _lines(lines: bytes, faults: Sequence[RejectLine], row: int | None = None) -> bytes:
    """Return the lines of a row, under another row number if one is given."""
    if row is None:
        return lines[faults[0].start : faults[-1].end]
    # Only the row number differs: the corrected rows were scored as rows 1, 2, … of a chunk of their own.
    return b"".join(str(row).encode() + lines[line.start + len(str(line.row)) : line.end] for line in faults)


def _renumbered(counts: Mapping[str, int], rows: Sequence[int]) -> Mapping[str, int]:
    """Return the counts of corrected rows, with the numbers of repaired ones in the file."""
    renumbered = {}
    for name, count in counts.items():
        kind, _, number = name.partition(":")
        renumbered[f"{REPAIRED}:{rows[int(number) - 1]}" if kind == REPAIRED else name] = count
    return renumbered


def _merged(before: Mapping[int, bytes], after: Mapping[int, bytes], indexes: Sequence[int]) -> dict[int, bytes]:
    """Return the records of the chunk as they came; those ``after`` are of the corrected ones, at ``indexes``."""
    corrected = set(indexes)
    kept = {index: record for index, record in before.items() if index not in corrected}
    return kept | {indexes[number]: record for number, record in after.items()}


def _less(counts: Mapping[str, int], *others: Mapping[str, int]) -> dict[str, int]:
    """Return the differences of the counts that are not zero."""
    left = Counter(counts)
    for other in others:
        left.subtract(other)
    return {name: count for name, count in left.items() if count}


def _count_faults(faults: Iterable[Sequence[RejectLine]]) -> Mapping[str, int]:
    return Counter(f"{FAULT}:{line.code}:{line.column}" for of_row in faults for line in of_row)


def _count_values(
    before: RejectedRecords, faults: Mapping[int, Sequence[RejectLine]], layout: Layout, scorers: Sequence[Scorer]
) -> Mapping[str, int]:
    """Return what the values of the rejected rows with these faults counted in the summary."""
    counted = [
        before.record(place)
        for place, row in enumerate(before.rows)
        if row in faults and all(map(_was_read, faults[row]))
    ]
    if not counted or not scorers:
        return {}
    chunk = InputChunk(1, len(counted), b"\n".join([*counted, b""]))
    return validate(parse_chunk(chunk, layout), scorers, layout).value_counts


def _was_read(fault: RejectLine) -> bool:
    """Return whether the values of a record with this fault were counted: not if it could not be split into fields."""
    if fault.column:
        return True
    return fault.code == FaultCode.SCORING_FAILED and fault.reason != ATTEMPTS_USED_UP
