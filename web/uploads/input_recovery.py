"""Recover the input records of a job from its results, by removing the appended columns. Pure.

The results hold broken records padded, cut, quoted or repaired. These are stored beside them as they came.
"""

from dataclasses import dataclass
from itertools import chain

import numpy as np

from jobs.csv.records import RecordIndex, index_records
from jobs.messages import Rejects


@dataclass(slots=True)
class InputRecovery:
    """Turns the chunks of a job's results, in order, back into the input records.

    ``width`` is the number of input columns.
    """

    delimiter: str
    width: int

    def feed(self, output: bytes, rejects: Rejects) -> bytes:
        """Return the input records of the next chunk, each with its own line end."""
        index = index_records(output, ord(self.delimiter), final=True)
        starts, ends = index.starts.tolist(), index.ends.tolist()
        cuts = _ends_of_own_fields(index, self.width)
        records = [output[start:cut] for start, cut in zip(starts, cuts, strict=True)]
        # Broken records had to be made whole for the results, so that cutting them off would not give back what came.
        for number, record in rejects.originals.items():
            records[number] = record
        line_ends = [output[end:start] for end, start in zip(ends, [*starts[1:], len(output)], strict=False)]
        return b"".join(chain.from_iterable(zip(records, line_ends, strict=True)))


def _ends_of_own_fields(index: RecordIndex, width: int) -> list[int]:
    """Return the offset in each result record at which the input fields end."""
    delimiters = index.delimiter_offsets
    # In each record, the delimiter after the last field of the input, behind which the results begin.
    places = np.searchsorted(delimiters, index.starts) + width - 1
    ends: list[int] = delimiters[places].tolist()
    return ends
