"""The records of a file from its results: the columns that scoring appended are taken off again. Pure.

In the results a record that could not be read as one of the file's has as many fields as the header. Here it is written
so that it is rejected again, with the same words: with the number of fields that it had, or with one too many that
breaks the rules as it did.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain

import numpy as np

from jobs.csv.records import RecordIndex, index_records, read_record, unquote
from jobs.messages import Rejects
from model.schema import MAX_ECHO, FaultCode

# As a field too many, each has its record rejected for the reason that it stands for.
_BREAKERS = {FaultCode.MALFORMED: b'""x', FaultCode.UNDECODABLE: b"\xff"}
_CODES = {code.encode(): code for code in (FaultCode.RAGGED, *_BREAKERS)}
_BETWEEN = re.compile(", ")


@dataclass(frozen=True, slots=True)
class _Broken:
    """Why a record was rejected as a whole: the code, and the value shown."""

    code: FaultCode
    value: str


@dataclass(slots=True)
class InputRecovery:
    """Turns the chunks of a job's results, taken in order, into the records that they were made from.

    ``width`` is the number of columns of the file; ``rows`` counts the records so far.
    """

    delimiter: str
    width: int
    rows: int = 0

    def feed(self, output: bytes, rejects: Rejects) -> bytes:
        """The records of the next chunk, each with its own line end; ``rejects`` are the chunk's rejected rows."""
        index = index_records(output, ord(self.delimiter), final=True)
        starts, ends = index.starts.tolist(), index.ends.tolist()
        cuts = _ends_of_own_fields(index, self.width)
        records = [output[start:cut] for start, cut in zip(starts, cuts, strict=True)]
        line_ends = [output[end:start] for end, start in zip(ends, [*starts[1:], len(output)], strict=False)]
        lengths = [len(record) for record in records]
        for number, broken in _broken_records(rejects.lines, self.delimiter, self.rows + 1, lengths):
            count = rejects.field_counts.get(number, 0)
            records[number] = self._as_it_was(records[number], broken, count)
        self.rows += len(index)
        return b"".join(chain.from_iterable(zip(records, line_ends, strict=True)))

    def _as_it_was(self, record: bytes, broken: _Broken, count: int) -> bytes:
        """A record of the results, without what was appended, as one that is rejected for the same reason; ``count`` is
        the number of fields that it had."""
        separator = self.delimiter.encode()
        if broken.code in _BREAKERS:
            return record + separator + _BREAKERS[broken.code]
        if count < self.width:
            return record[: read_record(record, 0, len(record), ord(self.delimiter)).fields[count - 1][1]]
        texts = _split(broken.value, count - self.width)
        surplus = b"".join(separator + _as_field(text, self.delimiter) for text in texts)
        return record + surplus + separator * (count - self.width - len(texts))


def _ends_of_own_fields(index: RecordIndex, width: int) -> list[int]:
    """Where, in each record of the results, the file's own fields end and the first appended column begins."""
    delimiters = index.delimiter_offsets()
    places = np.searchsorted(delimiters, index.starts) + width - 1
    ends: list[int] = delimiters[places].tolist()
    return ends


def _broken_records(
    rejects: bytes, delimiter: str, first_row: int, lengths: list[int]
) -> Iterator[tuple[int, _Broken]]:
    """The numbers of the records of a chunk that were rejected as a whole, and why.

    A line of the rejects is read as it was written: row, column, value, code and reason, then the record as it stands
    in the results, whose length is known.
    """
    position = 0
    while position < len(rejects):
        head = _head(delimiter).match(rejects, position)
        assert head is not None
        row, column, value, code, _ = head.groups()
        number = int(row) - first_row
        if not column and code in _CODES:
            yield number, _Broken(_CODES[code], unquote(value).decode())
        position = head.end() + lengths[number]
        position += 2 if rejects.startswith(b"\r\n", position) else 1


@cache
def _head(delimiter: str) -> re.Pattern[bytes]:
    """What stands before the record in a line of the rejects file: five fields, quoted where they have to be."""
    stop = re.escape(delimiter.encode())
    field = rb'("(?:[^"]|"")*+"|[^"\r\n' + stop + rb"]*+)"
    return re.compile(rb"([0-9]+)" + 4 * (stop + field) + stop)


def _split(value: str, most: int) -> list[str]:
    """At most ``most`` fields, at least one, that are shown as ``value`` when they are one surplus too many.

    What is shown is joined by commas and cut to its usual length; where a field ended is not known, and need not be.
    But a backslash and a quote before a comma end a field in any case: within one they could not be written.
    """
    cut = len(value) == MAX_ECHO and value.endswith("…")
    text = f"{value[:-1]} .." if cut else value
    places = sorted(
        (match.start() for match in _BETWEEN.finditer(text)), key=lambda place: not text.endswith('\\"', 0, place)
    )
    bounds = sorted(places[: most - 1])
    return [text[start:end] for start, end in zip([0, *(at + 2 for at in bounds)], [*bounds, len(text)], strict=True)]


def _as_field(text: str, delimiter: str) -> bytes:
    if text.startswith('"') or any(special in text for special in (delimiter, "\r", "\n")):
        text = '"' + text.replace('"', '""') + '"'
    return text.encode()
