"""The faults of a chunk: texts of the `error` column, lines of the rejects file, counts for the summary. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from jobs.csv.records import as_field
from model.faults import Faults
from worker.scoring.render import all_quoted, join, text_of


@dataclass(frozen=True, slots=True)
class FaultColumn:
    """Faults of one kind of place: `rows`, shape (k,), ascending, with `codes`, shape (k,), into `faults`."""

    rows: NDArray[np.int64]
    codes: NDArray[np.int64]
    faults: Faults


def error_texts(columns: Sequence[FaultColumn], rows: NDArray[np.int64]) -> pa.BinaryArray:
    """The `error` field of each of the given rows, shape (k,), quoted; faults of several columns joined by `; `."""
    places = [_placed(column, rows) for column in columns]
    joined = pc.binary_join_element_wise(*places, pa.scalar(b"; ", pa.binary()), null_handling="skip")
    return join(b'"', joined, b'"')


def _placed(column: FaultColumn, rows: NDArray[np.int64]) -> pa.BinaryArray:
    if len(column.rows) == len(rows):
        return _reasons(column.faults).take(pa.array(column.codes))
    places = np.full(len(rows), -1)
    places[np.searchsorted(rows, column.rows)] = column.codes
    return _reasons(column.faults).take(pa.array(places, mask=places < 0))


def _reasons(faults: Faults) -> pa.BinaryArray:
    """Faults in the words of the `error` column, their stable code first, as a quoted field's content."""
    where = f" in {faults.column}: " if faults.column else ": "
    texts = join(faults.codes.cast(pa.binary()), where.encode("utf-8", "replace"), faults.details.cast(pa.binary()))
    for special, harmless in ((b'"', b'""'), (b"\r", b" "), (b"\n", b" ")):
        texts = pc.replace_substring(texts, special, harmless)
    return texts


def reject_lines(columns: Sequence[FaultColumn], lines: pa.BinaryArray, first_row: int, delimiter: str) -> bytes:
    """The chunk's part of the rejects file: row, column, value, code, reason, then the record; a line per fault."""
    rows = np.concatenate([column.rows for column in columns])
    starts = np.cumsum([0, *(len(column.faults) for column in columns[:-1])])
    codes = np.concatenate([column.codes + start for column, start in zip(columns, starts, strict=True)])
    order = np.argsort(rows, kind="stable")
    heads = pa.concat_arrays([_heads(column.faults, delimiter) for column in columns])
    numbers = pa.array(rows[order] + first_row).cast(pa.string()).cast(pa.binary())
    separator = delimiter.encode()
    return text_of(
        join(numbers, separator, heads.take(pa.array(codes[order])), separator, lines.take(pa.array(rows[order])))
    )


def _heads(faults: Faults, delimiter: str) -> pa.BinaryArray:
    separator = delimiter.encode()
    column = as_field(faults.column or "", delimiter) + separator
    values, codes, details = (all_quoted(part, delimiter) for part in (faults.values, faults.codes, faults.details))
    return join(column, values, separator, codes, separator, details)


def count_faults(columns: Sequence[FaultColumn], what: str = "fault") -> dict[str, int]:
    """How often each code occurs in each column, as counts for the summary, in the order in which they occur first."""
    counts: dict[str, int] = {}
    for column in columns:
        coded = column.faults.codes.dictionary_encode()
        kinds = coded.indices.to_numpy()[column.codes]
        names = [f"{what}:{code}:{column.faults.column or ''}" for code in coded.dictionary.to_pylist()]
        for kind in sorted(set(kinds.tolist()), key=lambda kind: int(np.argmax(kinds == kind))):
            counts[names[kind]] = counts.get(names[kind], 0) + int(np.count_nonzero(kinds == kind))
    return counts
