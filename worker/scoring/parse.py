"""Parse a chunk: from bytes to dictionary-coded columns and malformed records. Pure."""

import codecs
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from jobs.csv.blank_lines import without_blank_lines
from jobs.csv.decoding import is_utf8
from jobs.csv.dialect import Dialect
from jobs.csv.line_ends import ends_of_lines
from jobs.csv.records import RecordIndex, as_field, index_records, read_record, unquote
from jobs.formats.texts import coded_texts
from jobs.formats.typed import csv_text, unpack
from jobs.messages import InputChunk
from model.parsing import NumberFormat
from worker.scoring.malformed import BrokenRecords, Repair, RepairedRecords, Texts, broken_records
from worker.scoring.rejects import FaultColumn
from worker.scoring.render import in_quotes, slices, text_of


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of a file and its results: delimiter, number of columns, column of each feature.

    ``added`` is the number of result columns up to and including ``error``. A ``warnings`` column may follow, then
    ``explained`` pairs of columns (feature, effect). ``dialect`` is that of the file before its translation, and
    ``header`` holds the bytes of its header. ``of_json``: the file was one of JSON lines.
    """

    delimiter: str
    width: int
    columns: Mapping[str, int]
    added: int = 3
    explained: int = 0
    warnings: bool = False
    dialect: Dialect = field(default_factory=Dialect)
    header: bytes = b""
    of_json: bool = False

    @property
    def numbers(self) -> NumberFormat:
        """How the file writes numbers."""
        return NumberFormat(self.dialect.decimal, self.dialect.is_decimal_certain)

    def as_field(self, text: str) -> bytes:
        """Encode a text that is added to a record as a field."""
        return as_field(self.dialect.text_of(text), self.delimiter)

    def as_numbers(self, column: pa.BinaryArray) -> pa.BinaryArray:
        """Return numbers that are added to records as fields, with the file's decimal mark."""
        if self.dialect.decimal == ".":
            return column
        written = pc.replace_substring(column, b".", self.dialect.decimal.encode())
        if self.delimiter != self.dialect.decimal:
            return written
        return pc.if_else(pc.match_substring(written, self.delimiter), in_quotes(written), written)


@dataclass(frozen=True, slots=True)
class ParsedChunk:
    """A chunk of ``count`` records, n.

    ``good``, shape (m,), are the indexes of the records that can be validated. ``columns`` holds, per feature, the
    distinct texts and the codes of the good records, shape (m,). ``broken`` are the other records, without
    those that repeat the header. Of typed rows, there are no records before ``index`` asks for them.
    """

    count: int
    indexed: Callable[[], RecordIndex]
    good: NDArray[np.int64]
    columns: dict[str, Texts]
    broken: BrokenRecords | None
    repeated_headers: FaultColumn | None = None

    def __len__(self) -> int:
        return self.count

    @property
    def index(self) -> RecordIndex:
        """The records."""
        return self.indexed()


def parse_chunk(chunk: InputChunk, layout: Layout, repair: Repair | None = None) -> ParsedChunk:
    """Parse a chunk of whole records."""
    if chunk.is_typed:
        return _parse_typed(chunk, layout)
    index = _index(chunk, layout)
    malformed = index.malformed
    # The usual case: Arrow reads the chunk as it is, and no record is copied out of it.
    if not len(malformed) and (columns := _columns_if_regular(index, layout)) is not None:
        return ParsedChunk(len(index), lambda: index, np.arange(len(index)), _as_values(columns, layout), None)
    broken = broken_records(index, layout.width, malformed, chunk.open_quotes, repair, of_json=layout.of_json)
    sound = np.ones(len(index), np.bool_)
    if broken:
        sound[broken.rewritten.rows] = False
    parsed = replace(parse_records(index.bounds(), np.flatnonzero(sound), layout), broken=broken)
    return _with_repaired(parsed, broken.repaired) if broken and broken.repaired else parsed


def parse_records(index: RecordIndex, rows: NDArray[np.int64], layout: Layout) -> ParsedChunk:
    """Parse the given rows, none of which is broken."""
    return ParsedChunk(len(index), lambda: index, rows, _as_values(_columns(index, rows, layout), layout), None)


def _parse_typed(chunk: InputChunk, layout: Layout) -> ParsedChunk:
    """Take the columns of typed rows, none of which can be broken."""
    batch = unpack(chunk.data, set(layout.columns.values()))
    columns = {name: coded_texts(batch.column(str(at))) for name, at in layout.columns.items()}
    return ParsedChunk(chunk.rows, cache(lambda: _index(chunk, layout)), np.arange(chunk.rows), columns, None)


def _with_repaired(parsed: ParsedChunk, repaired: RepairedRecords) -> ParsedChunk:
    """Return the chunk with the repaired records among the good ones."""
    if not len(parsed.good):
        return replace(parsed, good=repaired.rows, columns=repaired.columns)
    rows = np.concatenate([parsed.good, repaired.rows])
    order = np.argsort(rows, kind="stable")
    columns = {}
    for name, one in parsed.columns.items():
        texts, codes = joined_texts(one, repaired.columns[name])
        columns[name] = texts, codes[order]
    return replace(parsed, good=rows[order], columns=columns)


def joined_texts(one: Texts, other: Texts) -> Texts:
    """Return the texts and codes of two columns, one after the other."""
    parts = [pa.DictionaryArray.from_arrays(pa.array(codes), texts) for texts, codes in (one, other)]
    return _dictionary_coded(pa.chunked_array(parts))


