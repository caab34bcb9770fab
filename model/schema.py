"""What a model takes: features, what a text value means, and which column is which feature.

Pure: values in, values out. Imports the standard library and pydantic only, since the web process loads it.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from enum import StrEnum
from functools import cached_property
from itertools import islice

from pydantic import BaseModel, ConfigDict

Value = float | bool | str | None
Scalar = bool | int | float | str | None

NUMBER_PATTERN = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
"""The whole grammar of a number, ASCII digits only; plain enough for Python's `re` and for RE2."""

MISSING_MARKERS = frozenset({"", "?", "na", "n/a", "nan", "null", "none"})
"""Casefolded texts that mean "no value", unless a feature has a category of that very word."""

LONGEST_ECHO = 100
_DAY_DIGITS = 10
# Looking for a similar name takes time for each that is there.
MOST_COMPARED = 200
_NUMBER = re.compile(NUMBER_PATTERN)
_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
_BOOLEANS = {
    **dict.fromkeys(("true", "t", "yes", "y", "1", "1.0"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0", "0.0"), False),
}
_SEPARATORS = re.compile(r"[\s._-]+")


class FaultCode(StrEnum):
    """Why a value or a record is rejected; stable words of the HTTP contract."""

    MISSING = "missing"
    NOT_A_NUMBER = "not_a_number"
    NOT_AN_INTEGER = "not_an_integer"
    OUT_OF_RANGE = "out_of_range"
    UNKNOWN_CATEGORY = "unknown_category"
    NOT_A_BOOLEAN = "not_a_boolean"
    NOT_A_DATE = "not_a_date"
    NOT_A_TEXT = "not_a_text"
    RAGGED = "ragged"
    MALFORMED = "malformed"
    UNDECODABLE = "undecodable"
    SCORING_FAILED = "scoring_failed"


class FeatureKind(StrEnum):
    """What the values of a feature are."""

    NUMBER = "number"
    CATEGORY = "category"
    BOOLEAN = "boolean"
    DATE = "date"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with one value or record; `value` is what was given, cut to 100 characters."""

    code: str
    detail: str
    column: str | None = None
    value: str | None = None
    suggestion: str | None = None


@dataclass(frozen=True, slots=True)
class MissingColumn:
    """A feature without a column, and the header, as spelt in the file, that may have been meant."""

    name: str
    did_you_mean: str | None = None


@dataclass(frozen=True, slots=True)
class ColumnMatch:
    """Which column of a file holds which feature.

    `columns` maps a feature's name to the index of its (first) column, from 0. `duplicates` are the headers, as
    spelt, of further columns for a feature that has one; `extra` are those that belong to no feature.
    """

    columns: dict[str, int]
    missing: tuple[MissingColumn, ...]
    duplicates: tuple[str, ...]
    extra: tuple[str, ...]


def normalise_name(header: str) -> str:
    """Return the name under which a header is compared: `Marital Status`, `marital.status` → `marital_status`."""
    return _SEPARATORS.sub("_", header.strip().casefold())


def shown(text: str) -> str:
    """Return `text` cut to 100 characters, for messages."""
    return text if len(text) <= LONGEST_ECHO else text[: LONGEST_ECHO - 1] + "…"


def parse_number(text: str) -> float | None:
    """Return the finite number that `text` writes by `NUMBER_PATTERN`, or None."""
    number = float(text) if _NUMBER.fullmatch(text) else math.nan
    return number if math.isfinite(number) else None


def parse_date(text: str) -> str | None:
    """Return a day in ISO 8601 as it is, a moment in UTC without its zone; None for what is neither."""
    try:
        moment = datetime.fromisoformat(text) if _DATE.fullmatch(text) else None
        if moment is None or len(text) == _DAY_DIGITS:
            return text if moment else None
        return (moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment).isoformat()
    except (ValueError, OverflowError):
        return None


def closest_header(name: str, headers: Iterable[str]) -> str | None:
    """Return the header, as spelt, that was probably meant for the feature `name`, or None.

    Close is: similar letters (difflib), or nothing but words of the name (`hours` for `hours_per_week`).
    """
    spelt = {normalise_name(shown(header)): header for header in reversed(list(headers))}
    similar = get_close_matches(name, spelt, n=1)
    words = set(name.split("_"))
    subsets = [header for header in spelt if header and set(header.split("_")) <= words]
    found = [*similar, *subsets]
    return spelt[found[0]] if found else None


class Feature(BaseModel):
    """One input of a model: its name, kind, limits or categories, and words for people.

    `minimum` and `maximum` are inclusive and in `unit`; `categories` are in their natural order, and `labels` gives the
    human words of each. `default` prefills a form, `example` shows a typical value. `given_as` is the pandas dtype in
    which the pipeline takes the column, where it is not the usual one of its kind: `category`, or `object` for dates.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    kind: FeatureKind
    unit: str | None = None
    minimum: int | float | None = None
    maximum: int | float | None = None
    integer: bool = False
    categories: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    missing_allowed: bool = False
    default: Scalar = None
    example: Scalar = None
    help: str | None = None
    given_as: str | None = None

    def parse(self, text: str, suggest: bool = True) -> Value | Fault:
        """Return what `text` means, or a Fault: a number (float), a category as the schema spells it, true or false, a
        date as ISO 8601 writes it (in UTC, without a zone), free text as it came; None for missing.

        This is the one place that says so; a reader of whole columns must agree with it. Without `suggest`, no similar
        category is looked for, which is slow.
        """
        stripped = text.strip()
        folded = stripped.casefold()
        if folded in self._spellings:
            return self._spellings[folded]
        if folded in MISSING_MARKERS:
            return self._missing(stripped)
        return text if self.kind is FeatureKind.TEXT else self._parsed(stripped, suggest)

    def parse_json(self, value: object) -> Value | Fault:
        """Return what a JSON value means, as `parse` does for text; never raises."""
        match value:
            case None:
                return self._missing("")
            case str():
                return self.parse(value)
            case bool() if self.kind is FeatureKind.BOOLEAN:
                return value
            case bool() | list() | dict():
                return self._wrong_type(value)
            case int() | float():
                return self._json_number(value)
            case _:
                return self._wrong_type(value)

    def missing(self, suggestion: str | None = None) -> Fault:
        """Return the fault of a record without this feature; `suggestion` is a key that may have been meant."""
        hint = f"did you mean {shown(suggestion)!r}?" if suggestion else f"{self._wanted} is needed"
        return self._fault(FaultCode.MISSING, f"{self.name} is missing; {hint}", None, suggestion)

    @cached_property
    def words(self) -> frozenset[str]:
        """Casefolded texts that mean a category or that there is no value."""
        return MISSING_MARKERS | set(self._spellings)

    def verdict(self, code: FaultCode) -> str:
        """Return what a fault of this code says after the text that it is about."""
        return {
            FaultCode.NOT_A_NUMBER: " is not a number",
            FaultCode.NOT_AN_INTEGER: " is not a whole number",
            FaultCode.OUT_OF_RANGE: f" is outside {self._range}",
            FaultCode.UNKNOWN_CATEGORY: f" is not a category of {self.name}",
        }[code]

    @cached_property
    def _spellings(self) -> Mapping[str, bool | str]:
        if self.kind is FeatureKind.BOOLEAN:
            return _BOOLEANS
        return {category.casefold(): category for category in self.categories}

    @cached_property
    def _suggestions(self) -> dict[str, str]:
        labels = {label.casefold(): category for category, label in self.labels.items()}
        return labels | {category.casefold(): category for category in self.categories}

    def _parsed(self, text: str, suggest: bool) -> Value | Fault:
        match self.kind:
            case FeatureKind.NUMBER:
                return self._number(text)
            case FeatureKind.DATE:
                return self._date(text)
            case FeatureKind.BOOLEAN:
                return self._fault(FaultCode.NOT_A_BOOLEAN, f"{shown(text)!r} is neither true nor false", text)
            case _:
                return self._unknown_category(text, suggest)

    @property
    def _range(self) -> str:
        low, high = ("" if limit is None else f"{limit:.15g}" for limit in (self.minimum, self.maximum))
        return f"{low}..{high}"

    @property
    def _wanted(self) -> str:
        if self.kind is FeatureKind.CATEGORY:
            return f"one of its {len(self.categories)} categories"
        if self.kind is not FeatureKind.NUMBER:
            return {"boolean": "true or false", "date": "a date such as 2024-01-31", "text": "a text"}[self.kind.value]
        number = "a whole number" if self.integer else "a number"
        limited = self.minimum is not None or self.maximum is not None
        return f"{number} in {self._range}" if limited else number

    def _fault(self, code: FaultCode, detail: str, value: str | None, suggestion: str | None = None) -> Fault:
        return Fault(code, detail, self.name, None if value is None else shown(value), suggestion)

    def _missing(self, text: str) -> Fault | None:
        return None if self.missing_allowed else replace(self.missing(), value=text)

    def _number(self, text: str) -> float | Fault:
        if not _NUMBER.fullmatch(text):
            hint = "; write it without thousands separators and with a decimal point" if "," in text else ""
            return self._fault(
                FaultCode.NOT_A_NUMBER, f"{shown(text)!r}{self.verdict(FaultCode.NOT_A_NUMBER)}{hint}", text
            )
        number = float(text)
        if not math.isfinite(number):
            return self._fault(FaultCode.NOT_A_NUMBER, f"{shown(text)!r} is not a finite number", text)
        return self._within_limits(number, text)

    def _within_limits(self, number: float, text: str) -> float | Fault:
        if self.integer and not number.is_integer():
            return self._judged(FaultCode.NOT_AN_INTEGER, text)
        too_low = self.minimum is not None and number < self.minimum
        too_high = self.maximum is not None and number > self.maximum
        if too_low or too_high:
            return self._judged(FaultCode.OUT_OF_RANGE, text)
        return number

    def _date(self, text: str) -> str | Fault:
        date = parse_date(text)
        if date is None:
            detail = f"{shown(text)!r} is not a date as ISO 8601 writes it, such as 2024-01-31 or 2024-01-31T09:30:00"
            return self._fault(FaultCode.NOT_A_DATE, detail, text)
        return date

    def _judged(self, code: FaultCode, text: str) -> Fault:
        return self._fault(code, shown(text) + self.verdict(code), text)

    def _unknown_category(self, text: str, suggest: bool) -> Fault:
        suggestion = self._suggest(text) if suggest else None
        hint = f"; did you mean {suggestion!r}?" if suggestion else ""
        detail = f"{shown(text)!r}{self.verdict(FaultCode.UNKNOWN_CATEGORY)}{hint}"
        return self._fault(FaultCode.UNKNOWN_CATEGORY, detail, text, suggestion)

    def _suggest(self, text: str) -> str | None:
        # Comparing is quadratic in the length, and no category is longer than what is echoed.
        if len(text) > LONGEST_ECHO:
            return None
        close = get_close_matches(text.casefold(), self._suggestions, n=1)
        return self._suggestions[close[0]] if close else None

    def _json_number(self, value: float) -> Value | Fault:
        if self.kind is not FeatureKind.NUMBER:
            return self.parse(_digits(value))
        try:
            number = float(value)
        except OverflowError:
            return self._fault(FaultCode.NOT_A_NUMBER, "a whole number of over 308 digits is not a finite number", None)
        text = _digits(value)
        if not math.isfinite(number):
            return self._fault(FaultCode.NOT_A_NUMBER, f"{text} is not a finite number", text)
        return self._within_limits(number, text)

    def _wrong_type(self, value: object) -> Fault:
        given = {bool: "true or false", list: "a list", dict: "an object"}.get(type(value), "this value")
        code, wanted = {
            FeatureKind.NUMBER: (FaultCode.NOT_A_NUMBER, "a number"),
            FeatureKind.CATEGORY: (FaultCode.UNKNOWN_CATEGORY, f"a category of {self.name}"),
            FeatureKind.BOOLEAN: (FaultCode.NOT_A_BOOLEAN, "true or false"),
            FeatureKind.DATE: (FaultCode.NOT_A_DATE, "a date"),
            FeatureKind.TEXT: (FaultCode.NOT_A_TEXT, "a text"),
        }[self.kind]
        return self._fault(code, f"{given} is not {wanted}", _words(value))


class Schema(BaseModel):
    """All features of a model, in the order in which its pipeline takes them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: tuple[Feature, ...]

    def match_columns(self, header: Sequence[str]) -> ColumnMatch:
        """Return which column of `header` holds which feature, and what is missing, doubled or extra."""
        columns: dict[str, int] = {}
        duplicates: list[str] = []
        extra: list[str] = []
        for index, spelt in enumerate(header):
            feature = self._by_name.get(normalise_name(spelt))
            if feature is None:
                extra.append(spelt)
            elif feature.name in columns:
                duplicates.append(spelt)
            else:
                columns[feature.name] = index
        missing = self._missing_columns(columns, extra)
        return ColumnMatch(columns, missing, tuple(duplicates), tuple(extra))

    def validate_record(self, record: Mapping[str, object]) -> tuple[dict[str, Value], list[Fault]]:
        """Return the values of one record in schema order, and every fault; a feature at fault has no value.

        Keys are compared as headers are; an absent key counts as missing, other keys are ignored.
        """
        given = {normalise_name(key): value for key, value in record.items()}
        extra = [key for key in islice(record, MOST_COMPARED) if normalise_name(key) not in self._by_name]
        values: dict[str, Value] = {}
        faults: list[Fault] = []
        for name, feature in self._by_name.items():
            value = feature.parse_json(given.get(name))
            if isinstance(value, Fault):
                faults.append(value if name in given else feature.missing(closest_header(name, extra)))
            else:
                values[feature.name] = value
        return values, faults

    @cached_property
    def _by_name(self) -> dict[str, Feature]:
        return {normalise_name(feature.name): feature for feature in self.features}

    def _missing_columns(self, found: Mapping[str, int], extra: Sequence[str]) -> tuple[MissingColumn, ...]:
        return tuple(
            MissingColumn(feature.name, closest_header(name, extra))
            for name, feature in self._by_name.items()
            if feature.name not in found
        )


def _digits(value: float) -> str:
    """Return a JSON number as text; a whole number too long for `str` (Python's limit) in short."""
    try:
        return str(value)
    except ValueError:
        return "a very long whole number"


def _words(value: object) -> str:
    """Return a value that is neither text nor number as it stood in JSON, as far as that is cheap."""
    return str(value).lower() if isinstance(value, bool) else type(value).__name__
