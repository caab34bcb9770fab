"""What an upload asks for: one model, or two to be compared, a threshold, and how many features to explain."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import pydantic

from jobs.csv.reader import CountMatches, Header
from jobs.errors import Detail, UploadRefused
from model.card import Card
from model.catalog import Catalog
from model.schema import ColumnMatch, Schema, normalise_name
from web.uploads.parameters import UploadForm

_THRESHOLD = pydantic.TypeAdapter(float)
_FLAG = pydantic.TypeAdapter(bool)
_MAX_MODELS = 2
_MAX_NUMBER = 9


@dataclass(frozen=True, slots=True)
class ScoringOptions:
    """The cards of one model or of two to be compared, the threshold of those that have one, how many of the strongest
    features of each row are to be told, and whether its warnings are."""

    cards: tuple[Card, ...]
    threshold: float | None
    explain: int | None
    warnings: bool = False

    @classmethod
    def of(cls, form: UploadForm, catalog: Catalog) -> Self:
        """What the form asks for.

        Raises:
            UnknownModel, BrokenModel: of a model.
            UploadRefused: ``bad_threshold``, ``bad_parameter``.
        """
        cards = parse_models(form.model, catalog, form.version)
        return cls(
            cards,
            parse_threshold(form.threshold, *cards),
            parse_explain(form.explain, cards),
            parse_flag("warnings", form.warnings),
        )

    @property
    def compared(self) -> Card | None:
        """The second of two models."""
        return self.cards[1] if len(self.cards) > 1 else None

    @property
    def added(self) -> int:
        """How many columns the results have more, up to ``error``."""
        return sum(len(card.result_columns) - 1 for card in self.cards) + 1

    @property
    def result_columns(self) -> list[str]:
        """Names of the columns that scoring appends to a file; of two models, each has the model's name after it."""
        told = ["warnings"] if self.warnings else []
        told += [f"explain_{n}_{part}" for n in range(1, (self.explain or 0) + 1) for part in ("feature", "effect")]
        if not self.compared:
            return [*self.cards[0].result_columns, *told]
        labels = model_labels([(card.name, card.version) for card in self.cards])
        pairs = zip(self.cards, labels, strict=True)
        return [*(f"{name}_{label}" for card, label in pairs for name in card.result_columns[:-1]), "error", *told]

    def match_header(self, header: Header) -> ColumnMatch:
        """Which column holds which feature, of all models.

        Raises:
            UploadRefused: ``no_header``, ``missing_columns``, ``duplicate_columns``.
        """
        match = match_columns(self.cards, header.columns)
        if not match.columns and any(_is_number(name) for name in header.columns):
            detail = "the first line holds data; a header row with the columns' names is needed"
            raise UploadRefused("no_header", detail)
        if match.missing:
            raise self._missing_columns(match, header)
        if match.duplicates:
            errors = [
                Detail("duplicate_columns", f"{name!r} is a second column for the same feature", name)
                for name in match.duplicates
            ]
            raise UploadRefused("duplicate_columns", f"columns that stand twice: {', '.join(match.duplicates)}", errors)
        return match

    def _missing_columns(self, match: ColumnMatch, header: Header) -> UploadRefused:
        errors = [
            Detail(
                "missing_columns", f"column {column.name!r} is missing", column.name, did_you_mean=column.did_you_mean
            )
            for column in match.missing
        ]
        names = ", ".join(column.name for column in match.missing)
        hint = "; lines must end in LF or CRLF" if b"\r" in header.raw else ""
        who = " and ".join(repr(card.name) for card in self.cards)
        subject = f"models {who} need" if self.compared else f"model {who} needs"
        return UploadRefused("missing_columns", f"{subject} columns that are missing: {names}{hint}", errors)


def model_labels(models: Sequence[tuple[str, str]]) -> list[str]:
    """What tells (name, version) pairs apart: the names, or, where these are the same, name and version."""
    alike = len({name for name, _ in models}) < len(models)
    return [f"{name}@{version}" if alike else name for name, version in models]


def joint_schema(cards: Sequence[Card]) -> Schema:
    """The features of all the models, each once."""
    if len(cards) == 1:
        return cards[0].record_schema
    features = {normalise_name(feature.name): feature for card in reversed(cards) for feature in card.features[::-1]}
    return Schema(features=tuple(reversed(features.values())))


def count_matches(cards: Sequence[Card]) -> CountMatches:
    """What tells how many of the models' columns a header holds, and how many there are."""
    schema = joint_schema(cards)
    return lambda names: (len(schema.match_columns(names).columns), len(schema.features))


