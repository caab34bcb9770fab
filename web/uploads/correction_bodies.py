"""Corrections as a client gives them, a CSV file or JSON: new texts for fields of rejected rows. Pure.

Columns go by their exact names, or as an upload spells a feature of the model; rows by the column or member ``_row``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jobs.csv.decoding import Utf8Decoder, is_utf8
from jobs.csv.detection import FileStart, detect
from jobs.csv.dialect import Translator
from jobs.csv.records import RecordIndex, index_records, unquote
from jobs.errors import Detail, UploadRefused
from model.card import Card
from model.joint_schema import match_columns
from web.jobs.rejected import RecordColumns

# Errors that are listed; more would not help.
_MAX_ERRORS = 100


@dataclass(frozen=True, slots=True)
class GivenRows:
    """Rows as given. ``places`` maps row numbers to their places in the body, from 0.

    ``texts_at`` returns the new texts of the row at a place, by column of the input. Where rows are ``named`` one by
    one, a row whose texts are those that it has counts as confirmed; in a file it was simply not edited.
    """

    places: Mapping[int, int]
    texts_at: Callable[[int], dict[int, str]]
    named: bool


@dataclass(frozen=True, slots=True)
class CorrectedColumns:
    """The columns that corrections may name: those of ``records``, and features by any spelling.

    ``decimal`` is the decimal mark of the input, ``codec`` its encoding.
    """

    records: RecordColumns
    features: Mapping[str, int]
    cards: Sequence[Card]
    decimal: str = "."
    codec: str = "utf-8"

    def index(self, name: str) -> int:
        """Return the column of the input with this name.

        Raises:
            UploadRefused: ``unknown_columns``, ``duplicate_columns``.
        """
        count = self.records.names.count(name)
        if count > 1:
            raise UploadRefused(
                "duplicate_columns", f"the input has {count} columns {name[:40]!r}: it is not clear which is meant"
            )
        if count:
            return self.records.names.index(name)
        for feature in match_columns(self.cards, [name]).columns:
            if feature in self.features:
                return self.features[feature]
        detail = f"{name[:40]!r} is no column of the input"
        raise UploadRefused("unknown_columns", detail, [Detail("unknown_columns", detail, name)])

    def indexes(self, names: Sequence[str]) -> dict[int, int]:
        """Return, by place in the header of a file, the columns of the input; those that were added are left out.

        Raises:
            UploadRefused: ``unknown_columns``, ``duplicate_columns``.
        """
        added = (self.records.row, self.records.errors)
        own = [at for at, name in enumerate(names) if name not in added]
        # As it was downloaded: columns then go by their places, so that two may have the same name.
        if tuple(names[at] for at in own) == self.records.names:
            return {at: column for column, at in enumerate(own)}
        # A spreadsheet may add columns without a name.
        columns = {at: self.index(names[at]) for at in own if names[at].strip() or names[at] in self.records.names}
        _refuse_duplicates([names[at] for at in columns], list(columns.values()))
        return columns


def _refuse_duplicates(names: Sequence[str], columns: Sequence[int]) -> None:
    twice = [name for name, column in zip(names, columns, strict=True) if columns.count(column) > 1]
    if twice:
        raise UploadRefused("duplicate_columns", f"these columns are the same one of the input: {', '.join(twice)}")


def read_file(data: bytes, encoding: str | None, columns: CorrectedColumns) -> GivenRows:
    """Read a CSV file of corrections, in any dialect and encoding that an upload may have.

    What is not UTF-8 is taken for the encoding of the input. Bytes that do not decode become lone surrogates.

    Raises:
        UploadRefused: it cannot be read, a column is not known, or a row is not or twice.
    """
    decoder = Utf8Decoder(encoding or _encoding_of_input(data, columns.codec))
    text = decoder.feed(data) + decoder.finish()
    start = detect(text, _count_matches(columns.records), final=True)
    if start is None:
        raise UploadRefused("no_header", "the corrections have no header row")
    header, value_of = start.header, start.dialect.value_of
    if columns.records.row not in header.columns:
        name = columns.records.row
        detail = f"column {name!r} is missing, which holds the numbers of the rows"
        raise UploadRefused("missing_columns", detail, [Detail("missing_columns", detail, name)])
    places, index = columns.indexes(header.columns), _index(text, start)
    row_column = header.columns.index(columns.records.row)

    def fields_at(number: int) -> list[str]:
        return [value_of(unquote(field).decode("utf-8", "surrogateescape")) for field in index.fields(number)]

    def texts_at(number: int) -> dict[int, str]:
        fields = fields_at(number)
        return {column: fields[at] for at, column in places.items()}

    numbers = [_row_number(fields_at(number)[row_column], number) for number in range(len(index))]
    return GivenRows(_places(numbers), texts_at, named=False)


def _encoding_of_input(data: bytes, codec: str) -> str | None:
    """Return the encoding of the input if a file without a byte order mark seems to have it, too."""
    if codec.startswith("utf-16"):
        # In UTF-16, each character of ASCII has a zero byte.
        return codec if b"\0" in data else None
    return None if codec == "utf-8" or is_utf8(data) else codec


def _count_matches(columns: RecordColumns) -> Callable[[Sequence[str]], tuple[int, int]]:
    wanted = {*columns.names, columns.row}
    return lambda names: (len(wanted & set(names)), len(wanted))


def _index(text: bytes, start: FileStart) -> RecordIndex:
    """Return the records of the file; raise ``UploadRefused`` if one of them cannot be read."""
    translator, header, width = Translator(start.dialect), start.header, len(start.header.columns)
    translated = translator.feed(text) + translator.finish()
    index = index_records(translated[header.size :], ord(header.delimiter), final=True, width=width)
    broken = index.malformed.tolist()
    ragged = (index.field_counts != width).nonzero()[0].tolist()
    unclosed = index.owners(index.unclosed_at).tolist()
    kinds = (
        ("open_quote", "has a quote that is not closed", unclosed),
        ("malformed", "is malformed", broken),
    )
    for code, what, numbers in (*kinds, ("ragged", "has more or fewer fields than the header", ragged)):
        if numbers:
            details = [f"record {number + 1} of the corrections {what}" for number in numbers[:_MAX_ERRORS]]
            raise UploadRefused(code, details[0], [Detail(code, detail) for detail in details])
    return index


def _row_number(value: str | int, place: int) -> int:
    """Return the number of a row; raise ``UploadRefused`` if it is none. A spreadsheet may have written ``17.0``."""
    text = str(value).strip().removesuffix(".0")
    # 18 digits fit into 64 bits; ``isdecimal`` alone accepts the digits of all scripts.
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        detail = f"record {place + 1} of the corrections: {str(value)[:40]!r} is not the number of a row"
        raise UploadRefused("unknown_row", detail, [Detail("unknown_row", detail, value=str(value)[:40])])
    return int(text)


def _places(numbers: Sequence[int]) -> dict[int, int]:
    """Return the place of each row.

    Raises:
        UploadRefused: ``duplicate_row``, ``no_corrections``.
    """
    places = {row: place for place, row in enumerate(numbers)}
    if len(places) < len(numbers):
        twice = sorted(row for row, place in zip(numbers, range(len(numbers)), strict=True) if places[row] != place)
        refuse_rows("duplicate_row", "it is given more than once", twice)
    if not places:
        raise UploadRefused("no_corrections", "the corrections hold no row")
    return places


def refuse_rows(code: str, what: str, rows: Sequence[int]) -> None:
    """Raise ``UploadRefused`` that names the rows, if there are any."""
    if rows:
        details = [Detail(code, what, row=row) for row in rows[:_MAX_ERRORS]]
        more = f", and {len(rows) - 1} more" if len(rows) > 1 else ""
        raise UploadRefused(code, f"row {rows[0]}: {what}{more}", details)


def read_records(document: Mapping[str, Any], columns: CorrectedColumns) -> GivenRows:
    """Read corrections in JSON: ``{"records": [{"_row": 17, "age": 39}]}``.

    Raises:
        UploadRefused: it has another form, a column is not known, or a row is not or twice.
    """
    records = document.get("records")
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise UploadRefused("bad_correction", 'the corrections need "records", a list of objects')
    # Every record names the same columns.
    index = cache(columns.index)
    given = [_read_record(record, place, columns, index) for place, record in enumerate(records)]
    return GivenRows(_places([row for row, _ in given]), lambda place: given[place][1], named=True)


def _read_record(
    record: dict[str, Any], place: int, columns: CorrectedColumns, index: Callable[[str], int]
) -> tuple[int, dict[int, str]]:
    row_name = columns.records.row
    if isinstance(record.get(row_name), bool) or not isinstance(record.get(row_name), int | str):
        raise UploadRefused("bad_correction", f"record {place + 1} of the corrections has no number {row_name!r}")
    row = _row_number(record[row_name], place)
    texts: dict[int, str] = {}
    for name, value in record.items():
        if name == row_name:
            continue
        column = index(name)
        if column in texts:
            raise UploadRefused("duplicate_columns", f"row {row} gives the column {name[:40]!r} twice", row=row)
        texts[column] = _as_text(value, name, row, columns.decimal)
    if not texts:
        raise UploadRefused("bad_correction", f"row {row} is given without any value", row=row)
    return row, texts


def _as_text(value: object, column: str, row: int, decimal: str) -> str:
    """Return a JSON value as the text of a field; a number has the decimal mark of the file."""
    if value is None:
        return ""
    # First, since a boolean is an ``int`` to Python.
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return str(value).replace(".", decimal)
    if isinstance(value, str | int):
        return str(value)
    detail = f"row {row}: the value of {column[:40]!r} is neither a text nor a number"
    raise UploadRefused("bad_correction", detail, [Detail("bad_correction", detail, column, row)])
