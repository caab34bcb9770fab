"""Parsing a chunk: from bytes to dictionary-coded columns and the records that break the grammar. Pure."""

import codecs
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from jobs.records import RecordIndex, index_records, unquote
from jobs.text import is_utf8
from model.schema import LONGEST_ECHO, Fault, FaultCode, shown

_QUOTED = re.compile(rb'"(?:[^"]|"")*+"')

Texts = tuple[pa.StringArray, NDArray[np.int32]]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the model's features stand in a file: delimiter, number of columns, column of each feature."""

    delimiter: str
    width: int
    columns: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ParsedChunk:
    """A chunk's records, n in all.

    `good`, shape (m,): numbers of the records that can be validated; `columns` holds per feature the distinct texts
    and, shape (m,), the index of each good record's. `faults` and `mended` hold, of the others, what is wrong and the
    record as it goes into the results: with the header's number of fields, and readable as one record.
    """

    index: RecordIndex
    good: NDArray[np.int64]
    columns: dict[str, Texts]
    faults: dict[int, Fault]
    mended: dict[int, bytes]

    def __len__(self) -> int:
        return len(self.index)


def parse_chunk(data: bytes, layout: Layout) -> ParsedChunk:
    """Parse a chunk of whole records."""
    index = _without_blank_lines(index_records(data, ord(layout.delimiter), final=True))
    if (columns := _columns_if_sound(index, layout)) is not None:
        return ParsedChunk(index, np.arange(len(index)), columns, {}, {})
    faults, mended = _broken_records(index, layout)
    sound = np.ones(len(index), dtype=bool)
    sound[list(faults)] = False
    good = np.flatnonzero(sound)
    text = b"\n".join([index.record(number) for number in good.tolist()])
    return ParsedChunk(index, good, _columns(text, index, good, layout), faults, mended)


def read_records(data: bytes, layout: Layout) -> tuple[RecordIndex, dict[int, Fault], dict[int, bytes]]:
    """The records of a chunk; of those that break the grammar, the faults and their text for the results."""
    index = _without_blank_lines(index_records(data, ord(layout.delimiter), final=True))
    return index, *_broken_records(index, layout)


def _columns_if_sound(index: RecordIndex, layout: Layout) -> dict[str, Texts] | None:
    """The model's columns if no record breaks the grammar: Arrow then finds as many, and each as wide as the header."""
    if index.malformed or index.odd_counts or not len(index) or not is_utf8(index.data):
        return None
    return _read_csv(index.data, len(index), layout)


def _without_blank_lines(index: RecordIndex) -> RecordIndex:
    if not index.has_blank_lines:
        return index
    parts = []
    for start, end in zip(index.starts.tolist(), index.ends.tolist(), strict=True):
        line_end = index.data[end : end + 2]
        parts.append(index.data[start:end] + (line_end if line_end == b"\r\n" else line_end[:1]))
    return index_records(b"".join(parts), index.delimiter, final=True)


def _broken_records(index: RecordIndex, layout: Layout) -> tuple[dict[int, Fault], dict[int, bytes]]:
    faults: dict[int, Fault] = {}
    counts = index.field_counts()
    for number in np.flatnonzero(counts != layout.width).tolist():
        faults[number] = _ragged(index, number, int(counts[number]), layout.width)
    for number in sorted(index.malformed):
        detail = "a quoted field goes on after its closing quote, or a carriage return stands alone"
        faults[number] = Fault(FaultCode.MALFORMED, detail)
    for number in _undecodable(index):
        faults[number] = Fault(FaultCode.UNDECODABLE, "the record holds bytes that do not decode")
    mended = {number: _mend(index.fields(number), layout) for number in faults}
    return faults, mended


def _ragged(index: RecordIndex, number: int, count: int, width: int) -> Fault:
    surplus = _shown_fields(index.fields(number)[width:]) if count > width else None
    return Fault(FaultCode.RAGGED, f"{count} fields where the header has {width}", value=surplus)


def _shown_fields(fields: Sequence[bytes]) -> str:
    """Fields as one text for a message, cut to its usual length."""
    joined = ", ".join(unquote(text[: 2 * LONGEST_ECHO]).decode("utf-8", "replace") for text in fields[:LONGEST_ECHO])
    return shown(joined)


def _undecodable(index: RecordIndex) -> list[int]:
    if is_utf8(index.data):
        return []
    return [number for number in range(len(index)) if not is_utf8(index.record(number))]


def _mend(fields: list[bytes], layout: Layout) -> bytes:
    """The fields that fit, padded to the header's width; those that other readers would misread get quotes."""
    kept = fields[: layout.width] + [b""] * (layout.width - len(fields))
    record = layout.delimiter.encode().join(map(_readable, kept))
    return record if is_utf8(record) else record.decode("utf-8", "replace").encode()


def _readable(text: bytes) -> bytes:
    sound = _QUOTED.fullmatch(text) if text.startswith(b'"') else b"\r" not in text
    return text if sound else b'"' + text.replace(b'"', b'""') + b'"'


def _columns(text: bytes, index: RecordIndex, good: NDArray[np.int64], layout: Layout) -> dict[str, Texts]:
    """The model's columns of the good records, whose text is given, dictionary-coded."""
    if not len(good):
        return {name: (pa.array([], pa.string()), np.empty(0, np.int32)) for name in layout.columns}
    columns = _read_csv(text, len(good), layout)
    return _read_slowly(index, good, layout) if columns is None else columns


def _read_csv(text: bytes, rows: int, layout: Layout) -> dict[str, Texts] | None:
    """The model's columns as Arrow reads them, or None where it finds another number of records or of fields."""
    if text.startswith(codecs.BOM_UTF8):  # Arrow would take it for a mark, though it stands within the file
        return None
    coded = pa.dictionary(pa.int32(), pa.string())
    names = [str(at) for at in range(layout.width)]
    wanted = [names[at] for at in layout.columns.values()]
    try:
        table = pa_csv.read_csv(
            pa.BufferReader(text),
            pa_csv.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=names),
            pa_csv.ParseOptions(delimiter=layout.delimiter, newlines_in_values=b'"' in text),
            pa_csv.ConvertOptions(
                include_columns=wanted,
                column_types=dict.fromkeys(wanted, coded),
                strings_can_be_null=False,
                check_utf8=False,
            ),
        )
    except pa.ArrowInvalid:
        return None
    if table.num_rows != rows:
        return None
    return {name: _coded(table.column(names[at])) for name, at in layout.columns.items()}


def _read_slowly(index: RecordIndex, good: NDArray[np.int64], layout: Layout) -> dict[str, Texts]:
    """The same, field by field: for text in which Arrow sees other records than the contract does."""
    rows = [index.fields(number) for number in good.tolist()]
    columns = {}
    for name, at in layout.columns.items():
        texts = [unquote(fields[at]).decode("utf-8", "replace") for fields in rows]
        columns[name] = _coded(pa.chunked_array([pa.array(texts, pa.string()).dictionary_encode()]))
    return columns


def _coded(column: Any) -> Texts:
    coded = column.chunk(0) if column.num_chunks == 1 else column.unify_dictionaries().combine_chunks()
    return coded.dictionary, coded.indices.to_numpy()
