"""One input of a model, and what a text or a JSON value of it means.

Pure: values in, values out. Imports the standard library and pydantic only, since the web process loads it.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from model.parsing import (
    BOOLEANS,
    DECIMAL_POINT,
    MAX_ECHO,
    MISSING_MARKERS,
    TRUE_FALSE,
    NumberFormat,
    closest_word,
    digits_of,
    is_number,
    parse_date,
    parse_number,
    shown,
)

Value = float | bool | str | None
Scalar = bool | int | float | str | None


DATE_DTYPES = ("datetime64", "timestamp", "date32", "date64")
"""How the names of pandas' dtypes of dates begin."""


class FaultCode(StrEnum):
    """Why a value or a record is rejected; the words are part of the HTTP contract."""

    MISSING = "missing"
    NOT_A_NUMBER = "not_a_number"
    AMBIGUOUS_NUMBER = "ambiguous_number"
    NOT_AN_INTEGER = "not_an_integer"
    OUT_OF_RANGE = "out_of_range"
    UNKNOWN_CATEGORY = "unknown_category"
    NOT_A_BOOLEAN = "not_a_boolean"
    NOT_A_DATE = "not_a_date"
    NOT_A_TEXT = "not_a_text"
    RAGGED = "ragged"
    REPEATED_HEADER = "repeated_header"
    TOTALS_LINE = "totals_line"
    MALFORMED = "malformed"
    OPEN_QUOTE = "open_quote"
    UNDECODABLE = "undecodable"
    SCORING_FAILED = "scoring_failed"