def read_records(chunk: InputChunk, layout: Layout) -> tuple[RecordIndex, BrokenRecords | None]:
    """Return the records of a chunk, and those among them that cannot be validated."""
    index = _index(chunk, layout)
    return index, broken_records(index, layout.width, index.malformed, chunk.open_quotes, of_json=layout.of_json)


def _index(chunk: InputChunk, layout: Layout) -> RecordIndex:
    data = bytes(csv_text(unpack(chunk.data))) if chunk.is_typed else chunk.data
    index = index_records(data, ord(layout.delimiter), final=True, width=layout.width, count=chunk.rows)
    return without_blank_lines(index)


def _columns_if_regular(index: RecordIndex, layout: Layout) -> dict[str, Texts] | None:
    """Return the columns if Arrow finds as many records as the index, each as wide as the header; else None."""
    if not len(index) or not is_utf8(index.data):
        return None
    return _read_csv(index.data, len(index), layout)


def as_values(texts: pa.StringArray, layout: Layout) -> pa.StringArray:
    """Return the values that texts had before the file was translated."""
    return texts if layout.dialect.is_plain else pa.array(map(layout.dialect.value_of, texts.to_pylist()), pa.string())


def _as_values(columns: dict[str, Texts], layout: Layout) -> dict[str, Texts]:
    if layout.dialect.is_plain:
        return columns
    return {name: (as_values(texts, layout), codes) for name, (texts, codes) in columns.items()}


def _columns(index: RecordIndex, good: NDArray[np.int64], layout: Layout) -> dict[str, Texts]:
    """Return the dictionary-coded columns of the good records."""
    if not len(good):
        return {name: (pa.array([], pa.string()), np.empty(0, np.int32)) for name in layout.columns}
    if len(good) == len(index) and (columns := _read_csv(index.data, len(good), layout)) is not None:
        return columns
    lines = _lines(index, good)
    columns = _read_csv(text_of(lines), len(good), layout)
    return _read_slowly(lines.to_pylist(), layout) if columns is None else columns


def _lines(index: RecordIndex, rows: NDArray[np.int64]) -> pa.BinaryArray:
    return slices(index.data, index.starts[rows], ends_of_lines(index.data, index.ends[rows]))


def _read_csv(text: bytes, rows: int, layout: Layout) -> dict[str, Texts] | None:
    """Read the columns with Arrow; return None if it finds another number of records or fields."""
    # Dictionary-coded: each distinct text is parsed and validated once, however many rows have it.
    table = _read_table(text, rows, layout, layout.columns.values(), pa.dictionary(pa.int32(), pa.string()))
    if table is None:
        return None
    return {name: _dictionary_coded(table.column(str(at))) for name, at in layout.columns.items()}


def read_fields(index: RecordIndex, rows: NDArray[np.int64], layout: Layout) -> list[pa.Array] | None:
    """Return the values of all fields of some sound records, column by column; None if Arrow reads them otherwise."""
    table = _read_table(text_of(_lines(index, rows)), len(rows), layout, range(layout.width), pa.binary())
    return table and [column.combine_chunks() for column in table.columns]


def _read_table(text: bytes, rows: int, layout: Layout, columns: Iterable[int], kind: pa.DataType) -> pa.Table | None:
    """Read columns with Arrow, which are named by their numbers; None if it finds other records or fields."""
    if text.startswith(codecs.BOM_UTF8):  # Arrow would drop it as a byte order mark, but it is data here
        return None
    wanted = list({str(at): None for at in columns})
    try:
        table = pa_csv.read_csv(
            pa.BufferReader(text),
            # One thread, since the other cores have workers of their own; one block, so that a record of any length
            # fits.
            pa_csv.ReadOptions(
                use_threads=False, block_size=len(text) + 1, column_names=[str(at) for at in range(layout.width)]
            ),
            pa_csv.ParseOptions(delimiter=layout.delimiter, newlines_in_values=b'"' in text),
            pa_csv.ConvertOptions(
                include_columns=wanted,
                column_types=dict.fromkeys(wanted, kind),
                # ``NA`` and the like are texts: the model's schema says what is missing.
                strings_can_be_null=False,
                # Records that are not UTF-8 are broken ones, which are not read here.
                check_utf8=False,
            ),
        )
    except pa.ArrowInvalid:
        return None
    # With quotes inside unquoted fields, Arrow's records are not those of the index.
    return table if table.num_rows == rows else None


def _read_slowly(lines: list[bytes], layout: Layout) -> dict[str, Texts]:
    """Read the columns field by field, where Arrow would split the text into other records."""
    rows = [read_record(line, 0, len(line), ord(layout.delimiter)).fields for line in lines]
    columns = {}
    for name, at in layout.columns.items():
        texts = [
            unquote(line[slice(*fields[at])]).decode("utf-8", "replace")
            for line, fields in zip(lines, rows, strict=True)
        ]
        columns[name] = _dictionary_coded(pa.chunked_array([pa.array(texts, pa.string()).dictionary_encode()]))
    return columns


def _dictionary_coded(column: Any) -> Texts:
    coded = column.chunk(0) if column.num_chunks == 1 else column.unify_dictionaries().combine_chunks()
    return coded.dictionary, coded.indices.to_numpy()
