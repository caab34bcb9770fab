"""The quick form of a model, made from its schema: fields, choices, what was typed, and what is wrong with it. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote_plus, urlencode

from model.card import Card
from model.schema import Fault, FaultCode, Feature, FeatureKind, Scalar, Value
from web.pages.formatting import warning_words

CLASSIC_MODEL = "income"
CLASSIC_NAMES = {"workclass": "work", "marital_status": "status", "hours_per_week": "hours"}
"""What the classic address calls the features of the income model, where it is not their own name."""

NOT_KNOWN = "Not known"
MAX_ADDRESS = 3_900
"""Bytes of an address that still fit into a request's first line, for which servers allow 4 KiB."""
_CHOOSE = "Choose one"
_YES_AND_NO = {"true": "Yes", "false": "No"}
_WRONG: dict[str, str] = {
    FaultCode.NOT_A_NUMBER: "is not a number",
    FaultCode.NOT_AN_INTEGER: "is not a whole number",
    FaultCode.OUT_OF_RANGE: "is out of range",
    FaultCode.UNKNOWN_CATEGORY: "is not one of the choices",
    FaultCode.NOT_A_BOOLEAN: "is neither yes nor no",
    FaultCode.NOT_A_DATE: "is not a date",
}
# So many categories are named in a hint; of more, only how many there are is said.
_MAX_NAMED = 8
# What people type into fields that have no list of choices, in bytes of an address.
_TYPICAL_BYTES = 30
# What HTML calls a valid floating-point number.
_BROWSER_NUMBER = re.compile(r"-?(\d+(\.\d+)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Choice:
    """An option of a select."""

    value: str
    label: str
    selected: bool


@dataclass(frozen=True, slots=True)
class FormField:
    """One field of the form, ``place`` from 1; ``name`` is that of its parameter, ``value`` what it shows."""

    feature: Feature
    place: int
    name: str
    value: str
    error: str | None = None
    warning: str | None = None

    @property
    def id(self) -> str:
        """Id of its element: by its place, since names may be alike but for signs that ids do not have."""
        return f"field-{self.place}"

    @property
    def control(self) -> str:
        """What it is filled in with: ``number``, ``text`` (one line), ``lines``, ``select`` or ``list``.

        A number is typed as text where the browser would hide what was typed, or refuse what the feature takes. With a
        list, a value may also be typed that is none of the choices.
        """
        match self.feature.kind:
            case FeatureKind.NUMBER:
                return "number" if self._browser_knows_limits and not self._would_be_hidden else "text"
            case FeatureKind.TEXT:
                return "lines"
            case FeatureKind.DATE:
                return "text"
            case FeatureKind.CATEGORY if not self.feature.limits_reject:
                return "list"
            case _:
                return "select"

    @property
    def is_number(self) -> bool:
        """Whether it takes a number."""
        return self.feature.kind is FeatureKind.NUMBER

    @property
    def input_mode(self) -> str | None:
        """The keys that a phone shows; those for numbers have no minus sign on all phones."""
        feature = self.feature
        if feature.kind is FeatureKind.DATE:
            return "numeric"
        if not self.is_number or feature.minimum is None or feature.minimum < 0 or not feature.limits_reject:
            return None
        return "numeric" if feature.integer else "decimal"

    @property
    def placeholder(self) -> str | None:
        """What an empty field shows."""
        if self.feature.kind is FeatureKind.DATE:
            return "2024-01-31"
        return NOT_KNOWN if self.feature.missing_allowed else None

    @property
    def limits(self) -> str | None:
        """The range or the categories in words; where others are taken too, as what occurred in training."""
        if self.feature.limits_reject:
            return _range_in_words(self.feature)
        known = _range_in_words(self.feature) if self.is_number else _categories_in_words(self.feature)
        return f"In training: {known}" if known else None

    @property
    def described_by(self) -> str:
        """Ids of the elements that describe the field."""
        parts = {
            "hint": self.limits or self.feature.help,
            "error": self.error,
            "warning": self.warning,
        }
        return " ".join(f"{self.id}-{part}" for part, text in parts.items() if text)

    @property
    def _browser_knows_limits(self) -> bool:
        feature = self.feature
        is_limited = feature.integer or feature.minimum is not None or feature.maximum is not None
        return is_limited and feature.limits_reject

    @property
    def _would_be_hidden(self) -> bool:
        return bool(self.value) and _BROWSER_NUMBER.fullmatch(self.value) is None

    @property
    def choices(self) -> list[Choice]:
        """The options: the schema's, before them one for no value and one for a typed value that is none of them."""
        parsed = self.feature.parse(self.value)
        found = [Choice(value, label, self.feature.parse(value) == parsed) for value, label in self._options.items()]
        empty = not self.value.strip() or parsed is None
        if isinstance(parsed, Fault) and not empty:
            found.insert(0, Choice(self.value, f"{self.value} (not one of the choices)", selected=True))
        if self.feature.missing_allowed:
            found.insert(0, Choice("", NOT_KNOWN, empty))
        elif empty:
            found.insert(0, Choice("", _CHOOSE, selected=True))
        return found

    @property
    def _options(self) -> dict[str, str]:
        if self.feature.kind is FeatureKind.BOOLEAN:
            return _YES_AND_NO
        return {name: self.feature.labels.get(name, name) for name in self.feature.categories}


@dataclass(frozen=True, slots=True)
class Reading:
    """What a form says: the validated values (where there are no faults), and the texts as typed, by feature.

    ``warnings`` tell of values that are scored although they never occurred in training.
    """

    values: dict[str, Value]
    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...]
    typed: dict[str, str]


