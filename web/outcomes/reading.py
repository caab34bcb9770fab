"""Read a CSV file of outcomes: ``job,row,value`` or ``prediction,value``. Pure."""

import csv
import io
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from jobs.errors import Detail, UploadRefused
from model.card import Card, ModelKind

_JOB_COLUMNS, _PREDICTION_COLUMNS = ["job", "row", "value"], ["prediction", "value"]
_JOB = re.compile(r"[0-9a-f]{32}")
_PREDICTION = re.compile(r"[0-9a-f]{32}(?:\.[0-9]{1,4})?")
_ROW = re.compile(r"0*[1-9][0-9]{0,11}")
_MAX_ECHO = 64


@dataclass(frozen=True, slots=True)
class GivenOutcome:
    """What happened to a row of a job or, with ``row`` 0, to a prediction; ``line`` is where it stands in the file."""

    line: int
    source_id: str
    row: int
    value: str


def read_outcomes(data: bytes, card: Card) -> Iterator[GivenOutcome | Detail]:
    """Yield the outcome of each line, or its fault; lines count from 1 after the header.

    Raises:
        UploadRefused: the file is no such CSV file.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UploadRefused("undecodable", f"the file is not UTF-8: {error.reason} at byte {error.start}") from error
    if "\x00" in text:
        raise UploadRefused("undecodable", "the file contains a NUL character")
    delimiter = ";" if ";" in text.partition("\n")[0] else ","
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        header = [name.strip().lower() for name in next(lines, [])]
        if not any(header):
            raise UploadRefused("empty_file", "the file is empty")
        if sorted(header) not in (sorted(_JOB_COLUMNS), sorted(_PREDICTION_COLUMNS)):
            detail = "the header must be job,row,value or prediction,value"
            raise UploadRefused("missing_columns", detail)
        for line, fields in enumerate((fields for fields in lines if fields), 1):
            yield _read_line(line, header, fields, card)
    except csv.Error as error:
        raise UploadRefused("malformed_body", f"the file is not valid CSV: {error}") from error


def _read_line(line: int, header: list[str], fields: list[str], card: Card) -> GivenOutcome | Detail:
    if len(fields) != len(header):
        return Detail("ragged", f"there are {len(fields)} fields instead of {len(header)}", row=line)
    given = {name: field.strip() for name, field in zip(header, fields, strict=True)}
    if "job" in given:
        if not _JOB.fullmatch(given["job"]):
            return _fault("unknown_job", "there is no such job", "job", line, given["job"])
        if not _ROW.fullmatch(given["row"]):
            return _fault("not_an_integer", "a row is a whole number from 1", "row", line, given["row"])
    elif not _PREDICTION.fullmatch(given["prediction"]):
        return _fault("unknown_prediction", "there is no such prediction", "prediction", line, given["prediction"])
    value = _value(given["value"], card)
    if value is None:
        return _value_fault(given["value"], line, card)
    return GivenOutcome(line, given.get("job", given.get("prediction", "")), int(given.get("row", 0)), value)


def _value(text: str, card: Card) -> str | None:
    """Return the outcome as predictions are written; None if the model cannot predict it."""
    if card.kind is ModelKind.REGRESSOR:
        try:
            return text if math.isfinite(float(text)) else None
        except ValueError:
            return None
    return {name.casefold(): name for name in card.classes}.get(text.casefold())


def _value_fault(text: str, line: int, card: Card) -> Detail:
    if not text:
        return _fault("missing", "there is no value", "value", line, text)
    if card.kind is ModelKind.REGRESSOR:
        return _fault("not_a_number", "the value is not a number", "value", line, text)
    known = ", ".join(card.classes[:10])
    return _fault("unknown_category", f"the value is none of the model's classes: {known}", "value", line, text)


def _fault(code: str, detail: str, column: str, line: int, value: str) -> Detail:
    return Detail(code, detail, column, line, value[:_MAX_ECHO])
