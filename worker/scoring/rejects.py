"""The faults of a chunk: ``error`` fields, lines of the rejects file, counts for the summary. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jobs.csv.records import as_field
from model.faults import Faults
from model.monitoring.counts import FAULT
from worker.scoring.render import all_quoted, join, text_of


@dataclass(frozen=True, slots=True)
class FaultColumn:
    """Faults of one column or of whole records: ascending ``rows`` and ``codes`` into ``faults``, shape (k,)."""

    rows: NDArray[np.int64]
    codes: NDArray[np.int64]
    faults: Faults


def error_texts(columns: Sequence[FaultColumn], rows: NDArray[np.int64]) -> pa.BinaryArray:
    """Return the quoted ``error`` field of each of the given rows, shape (k,); several faults are joined by ``; ``."""
    places = [_reasons_by_row(column, rows) for column in columns]
    joined = pc.binary_join_element_wise(*places, pa.scalar(b"; ", pa.binary()), null_handling="skip")
    return join(b'"', joined, b'"')


def _reasons_by_row(column: FaultColumn, rows: NDArray[np.int64]) -> pa.BinaryArray:
    # Each of the rows has a fault of this column: the codes are in their order already.
    if len(column.rows) == len(rows):
        return _reasons(column.faults).take(pa.array(column.codes))
    places = np.full(len(rows), -1)
    places[np.searchsorted(rows, column.rows)] = column.codes
    return _reasons(column.faults).take(pa.array(places, mask=places < 0))


def _reasons(faults: Faults) -> pa.BinaryArray:
    """Return the faults as content of a quoted ``error`` field, each with its code first."""
    where = f" in {faults.column}: " if faults.column else ": "
    texts = join(faults.codes.cast(pa.binary()), where.encode("utf-8", "replace"), faults.details.cast(pa.binary()))
    # Line ends become spaces, so that programs that read line by line do not lose a record for a message.
    for special, harmless in ((b'"', b'""'), (b"\r", b" "), (b"\n", b" ")):
        texts = pc.replace_substring(texts, special, harmless)
    return texts


def reject_lines(
    columns: Sequence[FaultColumn],
    rejected: NDArray[np.int64],
    lines: pa.BinaryArray,
    first_row: int,
    delimiter: str,
) -> bytes:
    """Return the chunk's part of the rejects file, a line per fault: row, column, value, code, reason, record.

    ``rejected`` are the rows with a fault, ascending, shape (k,), and ``lines`` their records with line ends.
    """
    rows = np.concatenate([column.rows for column in columns])
    starts = np.cumsum([0, *(len(column.faults) for column in columns[:-1])])
    codes = np.concatenate([column.codes + start for column, start in zip(columns, starts, strict=True)])
    # Stable, so that the faults of a row stay in the order of the columns.
    order = np.argsort(rows, kind="stable")
    heads = pa.concat_arrays([_heads(column.faults, delimiter) for column in columns])
    numbers = pa.array(rows[order] + first_row).cast(pa.string()).cast(pa.binary())
    separator = delimiter.encode()
    if len(rows) > len(rejected):
        lines = lines.take(pa.array(np.searchsorted(rejected, rows[order])))
    return text_of(join(numbers, separator, heads.take(pa.array(codes[order])), separator, lines))


def _heads(faults: Faults, delimiter: str) -> pa.BinaryArray:
    separator = delimiter.encode()
    column = as_field(faults.column or "", delimiter) + separator
    values, codes, details = (all_quoted(part, delimiter) for part in (faults.values, faults.codes, faults.details))
    return join(column, values, separator, codes, separator, details)


def count_faults(columns: Sequence[FaultColumn], kind: str = FAULT) -> dict[str, int]:
    """Count each code in each column, for the summary, in order of first occurrence."""
    counts: dict[str, int] = {}
    for column in columns:
        coded = column.faults.codes.dictionary_encode()
        kinds = coded.indices.to_numpy()[column.codes]
        names = [f"{kind}:{code}:{column.faults.column or ''}" for code in coded.dictionary.to_pylist()]
        for number in sorted(set(kinds.tolist()), key=lambda number: int(np.argmax(kinds == number))):
            counts[names[number]] = counts.get(names[number], 0) + int(np.count_nonzero(kinds == number))
    return counts