def read(card: Card, given: Mapping[str, str], names: Mapping[str, str]) -> Reading:
    """Validate a form's parameters. One that the form always sends must be there, if only empty.

    ``names`` gives the parameter of each feature that is not called by its own name.
    """
    given = {_with_line_feeds(name): text for name, text in given.items()}
    typed = {
        feature.name: _with_line_feeds(given[name]) if feature.kind is FeatureKind.TEXT else given[name]
        for feature in card.features
        if (name := _with_line_feeds(names.get(feature.name, feature.name))) in given
    }
    values, faults, warnings = card.record_schema.validate_record(typed)
    absent = [feature.missing() for feature in card.features if feature.missing_allowed and feature.name not in typed]
    places = {feature.name: place for place, feature in enumerate(card.features)}
    faults = sorted((*faults, *absent), key=lambda fault: places[str(fault.column)])
    return Reading(values, tuple(faults), tuple(warnings), typed)


def _with_line_feeds(text: str) -> str:
    """A text as it was typed: browsers send each of its line ends as two characters."""
    return text.replace("\r\n", "\n")


def blank_fields(card: Card, names: Mapping[str, str]) -> list[FormField]:
    """The fields of an untouched form, with the schema's defaults."""
    defaults = {feature.name: text_of(feature.default) for feature in card.features}
    return fields(card, names, defaults)


def fields(
    card: Card,
    names: Mapping[str, str],
    texts: Mapping[str, str],
    faults: Sequence[Fault] = (),
    warnings: Sequence[Fault] = (),
) -> list[FormField]:
    """The fields of a form that shows the given texts, each with what is wrong with it or unusual about it."""
    wrong = {fault.column: fault for fault in faults}
    unusual = {warning.column: warning for warning in warnings}
    return [
        FormField(
            feature,
            place,
            names.get(feature.name, feature.name),
            texts.get(feature.name, ""),
            message(feature, wrong[feature.name]) if feature.name in wrong else None,
            notice(feature, unusual[feature.name]) if feature.name in unusual else None,
        )
        for place, feature in enumerate(card.features, 1)
    ]


def method(card: Card, names: Mapping[str, str]) -> str:
    """``get`` where every record's address is short enough for a link, else ``post``."""
    names_bytes = sum(len(quote_plus(names.get(feature.name, feature.name))) + 2 for feature in card.features)
    longest = names_bytes + sum(_longest_value(feature) for feature in card.features)
    return "get" if longest <= MAX_ADDRESS else "post"


def link(action: str, shown: Sequence[FormField]) -> str | None:
    """The address of the form with its values; None where it would be too long for one."""
    address = f"{action}?{urlencode({field.name: field.value for field in shown})}"
    return address if len(address) <= MAX_ADDRESS else None


def _longest_value(feature: Feature) -> int:
    if feature.kind is FeatureKind.TEXT:
        return MAX_ADDRESS
    return max((len(quote_plus(category)) for category in feature.categories), default=_TYPICAL_BYTES)


def message(feature: Feature, fault: Fault) -> str:
    """What is wrong with a field, and what would be right."""
    words = _WRONG.get(fault.code)
    if words is None:
        return _wanted(feature)
    suggestion = feature.labels.get(fault.suggestion or "", fault.suggestion)
    return f"“{fault.value}” {words}. " + (f"Did you mean “{suggestion}”?" if suggestion else _wanted(feature))


def notice(feature: Feature, warning: Fault) -> str:
    """What is said of a value that never occurred in training: what it is, and what becomes of it."""
    is_missing = feature.parse(warning.value or "", suggest=False) is None
    then = "It is taken as not known." if is_missing else "It is scored all the same."
    return f"“{warning.value}” {warning_words(warning.code)}. {then}"


def text_of(value: Scalar) -> str:
    """A value as it stands in a field."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    short = f"{value:.15g}"
    return short if float(short) == value else repr(value)


def value_in_words(feature: Feature, value: Scalar) -> str:
    """A value as people read it: the label of a category, a number with its unit."""
    if value is None:
        return NOT_KNOWN
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, str):
        return feature.labels.get(value, value)
    return " ".join(filter(None, (text_of(value), feature.unit)))


def _wanted(feature: Feature) -> str:
    if feature.kind is FeatureKind.CATEGORY:
        also = f", or “{NOT_KNOWN}”" if feature.missing_allowed else ""
        return f"Choose one from the list{also}." if feature.limits_reject else "Choose or enter one."
    others = {
        FeatureKind.BOOLEAN: "Choose yes or no.",
        FeatureKind.DATE: "Enter a date such as 2024-01-31.",
        FeatureKind.TEXT: "Enter a text.",
    }
    if feature.kind in others:
        return others[feature.kind]
    number = "a whole number" if feature.integer and feature.limits_reject else "a number"
    limits = _range_in_words(feature) if feature.limits_reject else None
    return f"Enter {number}, {limits}." if limits else f"Enter {number}."


def _range_in_words(feature: Feature) -> str | None:
    low, high = (None if limit is None else f"{limit:,.15g}" for limit in (feature.minimum, feature.maximum))
    unit = f" {feature.unit}" if feature.unit else ""
    if low and high:
        return f"{low} to {high}{unit}"
    if low:
        return f"at least {low}{unit}"
    return f"at most {high}{unit}" if high else None


def _categories_in_words(feature: Feature) -> str | None:
    names = [feature.labels.get(name, name) for name in feature.categories]
    return ", ".join(names) if len(names) <= _MAX_NAMED else f"{len(names):,} values"
