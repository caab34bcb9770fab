"""The form for a single prediction, made from a model's schema: fields, choices, typed values and errors. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote_plus, urlencode

from model.card import Card
from model.schema import Fault, Feature, FeatureKind, Scalar, Value
from web.pages.error_texts import describe_fault, describe_range, describe_warning
from web.pages.formatting import format_number

CLASSIC_MODEL = "income"
CLASSIC_NAMES = {"workclass": "work", "marital_status": "status", "hours_per_week": "hours"}
"""Parameter names of ``/probability`` that differ from the names of the income model's features."""

NOT_KNOWN = "Not known"
MAX_ADDRESS_BYTES = 3_900
"""The longest address that fits into a request line, for which servers allow 4 KiB."""
_CHOOSE = "Choose one"
_YES_AND_NO = {"true": "Yes", "false": "No"}
# A hint lists at most so many categories, else only their number.
_MAX_LISTED = 8
# The estimated length of a value that is typed, not chosen, in an address.
_TYPICAL_BYTES = 30
# HTML's definition of a valid floating-point number.
_BROWSER_NUMBER = re.compile(r"-?(\d+(\.\d+)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Choice:
    """An option of a select."""

    value: str
    label: str
    selected: bool


@dataclass(frozen=True, slots=True)
class FormField:
    """A field of the form: its ``number`` from 1, the ``name`` of its parameter and the ``value`` it shows."""

    feature: Feature
    number: int
    name: str
    value: str
    error: str | None = None
    warning: str | None = None

    @property
    def id(self) -> str:
        """The id of its element, made of its number: names may differ only in characters that ids cannot have."""
        return f"field-{self.number}"

    @property
    def control(self) -> str:
        """The control to use: ``number``, ``text`` (one line), ``lines``, ``select`` or ``list`` (choose or type).

        A number gets a text control if a number control would hide the typed value or refuse a valid one.
        """
        match self.feature.kind:
            case FeatureKind.NUMBER:
                return "number" if self._has_strict_limits and not self._is_hidden_by_browser else "text"
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
        """Whether the feature is a number."""
        return self.feature.kind is FeatureKind.NUMBER

    @property
    def input_mode(self) -> str | None:
        """The ``inputmode``; none for numbers that may be negative, as number pads of some phones lack a minus sign."""
        feature = self.feature
        if feature.kind is FeatureKind.DATE:
            return "numeric"
        if not self.is_number or feature.minimum is None or feature.minimum < 0 or not feature.limits_reject:
            return None
        return "numeric" if feature.integer else "decimal"

    @property
    def placeholder(self) -> str | None:
        """The placeholder of an empty field."""
        if self.feature.kind is FeatureKind.DATE:
            return "2024-01-31"
        return NOT_KNOWN if self.feature.missing_allowed else None

    @property
    def limits(self) -> str | None:
        """The allowed range, or, where other values are accepted too, the range or categories seen in training."""
        if self.feature.limits_reject:
            return describe_range(self.feature)
        seen = describe_range(self.feature) if self.is_number else _list_categories(self.feature)
        return f"In training: {seen}" if seen else None

    @property
    def described_by(self) -> str:
        """The ids of the elements that describe the field, for ``aria-describedby``."""
        parts = {
            "hint": self.limits or self.feature.help,
            "error": self.error,
            "warning": self.warning,
        }
        return " ".join(f"{self.id}-{part}" for part, text in parts.items() if text)

    @property
    def _has_strict_limits(self) -> bool:
        feature = self.feature
        is_limited = feature.integer or feature.minimum is not None or feature.maximum is not None
        return is_limited and feature.limits_reject

    @property
    def _is_hidden_by_browser(self) -> bool:
        return bool(self.value) and _BROWSER_NUMBER.fullmatch(self.value) is None

    @property
    def choices(self) -> list[Choice]:
        """The options of the schema, preceded by one for no value and one for an invalid typed value."""
        parsed = self.feature.parse(self.value)
        choices = [Choice(value, label, self.feature.parse(value) == parsed) for value, label in self._options.items()]
        is_empty = not self.value.strip() or parsed is None
        if isinstance(parsed, Fault) and not is_empty:
            choices.insert(0, Choice(self.value, f"{self.value} (not a valid value)", selected=True))
        if self.feature.missing_allowed:
            choices.insert(0, Choice("", NOT_KNOWN, is_empty))
        elif is_empty:
            choices.insert(0, Choice("", _CHOOSE, selected=True))
        return choices

    @property
    def _options(self) -> dict[str, str]:
        if self.feature.kind is FeatureKind.BOOLEAN:
            return _YES_AND_NO
        return {name: self.feature.labels.get(name, name) for name in self.feature.categories}


@dataclass(frozen=True, slots=True)
class ParsedForm:
    """The validated values of a form, if there are no faults, and the texts as typed, by feature.

    ``warnings`` are about values that are scored although they never occurred in training.
    """

    values: dict[str, Value]
    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...]
    typed: dict[str, str]