class FeatureKind(StrEnum):
    """The kind of a feature's values."""

    NUMBER = "number"
    CATEGORY = "category"
    BOOLEAN = "boolean"
    DATE = "date"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a value or record; ``value`` is what was given, cut to 100 characters."""

    code: str
    detail: str
    column: str | None = None
    value: str | None = None
    suggestion: str | None = None


class UnseenPolicy(StrEnum):
    """What happens to a value that never occurred in training: out of range, an unknown category, not an integer."""

    REJECT = "reject"
    """The record is rejected."""
    WARN = "warn"
    """The record is scored with the value as it is, with a warning."""
    MISSING = "missing"
    """The record is scored as if the value were missing, with a warning."""


@dataclass(frozen=True, slots=True)
class Warned:
    """A value that is scored although it never occurred in training, and the fault that it would otherwise be."""

    value: Value
    fault: Fault


class Feature(BaseModel):
    """One input of a model: its name, kind, limits or categories, and texts for people.

    ``minimum`` and ``maximum`` are inclusive and in ``unit``; ``categories`` are in their natural order, spelt as the
    pipeline knows them, and ``labels`` holds the text that people read for each. ``default`` prefills a form,
    ``example`` is a typical value. ``unseen`` says what happens to a value that never occurred in training.
    Of a category, ``ignore_case`` and ``ignore_spaces`` say whether another letter case and spaces around it make no
    difference; where unseen values are rejected, they never do.
    ``missing_words`` are the exact texts that mean "no value", where these are not the usual ones. ``pandas_dtype`` is
    the dtype in which the pipeline takes the column, where it is not the usual one of its kind (float64, object,
    datetime64): ``category``, ``category[int64]`` (categories that are whole numbers), ``str``, ``int64``, ``bool``, …
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
    unseen: UnseenPolicy = UnseenPolicy.REJECT
    ignore_case: bool = True
    ignore_spaces: bool = True
    missing_words: tuple[str, ...] = ()
    default: Scalar = None
    example: Scalar = None
    help: str | None = None
    pandas_dtype: str | None = None

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with some fields changed, without what was cached of the former ones."""
        copied = super().model_copy(update=update, deep=deep)
        for name in copied.__dict__.keys() - type(self).model_fields:
            del copied.__dict__[name]
        return copied

    def parse(self, text: str, suggest: bool = True, numbers: NumberFormat = DECIMAL_POINT) -> Value | Fault:
        """Return the value that ``text`` means, or a Fault: as ``read`` does, without warnings."""
        value = self.read(text, suggest, numbers)
        return value.value if isinstance(value, Warned) else value

    def read(self, text: str, suggest: bool = True, numbers: NumberFormat = DECIMAL_POINT) -> Value | Fault | Warned:
        """Return the value that ``text`` means, a Fault where the record is to be rejected, or a value with a warning.

        A value is a float, a category as the schema spells it, a boolean, a date in ISO 8601 (in UTC, without a zone),
        or free text as it came; None for missing. This method alone defines that; what reads whole columns must agree
        with it. Without ``suggest``, it does not look for a similar category, which is slow.
        """
        if text in self._category_names:
            return text
        stripped = text.strip()
        key = self._key(text)
        if key in self._spellings:
            return self._spelt(self._spellings[key], text)
        if self._means_missing(text, stripped.casefold()):
            return self._missing(stripped)
        if self.kind is FeatureKind.TEXT:
            return text
        if (
            self.has_numeric_categories
            and (category := self._by_number.get(parse_number(numbers.plain(stripped)))) is not None
        ):
            return category
        return self._read_as_kind(stripped, text, suggest, numbers)

    def read_json(self, value: object) -> Value | Fault | Warned:
        """Return the value that a JSON value means, as ``read`` does for text; never raises."""
        match value:
            case None:
                return "" if self._takes_empty_texts else self._missing("")
            case str():
                return self.read(value)
            case bool():
                return self._json_boolean(value)
            case int() | float():
                return self._json_number(value)
            case _:
                return self._wrong_type(value)

    def parse_json(self, value: object) -> Value | Fault:
        """Return the value that a JSON value means, or a Fault: as ``read_json`` does, without warnings."""
        read = self.read_json(value)
        return read.value if isinstance(read, Warned) else read

    def missing(self, suggestion: str | None = None, hint: str | None = None) -> Fault:
        """Return the fault of a record without this feature.

        ``suggestion`` is a key of the record that may have been meant; ``hint`` says what to do where that is not it.
        """
        if hint is None:
            hint = f"did you mean {shown(suggestion)!r}?" if suggestion else f"{self._expected} is needed"
        return self._fault(FaultCode.MISSING, f"{self.name} is missing; {hint}", None, suggestion)

    @property
    def limits_reject(self) -> bool:
        """Whether values outside the limits or the categories are rejected."""
        return self.unseen is UnseenPolicy.REJECT

    @property
    def has_numeric_categories(self) -> bool:
        """Whether the categories are numbers to the pipeline."""
        return (self.pandas_dtype or "").startswith(("category[int", "category[float"))

    @property
    def has_dates_as_texts(self) -> bool:
        """Whether the pipeline takes dates as texts, which it reads itself."""
        dtype = self.pandas_dtype
        return self.kind is FeatureKind.DATE and dtype is not None and not dtype.startswith(DATE_DTYPES)

    @cached_property
    def _takes_empty_texts(self) -> bool:
        """Whether an empty text is a value, as where missing ones were filled with it in training."""
        is_text = self.kind is FeatureKind.TEXT and bool(self.missing_words) and "" not in self.missing_words
        return is_text or "" in self.categories

    @cached_property
    def words(self) -> frozenset[str]:
        """Casefolded texts that mean a category or a missing value."""
        missing = {word.casefold() for word in self.missing_words} if self.missing_words else MISSING_MARKERS
        exact = {category.casefold() for category in self.categories}
        return frozenset(missing | exact | {spelling.casefold() for spelling in self._spellings})

    def verdict(self, code: FaultCode) -> str:
        """Return what a fault with this code says after the text that it is about."""
        return {
            FaultCode.NOT_A_NUMBER: " is not a number",
            FaultCode.AMBIGUOUS_NUMBER: " may have a decimal point or a decimal comma; say which as decimal",
            FaultCode.NOT_AN_INTEGER: " is not a whole number",
            FaultCode.OUT_OF_RANGE: f" is outside {self._range}",
            FaultCode.UNKNOWN_CATEGORY: f" is not a category of {self.name}",
        }[code]

    @cached_property
    def _category_names(self) -> frozenset[str]:
        return frozenset(self.categories)

    @cached_property
    def _spellings(self) -> Mapping[str, bool | str]:
        """The values by their keys; without categories that have one in common."""
        if self.kind is FeatureKind.BOOLEAN:
            return BOOLEANS
        keys = [self._key(category) for category in self.categories]
        counts = Counter(keys)
        return {key: category for key, category in zip(keys, self.categories, strict=True) if counts[key] == 1}

    def _key(self, text: str) -> str:
        """Return a text without what makes no difference to which value it means."""
        is_strict = self.kind is FeatureKind.CATEGORY and self.unseen is UnseenPolicy.WARN
        text = text if is_strict and not self.ignore_spaces else text.strip()
        return text if is_strict and not self.ignore_case else text.casefold()

    def _spelt(self, value: bool | str, text: str) -> Value | Warned:
        """Return a value that another spelling means; words for booleans beside true and false with a warning."""
        if isinstance(value, str) or self.unseen is not UnseenPolicy.WARN or text.strip().casefold() in TRUE_FALSE:
            return value
        detail = f"{shown(text)!r} is read as {str(value).lower()}, and was never in training"
        return Warned(value, self._fault(FaultCode.NOT_A_BOOLEAN, detail, text))

    @cached_property
    def _by_number(self) -> Mapping[float | None, str]:
        return {parse_number(category): category for category in self.categories}

    @cached_property
    def _suggestions(self) -> dict[str, str]:
        labels = {label.casefold(): category for category, label in self.labels.items()}
        return labels | {category.casefold(): category for category in self.categories}

    def _means_missing(self, text: str, folded: str) -> bool:
        return text in self.missing_words if self.missing_words else folded in MISSING_MARKERS

    def _read_as_kind(self, text: str, as_given: str, suggest: bool, numbers: NumberFormat) -> Value | Fault | Warned:
        match self.kind:
            case FeatureKind.NUMBER:
                return self._number(text, numbers)
            case FeatureKind.DATE:
                return self._date(text, as_given)
            case FeatureKind.BOOLEAN:
                return self._fault(FaultCode.NOT_A_BOOLEAN, f"{shown(text)!r} is neither true nor false", text)
            case _:
                return self._unseen(self._unknown_category(text, suggest), as_given)

    def _unseen(self, fault: Fault, value: Value) -> Value | Fault | Warned:
        """Return what the policy makes of a value that never occurred in training."""
        if self.unseen is UnseenPolicy.WARN:
            # A pandas column of categories can hold no other value: it is missing there.
            return Warned(None if (self.pandas_dtype or "").startswith("category") else value, fault)
        if self.unseen is UnseenPolicy.MISSING and self.missing_allowed:
            return Warned(None, fault)
        return fault

    @property
    def _range(self) -> str:
        low, high = ("" if limit is None else f"{limit:.15g}" for limit in (self.minimum, self.maximum))
        return f"{low}..{high}"

    @property
    def _expected(self) -> str:
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

    def _number(self, text: str, numbers: NumberFormat) -> Value | Fault | Warned:
        if numbers.is_ambiguous(text):
            detail = f"{shown(text)!r}{self.verdict(FaultCode.AMBIGUOUS_NUMBER)}"
            return self._fault(FaultCode.AMBIGUOUS_NUMBER, detail, text)
        if not is_number(plain := numbers.plain(text)):
            detail = f"{shown(text)!r}{self.verdict(FaultCode.NOT_A_NUMBER)}{numbers.hint(text)}"
            return self._fault(FaultCode.NOT_A_NUMBER, detail, text)
        number = float(plain)
        if not math.isfinite(number):
            return self._fault(FaultCode.NOT_A_NUMBER, f"{shown(text)!r} is not a finite number", text)
        return self._within_limits(number, text)

    def _within_limits(self, number: float, text: str) -> Value | Fault | Warned:
        if self.integer and not number.is_integer():
            return self._unseen(self._verdict_fault(FaultCode.NOT_AN_INTEGER, text), number)
        too_low = self.minimum is not None and number < self.minimum
        too_high = self.maximum is not None and number > self.maximum
        if too_low or too_high:
            return self._unseen(self._verdict_fault(FaultCode.OUT_OF_RANGE, text), number)
        return number

    def _date(self, text: str, as_given: str) -> Value | Fault | Warned:
        date = parse_date(text)
        if date and (text == as_given or self.unseen is not UnseenPolicy.WARN or not self.has_dates_as_texts):
            return text if self.has_dates_as_texts else date
        detail = f"{shown(text)!r} is not a date as ISO 8601 writes it, such as 2024-01-31 or 2024-01-31T09:30:00"
        fault = self._fault(FaultCode.NOT_A_DATE, detail, text)
        return self._unseen(fault, as_given) if self.has_dates_as_texts else fault

    def _verdict_fault(self, code: FaultCode, text: str) -> Fault:
        return self._fault(code, shown(text) + self.verdict(code), text)

    def _unknown_category(self, text: str, suggest: bool) -> Fault:
        suggestion = self._suggest(text) if suggest else None
        hint = f"; did you mean {suggestion!r}?" if suggestion else ""
        detail = f"{shown(text)!r}{self.verdict(FaultCode.UNKNOWN_CATEGORY)}{hint}"
        return self._fault(FaultCode.UNKNOWN_CATEGORY, detail, text, suggestion)

    def _suggest(self, text: str) -> str | None:
        # Comparing takes time quadratic in the length, and no category is longer than what is echoed.
        if len(text) > MAX_ECHO:
            return None
        close = closest_word(text.casefold(), tuple(self._suggestions))
        return self._suggestions[close] if close else None

    def _json_boolean(self, value: bool) -> Value | Fault:
        if self.kind is FeatureKind.BOOLEAN:
            return value
        # A column of the words True and False may have held texts in training.
        words = (str(value), str(value).lower(), str(value).upper())
        return next((self._spellings[word] for word in words if word in self._spellings), self._wrong_type(value))

    def _json_number(self, value: float) -> Value | Fault | Warned:
        if self.kind is not FeatureKind.NUMBER:
            text = digits_of(value)
            # JSON does not distinguish 1 from 1.0.
            whole = text.removesuffix(".0")
            return self.read(whole if text not in self._spellings and whole in self._spellings else text)
        try:
            number = float(value)
        except OverflowError:
            return self._fault(FaultCode.NOT_A_NUMBER, "a whole number of over 308 digits is not a finite number", None)
        text = digits_of(value)
        if text in self.missing_words:
            return self._missing(text)
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
        return self._fault(code, f"{given} is not {wanted}", _type_word(value))


def _type_word(value: object) -> str:
    """Return a JSON value that is neither text nor number, or its type where it is long."""
    return str(value).lower() if isinstance(value, bool) else type(value).__name__
