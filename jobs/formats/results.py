"""Results of a job, read from its scored CSV with the types that came in. Pure.

Columns of Parquet and Arrow files come back in their Arrow types. Cells of sheets and JSON lines have types of their
own, by what they look like (see ``cells``). Columns of CSV files are texts. Added columns are numbers or texts.
"""

import base64
import codecs
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from jobs.csv.dialect import Dialect
from jobs.csv.records import RecordIndex, index_records, read_record, unquote
from jobs.formats.cells import parse_field
from jobs.formats.source import Kind
from jobs.formats.texts import IS_JSON, csv_fields
from jobs.formats.typed import suffix_text, unpack
from jobs.state import Job
from jobs.store.outputs import TypedOutput

_ARROW_ERRORS = (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowKeyError)
_TYPES: dict[frozenset[str], pa.DataType] = {
    frozenset({Kind.INTEGER}): pa.int64(),
    frozenset({Kind.NUMBER}): pa.float64(),
    frozenset({Kind.INTEGER, Kind.NUMBER}): pa.float64(),
    frozenset({Kind.BOOLEAN}): pa.bool_(),
    frozenset({Kind.DATE}): pa.date32(),
    frozenset({Kind.DATETIME}): pa.timestamp("us"),
    frozenset({Kind.DATE, Kind.DATETIME}): pa.timestamp("us"),
    frozenset({Kind.TIME}): pa.time64("us"),
}
_CODED = pa.dictionary(pa.int32(), pa.string())
_PLAIN_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,15})?")
# Digits that a float keeps, whatever the number.
_MAX_DIGITS = 15

Parse = Callable[[str], Any]
Results = bytes | TypedOutput
"""Results of a chunk, as ``jobs.store.outputs`` decodes them."""


@dataclass(frozen=True, slots=True)
class Column:
    """The values of a column: the distinct ones, and the place among them of that of each record, shape (n,)."""

    values: Sequence[Any]
    codes: pa.Array


