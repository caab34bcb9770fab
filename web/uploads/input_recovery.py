"""Recover the input records of a job from its results, by removing the appended columns. Pure.

Rejected records were padded or cut to the header's width for the results. Here they are written so that they are
rejected again for the same reason: with the number of fields that they had, or with an extra field that is malformed or
undecodable.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np

from jobs.csv.records import RecordIndex, index_records, read_record
from jobs.csv.rejected import reject_lines
from jobs.messages import Rejects
from model.schema import MAX_ECHO, FaultCode

# Extra fields that cause a record to be rejected with the code.
_INVALID_FIELDS = {FaultCode.MALFORMED: b'""x', FaultCode.UNDECODABLE: b"\xff"}
_CODES = {code.value: code for code in (FaultCode.RAGGED, *_INVALID_FIELDS)}
_FIELD_SEPARATOR = re.compile(", ")


@dataclass(frozen=True, slots=True)
class _Broken:
    """Why a whole record was rejected: code and value of the fault."""

    code: FaultCode
    value: str


@dataclass(slots=True)
class InputRecovery:
    """Turns the chunks of a job's results, in order, back into the input records.

    ``width`` is the number of input columns; ``rows`` counts the records so far.
    """

    delimiter: str
    width: int
    rows: int = 0

    def feed(self, output: bytes, rejects: Rejects) -> bytes:
        """Return the input records of the next chunk, each with its own line end."""
        index = index_records(output, ord(self.delimiter), final=True)
        starts, ends = index.starts.tolist(), index.ends.tolist()
        cuts = _ends_of_own_fields(index, self.width)
        records = [output[start:cut] for start, cut in zip(starts, cuts, strict=True)]
        line_ends = [output[end:start] for end, start in zip(ends, [*starts[1:], len(output)], strict=False)]
        lengths = [len(record) for record in records]
        for number, broken in _broken_records(rejects.lines, self.delimiter, self.rows + 1, lengths):
            count = rejects.field_counts.get(number, 0)
            records[number] = self._restore(records[number], broken, count)
        self.rows += len(index)
        return b"".join(chain.from_iterable(zip(records, line_ends, strict=True)))

    def _restore(self, record: bytes, broken: _Broken, count: int) -> bytes:
        """Return a record that is rejected for the same reason; ``count`` is its original number of fields."""
        separator = self.delimiter.encode()
        if broken.code in _INVALID_FIELDS:
            return record + separator + _INVALID_FIELDS[broken.code]
        if count < self.width:
            return record[: read_record(record, 0, len(record), ord(self.delimiter)).fields[count - 1][1]]
        texts = _split(broken.value, count - self.width)
        surplus = b"".join(separator + _as_field(text, self.delimiter) for text in texts)
        return record + surplus + separator * (count - self.width - len(texts))


def _ends_of_own_fields(index: RecordIndex, width: int) -> list[int]:
    """Return the offset in each result record at which the input fields end."""
    delimiters = index.delimiter_offsets()
    places = np.searchsorted(delimiters, index.starts) + width - 1
    ends: list[int] = delimiters[places].tolist()
    return ends


def _broken_records(
    rejects: bytes, delimiter: str, first_row: int, lengths: list[int]
) -> Iterator[tuple[int, _Broken]]:
    """Yield index and fault of the records of a chunk that were rejected as a whole."""
    for line in reject_lines(rejects, delimiter, lambda row: lengths[row - first_row]):
        if not line.column and line.code in _CODES:
            yield line.row - first_row, _Broken(_CODES[line.code], line.value)


def _split(value: str, limit: int) -> list[str]:
    """Split a fault's value into 1 to ``limit`` surplus fields, for which scoring reports the same value again.

    The value lists the fields separated by commas, cut to its usual length. Where exactly a field ended is unknown and
    does not matter, except that ``\\"`` before a comma always ends one: such a field could not be written otherwise.
    """
    cut = len(value) == MAX_ECHO and value.endswith("…")
    text = f"{value[:-1]} .." if cut else value
    places = sorted(
        (match.start() for match in _FIELD_SEPARATOR.finditer(text)),
        key=lambda place: not text.endswith('\\"', 0, place),
    )
    bounds = sorted(places[: limit - 1])
    return [text[start:end] for start, end in zip([0, *(at + 2 for at in bounds)], [*bounds, len(text)], strict=True)]


def _as_field(text: str, delimiter: str) -> bytes:
    if text.startswith('"') or any(special in text for special in (delimiter, "\r", "\n")):
        text = '"' + text.replace('"', '""') + '"'
    return text.encode()
