"""The faults of a chunk: texts of the `error` column, lines of the rejects file, counts for the summary. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from model.schema import Fault
from worker.assemble import join, quoted, text_of


@dataclass(frozen=True, slots=True)
class FaultColumn:
    """Faults of one kind of place: `rows`, shape (k,), ascending, with `codes`, shape (k,), into `faults`."""

    rows: NDArray[np.int64]
    codes: NDArray[np.int64]
    faults: Sequence[Fault]


def reason(fault: Fault) -> str:
    """A fault in the words of the `error` column: its stable code first."""
    where = f" in {fault.column}" if fault.column else ""
    return f"{fault.code}{where}: {fault.detail}"


def error_texts(columns: Sequence[FaultColumn], rows: NDArray[np.int64]) -> pa.BinaryArray:
    """The `error` field of each of the given rows, shape (k,), quoted; faults of several columns joined by `; `."""
    places = [_placed(column, rows) for column in columns]
    joined = pc.binary_join_element_wise(*places, pa.scalar(b"; ", pa.binary()), null_handling="skip")
    return join(b'"', joined, b'"')


def _placed(column: FaultColumn, rows: NDArray[np.int64]) -> pa.BinaryArray:
    texts = [reason(fault).replace('"', '""').replace("\r", " ").replace("\n", " ") for fault in column.faults]
    places = np.full(len(rows), -1)
    places[np.searchsorted(rows, column.rows)] = column.codes
    encoded = pa.array([text.encode("utf-8", "replace") for text in texts], pa.binary())
    return encoded.take(pa.array(places, mask=places < 0))


def reject_lines(columns: Sequence[FaultColumn], lines: pa.BinaryArray, first_row: int, delimiter: str) -> bytes:
    """The chunk's part of the rejects file: row, column, value, code, reason, then the record; a line per fault."""
    rows = np.concatenate([column.rows for column in columns])
    starts = np.cumsum([0, *(len(column.faults) for column in columns[:-1])])
    codes = np.concatenate([column.codes + start for column, start in zip(columns, starts, strict=True)])
    order = np.argsort(rows, kind="stable")
    heads = pa.array([_head(fault, delimiter) for column in columns for fault in column.faults], pa.binary())
    numbers = pa.array(rows[order] + first_row).cast(pa.string()).cast(pa.binary())
    separator = delimiter.encode()
    return text_of(
        join(numbers, separator, heads.take(pa.array(codes[order])), separator, lines.take(pa.array(rows[order])))
    )


def _head(fault: Fault, delimiter: str) -> bytes:
    fields = (fault.column or "", fault.value or "", fault.code, fault.detail)
    return delimiter.encode().join(quoted(text, delimiter) for text in fields)


def count_faults(columns: Sequence[FaultColumn]) -> dict[str, int]:
    """How often each code occurs in each column, as counts for the summary."""
    counts: dict[str, int] = {}
    for column in columns:
        for code, count in enumerate(np.bincount(column.codes, minlength=len(column.faults)).tolist()):
            fault = column.faults[code]
            name = f"fault:{fault.code}:{fault.column or ''}"
            counts[name] = counts.get(name, 0) + count
    return counts
