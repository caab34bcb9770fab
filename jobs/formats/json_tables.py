"""Blocks of JSON lines that Arrow reads as tables, several times as fast as line by line. Pure.

Arrow takes and refuses other things than a parser of single lines does. What it might see in another way is left to
that: lines that are no objects or have other names than the first ones of the block, nested values, columns of mixed
types, very large numbers.
"""

import io
from collections.abc import Sequence
from itertools import islice

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pa_json

from jobs.csv.records import MAX_RECORD_BYTES
from jobs.formats.cells import csv_column
from jobs.formats.source import Kind

# Lines at the beginning of a block that show its columns and their types.
_SHOWN_LINES = 50
# Columns take room for each row, even those that hardly any line has.
_MAX_CELLS = 4_000_000
_TYPES: dict[frozenset[type], pa.DataType] = {
    frozenset(): pa.null(),
    frozenset({str}): pa.string(),
    frozenset({int}): pa.int64(),
    frozenset({float}): pa.float64(),
    frozenset({int, float}): pa.float64(),
    frozenset({bool}): pa.bool_(),
}
# Whole numbers up to here are exact as floats, and written with all of their digits.
_MAX_EXACT = 1e15
_COMMA, _LINE_END, _NOTHING = (pa.scalar(text, pa.string()) for text in (",", "\n", ""))


def read_table(block: bytes, columns: int = 0) -> pa.Table | None:
    """Return whole lines as a table; None if they must be read one by one.

    ``columns`` is the number of columns that the table will be written with, if that is known.

    Raises:
        MemoryError: there is too little memory.
    """
    lines = block.count(b"\n")
    # An object that begins and ends with its line is alone on it, since there are as many lines as objects.
    starts = block.count(b"\n{") + block.startswith(b"{")
    if not lines or not block.endswith(b"}\n") or starts != lines or block.count(b"}\n") != lines:
        return None
    # Others are no longer than a block.
    if len(block) - block.rfind(b"\n", 0, -1) - 1 > MAX_RECORD_BYTES:
        return None
    try:
        block.decode()
        schema = _schema_of(block)
        if schema is None or max(len(schema), columns) * lines > _MAX_CELLS:
            return None
        table = _read(block, schema)
    except MemoryError:  # the lines are to be read in the same way when there is more
        raise
    except (ValueError, pa.ArrowException):
        return None
    if table.num_rows != lines or not all(map(_is_exact, table.columns)):
        return None
    return table


def _schema_of(block: bytes) -> pa.Schema | None:
    seen: dict[str, set[type]] = {}
    for line in islice(io.BytesIO(block), _SHOWN_LINES):
        for name, value in orjson.loads(line).items():
            seen.setdefault(name, set()).update(() if value is None else (type(value),))
    types = [_TYPES.get(frozenset(kinds)) for kinds in seen.values()]
    return None if None in types or not types else pa.schema(list(zip(seen, types, strict=True)))


def _read(block: bytes, schema: pa.Schema) -> pa.Table:
    try:
        return _read_as(block, schema)
    except pa.ArrowInvalid:
        # Some of the numbers may not be whole.
        types = [pa.float64() if kind == pa.int64() else kind for kind in schema.types]
        if types == schema.types:
            raise
        return _read_as(block, pa.schema(list(zip(schema.names, types, strict=True))))


def _read_as(block: bytes, schema: pa.Schema) -> pa.Table:
    return pa_json.read_json(
        pa.BufferReader(block),
        pa_json.ReadOptions(use_threads=False, block_size=len(block) + 1),
        pa_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error"),
    )


def _is_exact(column: pa.ChunkedArray) -> bool:
    """Return whether the numbers of a column are those that stand in the file."""
    if column.type != pa.float64():
        return True
    # That of a value which is no number is false.
    return bool(np.all(np.abs(column.drop_null().to_numpy()) < _MAX_EXACT))


def table_text(table: pa.Table, names: Sequence[str], kinds: Sequence[set[Kind]]) -> bytes:
    """Return a table as CSV with these columns, several of them, and add the kinds of their values to ``kinds``."""
    fields = [
        _fields(table.column(name), seen) if name in table.column_names else _NOTHING
        for name, seen in zip(names, kinds, strict=True)
    ]
    if all(field is _NOTHING for field in fields):
        rows: int = table.num_rows
        return (b"," * (len(names) - 1) + b"\n") * rows
    records = pc.binary_join_element_wise(*fields, _COMMA)
    data = pc.binary_join_element_wise(records, _LINE_END, _NOTHING).buffers()[2]
    return data.to_pybytes()  # type: ignore[no-any-return]


def _fields(column: pa.ChunkedArray, kinds: set[Kind]) -> pa.Array | pa.Scalar:
    if column.null_count == len(column):
        return _NOTHING
    if column.type == pa.int64():
        kinds.add(Kind.INTEGER)
        return pc.fill_null(column.cast(pa.string()).combine_chunks(), _NOTHING)
    coded = pc.dictionary_encode(column.combine_chunks(), null_encoding="encode")
    return pa.array(csv_column(coded.dictionary.to_pylist(), kinds), pa.string()).take(coded.indices)
