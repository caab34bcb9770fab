"""Read a CSV file of outcomes: ``job``, ``row`` and ``value``, or ``prediction`` and ``value``. Pure."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from jobs.csv.decoding import Utf8Decoder
from jobs.errors import Detail, UploadRefused
from model.card import Card, ModelKind
from model.parsing import DECIMAL_POINT, NumberFormat, parse_number

_JOB_COLUMNS, _PREDICTION_COLUMNS = ["job", "row", "value"], ["prediction", "value"]
_JOB = re.compile(r"[0-9a-f]{32}")
_PREDICTION = re.compile(r"[0-9a-f]{32}(?:\.[0-9]{1,4})?")
_ROW = re.compile(r"0*[1-9][0-9]{0,11}")
_DELIMITER_NOTE = re.compile(r'"?sep=([;,\t])"?\r?\n', re.IGNORECASE)
_MAX_ECHO = 64


@dataclass(frozen=True, slots=True)
class GivenOutcome:
    """What happened to a row of a job or, with ``row`` 0, to a prediction; ``line`` is where it stands in the file."""

    line: int
    source_id: str
    row: int
    value: str


def read_outcomes(data: bytes, card: Card) -> Iterator[GivenOutcome | Detail]:
    """Yield the outcome of each line, or its fault; lines count from 1 after the header, without empty ones.

    The file is read as spreadsheets save it: in UTF-8, Windows-1252, or UTF-16 with a byte order mark; delimited by
    commas, semicolons or tabs; where it is not delimited by commas, also with decimal commas. Other columns are passed
    over.

    Raises:
        UploadRefused: the file is no such CSV file.
    """
    text, delimiter = _delimited(_decode(data))
    lines = filter(_has_text, csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    try:
        header = [name.strip().lower() for name in next(lines, [])]
        columns = _columns(header)
        rows = list(lines)
    except csv.Error as error:
        raise UploadRefused("malformed_body", f"the file is not valid CSV: {error}") from error
    place = header.index("value")
    values = (fields[place].strip() for fields in rows if len(fields) == len(header))
    numbers = DECIMAL_POINT if delimiter == "," else NumberFormat.detect(values)
    for line, fields in enumerate(rows, 1):
        if len(fields) != len(header):
            yield Detail("ragged", f"there are {len(fields)} fields instead of {len(header)}", row=line)
        else:
            yield _read_line(line, {name: fields[at].strip() for name, at in columns.items()}, card, numbers)


def _decode(data: bytes) -> str:
    decoder = Utf8Decoder()
    try:
        text = (decoder.feed(data) + decoder.finish()).decode()
    except UnicodeDecodeError as error:
        raise UploadRefused("undecodable", f"the file is not UTF-8: {error.reason} at byte {error.start}") from error
    if "\x00" in text:
        raise UploadRefused("undecodable", "the file contains a NUL character")
    return text


def _delimited(text: str) -> tuple[str, str]:
    """Return the text without Excel's note of the delimiter, and the delimiter."""
    note = _DELIMITER_NOTE.match(text)
    if note:
        return text[note.end() :], note[1]
    header = text.lstrip("\r\n").partition("\n")[0]
    return text, next((delimiter for delimiter in ";\t" if delimiter in header), ",")


def _has_text(fields: list[str]) -> bool:
    return any(map(str.strip, fields))


def _columns(header: list[str]) -> dict[str, int]:
    """Return where the columns are that say what happened to what."""
    if not header:
        raise UploadRefused("empty_file", "the file is empty")
    for names in (_JOB_COLUMNS, _PREDICTION_COLUMNS):
        if all(name in header for name in names):
            break
    else:
        raise UploadRefused("missing_columns", "the header must have job,row,value or prediction,value")
    if repeated := [name for name in names if header.count(name) > 1]:
        raise UploadRefused("duplicate_columns", f"the header has the column {repeated[0]} more than once")
    return {name: header.index(name) for name in names}


def _read_line(line: int, given: dict[str, str], card: Card, numbers: NumberFormat) -> GivenOutcome | Detail:
    if "job" in given:
        given["job"] = given["job"].lower()
        if not _JOB.fullmatch(given["job"]):
            return _fault("unknown_job", "there is no such job", "job", line, given["job"])
        if not _ROW.fullmatch(given["row"]):
            return _fault("not_an_integer", "a row is a whole number from 1", "row", line, given["row"])
    elif not _PREDICTION.fullmatch(given["prediction"].lower()):
        return _fault("unknown_prediction", "there is no such prediction", "prediction", line, given["prediction"])
    text = given["value"]
    if card.kind is ModelKind.REGRESSOR and numbers.is_ambiguous(text):
        return _fault("ambiguous_number", "the file does not tell which number this is", "value", line, text)
    value = _value(text, card, numbers)
    if value is None:
        return _value_fault(text, line, card)
    return GivenOutcome(line, given.get("job") or given["prediction"].lower(), int(given.get("row", 0)), value)


def _value(text: str, card: Card, numbers: NumberFormat) -> str | None:
    """Return the outcome as predictions are written; None if the model cannot predict it."""
    if card.kind is ModelKind.REGRESSOR:
        number = numbers.plain(text)
        return None if parse_number(number) is None else number
    return _classes(tuple(card.classes)).get(text.casefold())


@lru_cache(maxsize=8)
def _classes(names: tuple[str, ...]) -> dict[str, str]:
    return {name.casefold(): name for name in names}


def _value_fault(text: str, line: int, card: Card) -> Detail:
    if not text:
        return _fault("missing", "there is no value", "value", line, text)
    if card.kind is ModelKind.REGRESSOR:
        return _fault("not_a_number", "the value is not a number", "value", line, text)
    known = ", ".join(card.classes[:10])
    return _fault("unknown_category", f"the value is none of the model's classes: {known}", "value", line, text)


def _fault(code: str, detail: str, column: str, line: int, value: str) -> Detail:
    return Detail(code, detail, column, line, value[:_MAX_ECHO])
