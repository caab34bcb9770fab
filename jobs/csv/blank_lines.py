"""Remove the blank lines between the records of an index. Pure."""

from dataclasses import replace

import numpy as np

from jobs.csv.line_ends import ends_of_lines
from jobs.csv.quotes import Offsets, running_xor
from jobs.csv.records import RecordIndex
from jobs.csv.resync import ReadQuotes


def without_blank_lines(index: RecordIndex) -> RecordIndex:
    """Return the index of the same records without the blank lines between them."""
    if not index.has_blank_lines:
        return index
    # Bits at the starts and ends of the records: where one ends as the next one starts, they cancel out. The running
    # xor fills in the bytes between.
    kept = np.zeros(len(index.data), np.bool_)
    line_ends = ends_of_lines(index.data, index.ends)
    for bounds in (index.starts, line_ends[line_ends < len(kept)]):
        kept[bounds] ^= True
    kept = running_xor(kept)
    lengths = line_ends - index.starts
    starts = np.cumsum(lengths) - lengths

    def moved(offsets: Offsets) -> Offsets:
        owners = index.owners(offsets)
        places: Offsets = offsets - index.starts[owners] + starts[owners]
        return places

    def read() -> ReadQuotes:
        assert index.read
        found = index.read()
        reading = replace(found.reading, runs=found.reading.runs.moved(moved(found.reading.runs.at)))
        return ReadQuotes(reading, moved(found.cut_at), moved(found.broken_at))

    return RecordIndex(
        np.frombuffer(index.data, np.uint8)[kept].tobytes(),
        index.delimiter,
        starts,
        starts + index.ends - index.starts,
        int(lengths.sum()),
        False,
        moved(index.unclosed_at),
        read if index.read else None,
        parity=None if index.parity is None else index.parity[kept],
    )