def parse_form(card: Card, parameters: Mapping[str, str], names: Mapping[str, str]) -> ParsedForm:
    """Validate the parameters of a form; each must be present, if only empty.

    ``names`` maps features to the names of their parameters, where these differ.
    """
    parameters = {_normalize_line_ends(name): text for name, text in parameters.items()}
    typed = {
        feature.name: _normalize_line_ends(parameters[name]) if feature.kind is FeatureKind.TEXT else parameters[name]
        for feature in card.features
        if (name := _normalize_line_ends(names.get(feature.name, feature.name))) in parameters
    }
    values, faults, warnings = card.record_schema.validate_record(typed)
    absent = [feature.missing() for feature in card.features if feature.missing_allowed and feature.name not in typed]
    order = {feature.name: index for index, feature in enumerate(card.features)}
    faults = sorted((*faults, *absent), key=lambda fault: order[str(fault.column)])
    return ParsedForm(values, tuple(faults), tuple(warnings), typed)


def _normalize_line_ends(text: str) -> str:
    """Undo the browser's encoding of line ends as CR LF."""
    return text.replace("\r\n", "\n")


def blank_fields(card: Card, names: Mapping[str, str]) -> list[FormField]:
    """Return the fields with the defaults of the schema."""
    defaults = {feature.name: field_text(feature.default) for feature in card.features}
    return fields(card, names, defaults)


def fields(
    card: Card,
    names: Mapping[str, str],
    texts: Mapping[str, str],
    faults: Sequence[Fault] = (),
    warnings: Sequence[Fault] = (),
) -> list[FormField]:
    """Return the fields with the given texts, each with its error or warning."""
    fault_of = {fault.column: fault for fault in faults}
    warning_of = {warning.column: warning for warning in warnings}
    return [
        FormField(
            feature,
            number,
            names.get(feature.name, feature.name),
            texts.get(feature.name, ""),
            describe_fault(feature, fault_of[feature.name]) if feature.name in fault_of else None,
            describe_warning(feature, warning_of[feature.name]) if feature.name in warning_of else None,
        )
        for number, feature in enumerate(card.features, 1)
    ]


def method(card: Card, names: Mapping[str, str]) -> str:
    """Return ``get`` if the address of any record is short enough for a link, else ``post``."""
    names_bytes = sum(len(quote_plus(names.get(feature.name, feature.name))) + 2 for feature in card.features)
    longest = names_bytes + sum(_longest_value(feature) for feature in card.features)
    return "get" if longest <= MAX_ADDRESS_BYTES else "post"


def link(action: str, filled: Sequence[FormField]) -> str | None:
    """Return the address of the form with its values, or None if it is too long."""
    address = f"{action}?{urlencode({field.name: field.value for field in filled})}"
    return address if len(address) <= MAX_ADDRESS_BYTES else None


def _longest_value(feature: Feature) -> int:
    if feature.kind is FeatureKind.TEXT:
        return MAX_ADDRESS_BYTES
    return max((len(quote_plus(category)) for category in feature.categories), default=_TYPICAL_BYTES)


def field_text(value: Scalar) -> str:
    """Return the text of a field that holds a value."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    short = f"{value:.15g}"
    return short if float(short) == value else repr(value)


def format_value(feature: Feature, value: Scalar) -> str:
    """Format a value for people: the label of a category, a number with its unit."""
    if value is None:
        return NOT_KNOWN
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, str):
        return feature.labels.get(value, value)
    return " ".join(filter(None, (field_text(value), feature.unit)))


def _list_categories(feature: Feature) -> str | None:
    names = [feature.labels.get(name, name) for name in feature.categories]
    return ", ".join(names) if len(names) <= _MAX_LISTED else f"{format_number(len(names))} values"