@dataclass(frozen=True, slots=True)
class ResultReader:
    """Reads chunks of a job's results: ``names`` of all columns, of which the first ``width`` are the input's.

    ``schema`` has the type of each column as in Parquet; ``parsers`` turn a field, as it stands in the file, into a
    value. ``by_column``: values are those of the schema, not of each cell. In tables, texts of ``coded_columns`` are
    codes of a dictionary.
    """

    names: Sequence[str]
    width: int
    delimiter: str
    schema: pa.Schema
    parsers: Sequence[Parse]
    by_column: bool
    json_columns: frozenset[int] = frozenset()
    dialect: Dialect = field(default_factory=Dialect)
    coded_columns: frozenset[int] = frozenset()

    @classmethod
    def of(cls, job: Job, numbers_in_csv: bool = False) -> "ResultReader":
        """Return the reader of a job's results; ``numbers_in_csv``: plain numbers in a CSV file are numbers."""
        names, own = (_fields(header, job) for header in (job.header.removeprefix(job.preamble), job.input_header))
        width = len(own)
        numbers = [number for _, number in job.added_columns] or [False] * (len(names) - width)
        json_columns: set[int] = set()
        if job.schema:
            given = pa.ipc.read_schema(pa.BufferReader(base64.b64decode(job.schema)))
            types = list(given.types)
            json_columns = {at for at, field in enumerate(given) if (field.metadata or {}) == IS_JSON}
        else:
            types = [_TYPES.get(frozenset(kinds), pa.string()) for kinds in job.kinds or [[]] * width]
        types += [pa.float64() if number else pa.string() for number in numbers]
        parse = (
            [_cell_parser(kinds) for kinds in job.kinds]
            if job.kinds
            else [_csv_parser(numbers_in_csv, job.dialect.decimal)] * width
        )
        parse += [_added_number if number else _text for number in numbers]
        schema = pa.schema([pa.field(name, kind) for name, kind in zip(names, types, strict=True)])
        by_column = bool(job.schema)
        return cls(names, width, job.delimiter, schema, parse, by_column, frozenset(json_columns), job.dialect)

    def coded(self, data: Results) -> "ResultReader":
        """Return a reader of tables in which texts are coded as they are in this chunk."""
        if not isinstance(data, TypedOutput):
            return self
        kinds = [*unpack(data.rows).schema.types, *self.schema.types[self.width :]]
        coded = {at for at, kind in enumerate(kinds) if pa.types.is_dictionary(kind)}
        added = {at for at in range(self.width, len(kinds)) if kinds[at] == pa.string()}
        return replace(self, coded_columns=frozenset(coded | added))

    @property
    def table_schema(self) -> pa.Schema:
        """The schema of tables."""
        return pa.schema(
            [one.with_type(_CODED) if at in self.coded_columns else one for at, one in enumerate(self.schema)]
        )

    def table(self, data: Results) -> pa.Table:
        """Return the records of a chunk as a table of the schema; what does not fit its column's type is missing."""
        table = self._typed(data) if isinstance(data, TypedOutput) else self._plain(data)
        columns = map(_in_type, table.columns, self.table_schema.types)
        return pa.Table.from_arrays(list(columns), schema=self.table_schema)

    def _plain(self, data: bytes) -> pa.Table:
        index = index_records(data, ord(self.delimiter), final=True)
        if not len(index.broken_at) and self.dialect.is_plain:
            # Arrow refuses the whole chunk for one value that does not fit its type. Texts always fit; they are
            # cast one by one afterwards.
            for types in (self.schema.types, [pa.string()] * len(self.names)):
                table = self._read(data, types)
                # Arrow may divide lines into records in another way than we do.
                if table is not None and table.num_rows == len(index):
                    return self._cast(table)
        rows = [[None if text == "" else self._value(text) for text in row] for row in self._slowly(index)]
        columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
        return self._cast(pa.table(columns, names=[str(at) for at in range(len(columns))]))

    def _typed(self, output: TypedOutput) -> pa.Table:
        # What is appended begins with a delimiter: there is an empty column before it.
        schema = pa.schema([pa.field("", pa.string()), *list(self.schema)[self.width :]])
        reader = replace(self, names=schema.names, width=1, schema=schema, coded_columns=frozenset())
        columns = [*unpack(output.rows).columns, *reader.table(suffix_text(output.suffixes)).columns[1:]]
        return pa.table(columns, names=[str(at) for at in range(len(columns))])

    def _read(self, data: bytes, types: Sequence[pa.DataType]) -> pa.Table | None:
        if data.startswith(codecs.BOM_UTF8):  # it is data here; Arrow drops the first as a byte order mark
            data = codecs.BOM_UTF8 + data
        names = [str(at) for at in range(len(self.names))]
        # Numbers may have a decimal comma where the delimiter is another.
        types = [pa.string() if at >= self.width and self.delimiter != "," else kind for at, kind in enumerate(types)]
        try:
            return pa_csv.read_csv(
                pa.BufferReader(data),
                # One block, since Arrow refuses a record that does not end in the block after its own.
                pa_csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=names),
                pa_csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=b'"' in data),
                pa_csv.ConvertOptions(
                    column_types=dict(zip(names, types, strict=True)),
                    null_values=[""],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                ),
            )
        except _ARROW_ERRORS:
            return None

    def _cast(self, table: pa.Table) -> pa.Table:
        columns = []
        for at, kind in enumerate(self.schema.types):
            column = table.column(at)
            if column.type != kind and at >= self.width:
                column = pc.replace_substring(column, ",", ".")
            columns.append(column if column.type == kind else _cast(column, kind))
        return pa.Table.from_arrays(columns, schema=self.schema)

    def columns(self, data: Results) -> Sequence[Column]:
        """Return the values of a chunk by column."""
        if self.by_column or isinstance(data, TypedOutput):
            return [
                _column(column.combine_chunks(), _json if at in self.json_columns else None)
                for at, column in enumerate(self.table(data).columns)
            ]
        return [
            _column(fields, partial(self._parse, parse))
            for parse, fields in zip(self.parsers, self._fields(data), strict=True)
        ]

    def _parse(self, parse: Parse, field: bytes) -> Any:
        value = parse(field.decode("utf-8", "replace"))
        return value if self.dialect.is_plain or not isinstance(value, str) else self.dialect.value_of(value)

    def _value(self, text: str) -> str | None:
        value = _text(text)
        return value if value is None or self.dialect.is_plain else self.dialect.value_of(value)

    def _fields(self, data: bytes) -> Sequence[pa.Array]:
        """Return the fields as they stand in the file, by column."""
        index, width = index_records(data, ord(self.delimiter), final=True), len(self.names)
        delimiters = index.delimiter_offsets
        if len(index.broken_at) or len(delimiters) != len(index) * (width - 1) or np.any(index.field_counts != width):
            rows = list(self._slowly(index))
            return [pa.array([row[at].encode() for row in rows], pa.binary()) for at in range(width)]
        delimiters = delimiters.reshape(len(index), width - 1)
        starts = np.column_stack([index.starts, delimiters + 1])
        ends = np.column_stack([delimiters, index.ends])
        # An array of every field and, in the odd places, of what stands between two.
        bounds = pa.py_buffer(np.dstack([starts, ends]).astype(np.int32))
        every = pa.BinaryArray.from_buffers(
            pa.binary(), max(0, 2 * starts.size - 1), [None, bounds, pa.py_buffer(data)]
        )
        return [every.take(pa.array(np.arange(2 * at, len(every), 2 * width))) for at in range(width)]

    def _slowly(self, index: RecordIndex) -> Iterator[Sequence[str]]:
        """Yield the fields of each record; of one that is too short or too long, the added ones stay in their place."""
        added, width = len(self.names) - self.width, len(self.names)
        for number in range(len(index)):
            fields = [field.decode("utf-8", "replace") for field in index.fields(number)]
            if len(fields) != width:
                own = fields[: max(0, len(fields) - added)]
                fields = (own + [""] * self.width)[: self.width] + ([""] * added + fields[len(own) :])[-added:]
            yield fields


