"""The quick form of a model, made from its schema: fields, choices, what was typed, and what is wrong with it. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from model.card import Card
from model.schema import Fault, FaultCode, Feature, FeatureKind, Scalar, Value

CLASSIC_MODEL = "income"
CLASSIC_NAMES = {"workclass": "work", "marital_status": "status", "hours_per_week": "hours"}
"""What the classic address calls the features of the income model, where it is not their own name."""

NOT_KNOWN = "Not known"
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
_NOT_IN_IDS = re.compile(r"[^\w-]+")
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
    """One field of the form; ``name`` is that of its parameter, ``value`` what it shows."""

    feature: Feature
    name: str
    value: str
    error: str | None = None

    @property
    def id(self) -> str:
        """The name as the id of an element: without spaces, which lists of ids do not have."""
        return _NOT_IN_IDS.sub("-", self.name)

    @property
    def is_number(self) -> bool:
        """Whether it is typed in, not chosen."""
        return self.feature.kind is FeatureKind.NUMBER

    @property
    def input_type(self) -> str:
        """``number``; ``text`` where a number input would hide what was typed."""
        hidden = self.value and isinstance(self.feature.parse(self.value), Fault) and not _is_plain_number(self.value)
        return "text" if hidden else "number"

    @property
    def limits(self) -> str | None:
        """The range in words, with its unit."""
        return _range_in_words(self.feature)

    @property
    def described_by(self) -> str:
        """Ids of the elements that describe the field."""
        hints = [f"{self.id}-hint"] if self.limits or self.feature.help else []
        return " ".join([*hints, *([f"{self.id}-error"] if self.error else [])])

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
    """What a form says: the validated values (where there are no faults), and the texts as typed, by feature."""

    values: dict[str, Value]
    faults: tuple[Fault, ...]
    typed: dict[str, str]


def read(card: Card, given: Mapping[str, str], names: Mapping[str, str]) -> Reading:
    """Validate a form's parameters. One that the form always sends must be there, if only empty.

    ``names`` gives the parameter of each feature that is not called by its own name.
    """
    typed = {
        feature.name: given[name]
        for feature in card.features
        if (name := names.get(feature.name, feature.name)) in given
    }
    values, faults, _ = card.record_schema.validate_record(typed)
    absent = [feature.missing() for feature in card.features if feature.missing_allowed and feature.name not in typed]
    order = [feature.name for feature in card.features]
    return Reading(values, tuple(sorted((*faults, *absent), key=lambda fault: order.index(str(fault.column)))), typed)


def blank_fields(card: Card, names: Mapping[str, str]) -> list[FormField]:
    """The fields of an untouched form, with the schema's defaults."""
    defaults = {feature.name: text_of(feature.default) for feature in card.features}
    return fields(card, names, defaults)


def fields(
    card: Card, names: Mapping[str, str], texts: Mapping[str, str], faults: Sequence[Fault] = ()
) -> list[FormField]:
    """The fields of a form that shows the given texts, each with what is wrong with it."""
    wrong = {fault.column: fault for fault in faults}
    return [
        FormField(
            feature,
            names.get(feature.name, feature.name),
            texts.get(feature.name, ""),
            message(feature, wrong[feature.name]) if feature.name in wrong else None,
        )
        for feature in card.features
    ]


def message(feature: Feature, fault: Fault) -> str:
    """What is wrong with a field, and what would be right."""
    words = _WRONG.get(fault.code)
    if words is None:
        return _wanted(feature)
    suggestion = feature.labels.get(fault.suggestion or "", fault.suggestion)
    return f"“{fault.value}” {words}. " + (f"Did you mean “{suggestion}”?" if suggestion else _wanted(feature))


def text_of(value: Scalar) -> str:
    """A value as it stands in a field."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else f"{value:.15g}"


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
        return f"Choose one from the list{also}."
    others = {
        FeatureKind.BOOLEAN: "Choose yes or no.",
        FeatureKind.DATE: "Enter a date such as 2024-01-31.",
        FeatureKind.TEXT: "Enter a text.",
    }
    if feature.kind in others:
        return others[feature.kind]
    number = "a whole number" if feature.integer else "a number"
    limits = _range_in_words(feature)
    return f"Enter {number}, {limits}." if limits else f"Enter {number}."


def _range_in_words(feature: Feature) -> str | None:
    low, high = (None if limit is None else f"{limit:,.15g}" for limit in (feature.minimum, feature.maximum))
    unit = f" {feature.unit}" if feature.unit else ""
    if low and high:
        return f"{low} to {high}{unit}"
    if low:
        return f"at least {low}{unit}"
    return f"at most {high}{unit}" if high else None


def _is_plain_number(text: str) -> bool:
    """Whether a number input of a browser would show the text."""
    return _BROWSER_NUMBER.fullmatch(text) is not None
