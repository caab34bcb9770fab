"""The rejected records of a chunk, read from its results and its lines of the rejects file. Pure."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import groupby

import numpy as np

from jobs.csv.records import RecordIndex, index_records, unquote


@dataclass(frozen=True, slots=True)
class ResultsLayout:
    """The layout of results: delimiter, number of input columns, and the place of the column ``error``, from 0."""

    delimiter: str
    width: int
    error: int


@dataclass(frozen=True, slots=True)
class RejectLine:
    """A line of the rejects file: a fault of a row, and the offsets of the line with its line end.

    ``column`` is empty for faults of whole records.
    """

    row: int
    column: str
    value: str
    code: str
    reason: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class RejectedRecords:
    """The n rejected records of a chunk, in order: their indexes in the chunk and their row numbers.

    ``index`` holds all records of the results; a record's own fields end at ``own_ends``, and its error stands between
    the offsets ``errors``. ``lines`` are the chunk's lines of the rejects file.
    """

    index: RecordIndex
    indexes: list[int]
    rows: list[int]
    own_ends: list[int]
    errors: list[tuple[int, int]]
    lines: bytes

    @classmethod
    def read(cls, output: bytes, lines: bytes, layout: ResultsLayout) -> "RejectedRecords":
        """Read a chunk of the results with its lines of the rejects file."""
        index = index_records(output, ord(layout.delimiter), final=True)
        delimiters = np.append(index.delimiter_offsets, len(output))
        first = np.searchsorted(delimiters, index.starts)
        # The field ``error`` of each record, found by counting delimiters from the start of the record; it is empty
        # where the row was scored.
        starts = delimiters[first + layout.error - 1] + 1
        ends = np.minimum(delimiters[np.minimum(first + layout.error, len(delimiters) - 1)], index.ends)
        rejected = np.flatnonzero(ends > starts)
        # The chunk's first line of the rejects file is about its first rejected record, which gives the number of its
        # first row.
        number = re.match(rb"[0-9]+", lines)
        first_row = int(number[0]) - int(rejected[0]) if number and len(rejected) else 1
        return cls(
            index,
            rejected.tolist(),
            (rejected + first_row).tolist(),
            delimiters[first[rejected] + layout.width - 1].tolist(),
            list(zip(starts[rejected].tolist(), ends[rejected].tolist(), strict=True)),
            lines,
        )

    def __len__(self) -> int:
        return len(self.indexes)

    def record(self, number: int) -> bytes:
        """Return the fields of the input of one rejected record, as they appear in the results."""
        return self.index.data[int(self.index.starts[self.indexes[number]]) : self.own_ends[number]]

    def error(self, number: int) -> bytes:
        """Return the field ``error`` of one rejected record, quoted as in the results."""
        start, end = self.errors[number]
        return self.index.data[start:end]

    def faults(self, delimiter: str) -> Iterator[list[RejectLine]]:
        """Yield the faults of each rejected record."""
        lengths = {row: len(self.record(number)) for number, row in enumerate(self.rows)}
        lines = reject_lines(self.lines, delimiter, lengths.__getitem__)
        yield from (list(of_row) for _, of_row in groupby(lines, lambda line: line.row))


def reject_lines(lines: bytes, delimiter: str, length_of: Callable[[int], int]) -> Iterator[RejectLine]:
    """Yield the lines of a rejects file without its header.

    A line consists of row, column, value, code, reason and the record as in the results. ``length_of`` returns the
    length of a row's record, which is skipped without parsing it: that may be ambiguous.
    """
    position = 0
    while position < len(lines):
        head = _head(delimiter).match(lines, position)
        assert head is not None
        row = int(head[1])
        column, value, code, reason = (unquote(field).decode("utf-8", "replace") for field in head.groups()[1:])
        end = head.end() + length_of(row)
        end += 2 if lines.startswith(b"\r\n", end) else 1
        yield RejectLine(row, column, value, code, reason, position, end)
        position = end


@cache
def _head(delimiter: str) -> re.Pattern[bytes]:
    """Return the pattern of the five fields before the record in a line of the rejects file."""
    stop = re.escape(delimiter.encode())
    field = rb'("(?:[^"]|"")*+"|[^"\r\n' + stop + rb"]*+)"
    return re.compile(rb"([0-9]+)" + 4 * (stop + field) + stop)
