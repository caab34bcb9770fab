"""Find records that repeat the header, as files that were joined have them. Pure."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.csv.records import read_record, unquote
from model.faults import Faults
from model.schema import Fault, FaultCode
from worker.scoring.parse import Layout, ParsedChunk
from worker.scoring.rejects import FaultColumn

_REPEATED = Fault(FaultCode.REPEATED_HEADER, "the line is the header once more, not a record")


def without_repeated_headers(parsed: ParsedChunk, layout: Layout) -> ParsedChunk:
    """Return the chunk with the records that repeat the header set apart from the good ones."""
    # Only records with the column's name as its value are compared as a whole.
    rows = _candidates(parsed, layout)
    repeated = [row for row in rows.tolist() if parsed.index.record(int(parsed.good[row])) == layout.header]
    if not repeated:
        return parsed
    faults = FaultColumn(parsed.good[repeated], np.zeros(len(repeated), np.int64), Faults.of(None, [_REPEATED]))
    columns = {name: (texts, np.delete(codes, repeated)) for name, (texts, codes) in parsed.columns.items()}
    return replace(parsed, good=np.delete(parsed.good, repeated), columns=columns, repeated_headers=faults)


def _candidates(parsed: ParsedChunk, layout: Layout) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the places of the good records whose value of one feature is the name of its column."""
    nowhere = np.empty(0, np.int64)
    if not layout.header or not layout.columns:
        return nowhere
    name, at = next(iter(layout.columns.items()))
    start, end = read_record(layout.header, 0, len(layout.header), ord(layout.delimiter)).fields[at]
    header = layout.dialect.value_of(unquote(layout.header[start:end]).decode("utf-8", "replace"))
    texts, codes = parsed.columns[name]
    places = pc.indices_nonzero(pc.equal(texts, pa.scalar(header))).to_numpy().astype(np.int64)
    return np.flatnonzero(np.isin(codes, places)) if len(places) else nowhere