def match_columns(cards: Sequence[Card], columns: Sequence[str]) -> ColumnMatch:
    """Which of the columns holds which feature of any of the models, and what is missing, doubled or extra."""
    match = joint_schema(cards).match_columns(columns)
    own = (card.record_schema.match_columns(columns).columns for card in cards[1:])
    return replace(match, columns=match.columns | {name: at for found in own for name, at in found.items()})


def parse_models(text: str | None, catalog: Catalog, version: str | None = None) -> tuple[Card, ...]:
    """The cards of the models that a request names: none (the default one), one, or two with a comma between; a name
    may have ``@`` and a version after it. ``version`` is that of the one model, where it is said beside its name.

    Raises:
        UnknownModel, BrokenModel: of a model.
        UploadRefused: ``bad_parameter``.
    """
    names = (text or "").split(",")
    if len(names) > 1 and not all(name.strip() for name in names):
        raise UploadRefused("bad_parameter", "between commas, a model's name is missing")
    if len(names) > _MAX_MODELS:
        raise UploadRefused("bad_parameter", f"at most {_MAX_MODELS} models are compared, not {len(names)}")
    if version and (len(names) > 1 or "@" in names[0]):
        raise UploadRefused("bad_parameter", "say a version once: after a name's @, or beside the name of one model")
    cards = tuple(_card(name.strip(), catalog, version) for name in names)
    if len({(card.name, card.version) for card in cards}) < len(cards):
        raise UploadRefused("bad_parameter", f"model {cards[0].name!r} is not compared with itself; name another one")
    return cards


def parse_model(text: str | None, catalog: Catalog, version: str | None = None) -> Card:
    """The card of the one model that a request names, as ``parse_models`` reads it.

    Raises:
        UnknownModel, BrokenModel: of the model.
        UploadRefused: ``bad_parameter``.
    """
    card, *others = parse_models(text, catalog, version)
    if others:
        raise UploadRefused("bad_parameter", "a prediction is made by one model; two are compared on a file")
    return card


def _card(text: str, catalog: Catalog, version: str | None) -> Card:
    name, _, own = text.partition("@")
    return catalog.usable_card(name or None, own or version)


def parse_threshold(text: str | None, *cards: Card) -> float | None:
    """The threshold of a request, or the models' own; None where there is none, or each of two has another.

    Raises:
        UploadRefused: ``bad_threshold``.
    """
    own = {card.threshold for card in cards if card.decides_by_threshold}
    if not text:
        return own.pop() if len(own) == 1 else None
    if not own:
        who = " and ".join(repr(card.name) for card in cards)
        raise UploadRefused("bad_threshold", f"model {who} decides without a threshold; leave it out")
    try:
        threshold = _THRESHOLD.validate_python(text)
    except pydantic.ValidationError:
        threshold = -1.0
    if not 0.0 <= threshold <= 1.0:
        raise UploadRefused("bad_threshold", f"threshold {text[:40]!r} is not a number in 0..1")
    return abs(threshold)


def parse_flag(name: str, text: str | None) -> bool:
    """Whether a parameter says yes.

    Raises:
        UploadRefused: ``bad_parameter``.
    """
    try:
        return bool(text) and _FLAG.validate_python(text)
    except pydantic.ValidationError as error:
        detail = f"{name}: {text[:40] if text else ''!r} is neither true nor false"
        raise UploadRefused("bad_parameter", detail, [Detail("bad_parameter", detail, name)]) from error


def parse_explain(text: str | None, cards: Iterable[Card]) -> int | None:
    """How many features of each row are to be explained; None for none.

    Raises:
        UploadRefused: ``bad_parameter``, for a number that is not in 1..features, or models that are not explained.
    """
    if not text:
        return None
    card, *others = cards
    if others:
        raise _bad_explain("predictions are explained of one model at a time; leave it out to compare two")
    if not card.is_explained:
        why = card.obstacle_to_explanation
        raise _bad_explain(f"model {card.name!r} cannot explain its predictions: {why}; leave it out")
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < _MAX_NUMBER else 0
    if not 1 <= number <= len(card.features):
        raise _bad_explain(f"{text[:40]!r} is not a whole number in 1..{len(card.features)}, the number of features")
    return number


def _bad_explain(detail: str) -> UploadRefused:
    return UploadRefused("bad_parameter", f"explain: {detail}", [Detail("bad_parameter", detail, "explain")])


def _is_number(text: str) -> bool:
    return text.strip().replace(".", "", 1).isdecimal()
