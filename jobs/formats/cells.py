"""Cells with types of their own, of sheets and JSON, as CSV fields and back. Pure.

A field that is not quoted is what it looks like: a number, a date. A text that merely looks like one is quoted, so that
it comes back as a text.
"""

import datetime
import json
import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import orjson

from jobs.formats.source import Kind

_SPECIAL = re.compile(r'["\r\n,]')
_NUMBER = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
_TIME = r"[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?"
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TYPED = re.compile(rf"{_NUMBER}|true|false|{_DATE}(?:[ T]{_TIME})?|{_TIME}|[\[{{].*", re.DOTALL)
# Whole numbers up to here have the same digits as a float.
_MAX_EXACT = 10**15
# Types of which equal values are the same field, and most columns have few distinct ones.
_COMPARABLE = {str, int, float, datetime.date}
_KINDS: dict[type, Kind] = {
    str: Kind.TEXT,
    bool: Kind.BOOLEAN,
    int: Kind.INTEGER,
    float: Kind.NUMBER,
    datetime.date: Kind.DATE,
    datetime.datetime: Kind.DATETIME,
    datetime.time: Kind.TIME,
    datetime.timedelta: Kind.TEXT,
    dict: Kind.JSON,
    list: Kind.JSON,
}


def csv_column(values: Sequence[Any], kinds: set[Kind]) -> list[str]:
    """Return the values of a column as CSV fields, and add their kinds to ``kinds``; None is a missing value."""
    types = set(map(type, values)) - {type(None)}
    # Of one type only, since 1, 1.0 and True are equal and different fields.
    if len(types) == 1 and types <= _COMPARABLE:
        known = {value: _field(value) for value in set(values)}
        fields, values = [known[value] for value in values], list(known)
    else:
        fields = [_field(value) for value in values]
    if float in types:
        kinds.update(_kinds_of_floats(values))
        types.discard(float)
    kinds.update(_KINDS[kind] for kind in types)
    return fields


def _kinds_of_floats(values: Iterable[Any]) -> set[Kind]:
    whole = {value.is_integer() and abs(value) < _MAX_EXACT for value in values if type(value) is float}
    return {Kind.INTEGER if is_whole else Kind.NUMBER for is_whole in whole}


def _text_field(text: str) -> str:
    if _SPECIAL.search(text):
        return '"' + text.replace('"', '""') + '"'
    return f'"{text}"' if not text or _TYPED.fullmatch(text) else text


def _field(value: Any) -> str:  # noqa: PLR0911 - one line for each type
    if value is None:
        return ""
    if isinstance(value, str):
        return _text_field(value)
    # Before numbers: a boolean is an ``int`` to Python.
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < _MAX_EXACT else repr(value)
    # Before dates: a date with a time is a ``date``, too.
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ")
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, dict | list):
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return '"' + text.replace('"', '""') + '"' if _SPECIAL.search(text) else text
    return _text_field(str(value))


def parse_field(field: str, kinds: Collection[Kind]) -> Any:
    """Return the value of a CSV field, as it stands in the file, of a column with values of these kinds."""
    if not field:
        return None
    if field[0] == '"':
        text = field[1:-1].replace('""', '"')
        return _parse_json(text) if Kind.JSON in kinds and text[:1] in ("[", "{") else text
    if not _TYPED.fullmatch(field):
        return field
    for kind in kinds:
        if (value := _PARSERS[kind](field)) is not None:
            return value
    return field


def _parse_number(text: str) -> float | int | None:
    try:
        return int(text) if text.lstrip("-").isdecimal() else float(text)
    except ValueError:
        return None


def _parse_json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _parse_iso(of: Any, length: int) -> Any:
    def parse(text: str) -> Any:
        try:
            return of.fromisoformat(text) if (len(text) > length or of is not datetime.datetime) else None
        except ValueError:
            return None

    return parse


_PARSERS: dict[Kind, Any] = {
    Kind.INTEGER: _parse_number,
    Kind.NUMBER: _parse_number,
    Kind.BOOLEAN: {"true": True, "false": False}.get,
    Kind.DATE: _parse_iso(datetime.date, 0),
    Kind.DATETIME: _parse_iso(datetime.datetime, len("2024-01-01")),
    Kind.TIME: _parse_iso(datetime.time, 0),
    Kind.JSON: lambda text: _parse_json(text) if text[:1] in ("[", "{") else None,
    Kind.TEXT: lambda text: None,
}
