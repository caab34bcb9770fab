"""Drop the columns of earlier results from a file that is scored once more. Pure."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from jobs.csv.reader import Chunk, Header
from jobs.csv.records import RecordIndex, index_records
from jobs.errors import UploadRefused

_PREDICTION = re.compile(r"prediction(_.+)?")
_RESULT = re.compile(
    r"(prediction|probability|decision)(_.+)?|(score|distance|error|warnings|explain_[0-9]+_(feature|effect))(_.+)?"
)
_ERROR = re.compile(r"error(_[0-9]+)?")


def result_columns(names: Sequence[str], inputs: Collection[int]) -> tuple[str, ...]:
    """Return the columns at the end of a header that earlier results added; none if the last ones are others.

    ``inputs`` are the numbers of the features' columns, which are never among them.
    """
    # Results are appended, so that theirs are the last columns.
    first = len(names)
    while first and first - 1 not in inputs and _RESULT.fullmatch(names[first - 1].strip()):
        first -= 1
    # They begin with a prediction: a ``score`` before it is a column of the input.
    while first < len(names) and not _PREDICTION.fullmatch(names[first].strip()):
        first += 1
    own = tuple(names[first:])
    # All results have a column of errors. A file that was made elsewhere may hold predictions, too.
    return own if any(_ERROR.fullmatch(name.strip()) for name in own) else ()


@dataclass(frozen=True, slots=True)
class ResultsDropper:
    """Cuts the last fields off records that have the header's width; ``kept`` of ``width`` fields are left.

    All other records stay as they are, and one that would then fit gets an empty field more, so that it is rejected.
    """

    delimiter: str
    width: int
    kept: int

    @classmethod
    def of(cls, header: Header, dropped: int) -> "ResultsDropper":
        """Return what drops that many columns after those of the header."""
        kept = len(header.columns)
        return cls(header.delimiter, kept + dropped, kept)

    def feed(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        """Yield the chunks without the fields.

        Raises:
            UploadRefused: ``bad_parameter``, if records cannot be told apart without the fields.
        """
        for chunk in chunks:
            if chunk.is_typed:  # without the columns, as it comes
                yield chunk
                continue
            data = self._cut(chunk.data)
            # Lines that were records of their own must not be one record for the worker, which knows the columns kept.
            before, after = self._index(chunk.data, self.width), self._index(data, self.kept)
            if len(after) != len(before):
                last = chunk.first_row + chunk.rows - 1
                detail = f"drop_results: broken quotes in rows {chunk.first_row} to {last}; score the file without it"
                raise UploadRefused("bad_parameter", detail)
            yield replace(chunk, data=data)

    def _index(self, data: bytes, width: int) -> RecordIndex:
        return index_records(data, ord(self.delimiter), final=True, width=width)

    def _cut(self, data: bytes) -> bytes:
        index = self._index(data, self.width)
        if not len(index):
            return data
        counts, delimiters = index.field_counts, index.delimiter_offsets
        # The fields of a malformed record cannot be counted, so that it stays as it is.
        counts[index.malformed] = 0
        # In each record, the delimiter that follows the last field that is kept.
        places = np.searchsorted(delimiters, index.starts) + self.kept - 1
        fits = counts == self.width
        ends = index.ends.copy()
        ends[fits] = delimiters[places[fits]]
        # A field that is alone and empty would be a blank line.
        records = [data[start:end] or b'""' for start, end in zip(index.starts.tolist(), ends.tolist(), strict=True)]
        for number in np.flatnonzero(counts == self.kept).tolist():
            records[number] += self.delimiter.encode()
        bounds = zip(index.ends.tolist(), [*index.starts[1:].tolist(), len(data)], strict=True)
        return b"".join(chain.from_iterable(zip(records, (data[end:start] for end, start in bounds), strict=True)))