def _in_type(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Return texts as codes or not, as the type has them; others as they are."""
    if pa.types.is_dictionary(kind) and not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    return column.cast(kind) if column.type != kind else column


def _column(values: pa.Array, parse: Callable[[Any], Any] | None) -> Column:
    """Return the column of these values, each distinct one of which is parsed once."""
    coded = pc.dictionary_encode(values, null_encoding="encode")
    distinct = _plain_values(coded.dictionary)
    return Column(list(map(parse, distinct)) if parse else distinct, coded.indices)


def _plain_values(values: pa.Array) -> list[Any]:
    """Return values of Arrow; those with nanoseconds, which Python does not have, as the texts that they are in CSV."""
    kind = values.type
    if getattr(kind, "unit", None) != "ns":
        return values.to_pylist()  # type: ignore[no-any-return]
    is_moment, is_time = pa.types.is_timestamp(kind), pa.types.is_time(kind)
    coarse = pa.timestamp("us", kind.tz) if is_moment else pa.time64("us") if is_time else pa.duration("us")
    rounded = values.cast(coarse, safe=False)
    exact = pc.fill_null(pc.equal(rounded.cast(kind), values), fill_value=True).to_pylist()
    texts = csv_fields(values).to_pylist()
    return [
        value if is_exact else text.decode()
        for value, is_exact, text in zip(rounded.to_pylist(), exact, texts, strict=True)
    ]


def _fields(line: bytes, job: Job) -> list[str]:
    record = read_record(line, 0, len(line), ord(job.delimiter), escapes=False)
    texts = (unquote(line[start:end]).decode("utf-8", "replace") for start, end in record.fields)
    return [job.dialect.value_of(text) for text in texts]


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Return texts in another type; those that have none are missing."""
    try:
        return _cast_all(column, kind)
    except _ARROW_ERRORS:
        each = [_cast_one(pa.array([text], pa.string()), kind) for text in column.to_pylist()]
        return pa.chunked_array([pa.concat_arrays(each)])


def _cast_all(texts: pa.Array | pa.ChunkedArray, kind: pa.DataType) -> pa.Array | pa.ChunkedArray:
    if pa.types.is_duration(kind):
        return texts.cast(pa.int64()).cast(kind)
    if pa.types.is_time(kind):  # which Arrow reads as part of a timestamp only
        return pc.binary_join_element_wise("1970-01-01", texts, " ").cast(pa.timestamp("ns")).cast(kind)
    return texts.cast(kind)


def _cast_one(text: pa.Array, kind: pa.DataType) -> pa.Array:
    try:
        return _cast_all(text, kind)
    except _ARROW_ERRORS:
        return pa.nulls(1, kind)


def _cell_parser(kinds: Sequence[str]) -> Parse:
    found = [Kind(kind) for kind in kinds]
    return lambda field: parse_field(field, found)


def _csv_parser(numbers: bool, decimal: str) -> Parse:
    def parse(field: str) -> Any:
        text = _text(field)
        if not text or not numbers:
            return text
        number = text.replace(",", ".") if decimal == "," and "." not in text else text
        if _PLAIN_NUMBER.fullmatch(number) and sum(map(str.isdecimal, number)) <= _MAX_DIGITS:
            return float(number) if "." in number else int(number)
        return text

    return parse


def _added_number(field: str) -> float | None:
    try:
        return float(field.replace(",", ".").strip('"')) if field else None
    except ValueError:
        return None


def _text(field: str) -> str | None:
    if not field:
        return None
    return unquote(field.encode()).decode()


def _json(text: str | None) -> Any:
    try:
        return None if text is None else orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
