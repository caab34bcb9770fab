"""Options of an upload, validated against its models: models to score with, threshold, explanations, warnings."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import pydantic

from jobs.csv.header_refusals import duplicate_columns, missing_columns, no_header
from jobs.csv.reader import CountMatches, Header
from jobs.errors import Detail, UploadRefused
from jobs.state import Visibility
from model.card import Card, ModelKind
from model.catalog import Catalog
from model.joint_schema import joint_schema, match_columns
from model.schema import ColumnMatch
from web.uploads.parameters import UploadForm

_THRESHOLD = pydantic.TypeAdapter(float)
_FLAG = pydantic.TypeAdapter(bool)
_MAX_MODELS = 2
_MAX_DIGITS = 9


@dataclass(frozen=True, slots=True)
class ScoringOptions:
    """The cards of one model, or of two to compare, and how to score with them.

    ``explain`` is the number of features to explain per row; ``warnings`` asks for a column of warnings.
    """

    cards: tuple[Card, ...]
    threshold: float | None
    explain: int | None
    warnings: bool = False
    visibility: Visibility = Visibility.PRIVATE

    @classmethod
    def of(cls, form: UploadForm, catalog: Catalog) -> Self:
        """Return the options in the form.

        Raises:
            UnknownModel, BrokenModel: a model does not exist or cannot be used.
            UploadRefused: ``bad_threshold``, ``bad_parameter``.
        """
        cards = parse_models(form.model, catalog, form.version)
        return cls(
            cards,
            parse_threshold(form.threshold, *cards),
            parse_explain(form.explain, cards),
            parse_flag("warnings", form.warnings),
            parse_visibility(form.visibility),
        )

    @property
    def compared(self) -> Card | None:
        """The second of two models; None if there is one."""
        return self.cards[1] if len(self.cards) > 1 else None

    @property
    def added(self) -> int:
        """Number of result columns up to and including ``error``."""
        # One column of errors for all models.
        return sum(len(card.result_columns) - 1 for card in self.cards) + 1

    @property
    def result_columns(self) -> list[str]:
        """Names of the columns appended to a file; with two models, each is suffixed with the model's name."""
        extra = ["warnings"] if self.warnings else []
        extra += [f"explain_{n}_{part}" for n in range(1, (self.explain or 0) + 1) for part in ("feature", "effect")]
        if not self.compared:
            return [*self.cards[0].result_columns, *extra]
        labels = model_labels([(card.name, card.version) for card in self.cards])
        pairs = zip(self.cards, labels, strict=True)
        return [*(f"{name}_{label}" for card, label in pairs for name in card.result_columns[:-1]), "error", *extra]

    @property
    def added_columns(self) -> tuple[tuple[str, bool], ...]:
        """The result columns, each with whether it holds numbers."""
        numbers = [number for card in self.cards for number in _are_numbers(card)]
        numbers += [False, *([False] if self.warnings else []), *[False, True] * (self.explain or 0)]
        return tuple(zip(self.result_columns, numbers, strict=True))

    def match_header(self, header: Header, where: str = "", sheets: str = "") -> ColumnMatch:
        """Map the features of all models to columns.

        ``where`` says in refusals what was taken as the header, ``sheets`` which sheets there are (``sheets_hint``).

        Raises:
            UploadRefused: ``no_header``, ``missing_columns``, ``duplicate_columns``.
        """
        match = match_columns(self.cards, header.columns)
        # Not one known name: the first line may be a row, and the header missing.
        if not match.columns and (refusal := no_header(header.columns, where)):
            raise refusal
        if match.missing:
            hint = "; some lines end in CR alone" if b"\r" in header.raw else ""
            if header.is_broken:
                hint += '; the header lacks a quote (") or has one too many'
            missing = [(column.name, column.did_you_mean) for column in match.missing]
            hint += f"; {where}" if where else ""
            hint += sheets
            raise missing_columns(missing, [card.name for card in self.cards], hint)
        if match.duplicates:
            raise duplicate_columns(match.duplicates)
        return match


def _are_numbers(card: Card) -> list[bool]:
    """Return whether each prediction column and each score column of a model holds numbers."""
    regressors = (ModelKind.REGRESSOR, ModelKind.MULTIOUTPUT_REGRESSOR)
    return [card.kind in regressors] * len(card.prediction_columns) + [True] * len(card.score_columns)


def model_labels(models: Sequence[tuple[str, str]]) -> list[str]:
    """Return labels of (name, version) pairs: the names or, if these are equal, names with versions."""
    same_name = len({name for name, _ in models}) < len(models)
    return [f"{name}@{version}" if same_name else name for name, version in models]


def count_matches(cards: Sequence[Card]) -> CountMatches:
    """Return a function that counts the models' columns in a header (see ``CountMatches``)."""
    schema = joint_schema(cards)
    return lambda names: (schema.count_columns(names), len(schema.features))


def parse_models(text: str | None, catalog: Catalog, version: str | None = None) -> tuple[Card, ...]:
    """Return the cards of the models named in a request: none (the default model), one, or two separated by a comma.

    A name may be followed by ``@`` and a version. ``version`` is an alternative for a single model.

    Raises:
        UnknownModel, BrokenModel: a model does not exist or cannot be used.
        UploadRefused: ``bad_parameter``.
    """
    names = (text or "").split(",")
    if len(names) > 1 and not all(name.strip() for name in names):
        raise UploadRefused("bad_parameter", "a model name is missing next to a comma")
    if len(names) > _MAX_MODELS:
        raise UploadRefused("bad_parameter", f"at most {_MAX_MODELS} models are compared, not {len(names)}")
    if version and (len(names) > 1 or "@" in names[0]):
        raise UploadRefused(
            "bad_parameter", "give the version once: after the name and @, or as the parameter version of one model"
        )
    cards = tuple(_card(name.strip(), catalog, version) for name in names)
    if len({(card.name, card.version) for card in cards}) < len(cards):
        raise UploadRefused("bad_parameter", f"model {cards[0].name!r} is not compared with itself; name another one")
    return cards


def parse_model(text: str | None, catalog: Catalog, version: str | None = None) -> Card:
    """Return the card of the only model named in a request; see ``parse_models``.

    Raises:
        UnknownModel, BrokenModel: the model does not exist or cannot be used.
        UploadRefused: ``bad_parameter``.
    """
    card, *others = parse_models(text, catalog, version)
    if others:
        raise UploadRefused("bad_parameter", "predictions take one model; only files can be compared with two")
    return card


def _card(text: str, catalog: Catalog, version: str | None) -> Card:
    name, _, own = text.partition("@")
    return catalog.usable_card(name or None, own or version)


def parse_threshold(text: str | None, *cards: Card) -> float | None:
    """Return the requested threshold, or the models' own; None if they have none, or two different ones.

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
        # Refused below, like a number out of range.
        threshold = -1.0
    if not 0.0 <= threshold <= 1.0:
        raise UploadRefused("bad_threshold", f"threshold {text[:40]!r} is not a number in 0..1")
    # -0.0 counts as 0.
    return abs(threshold)


def parse_visibility(text: str | None) -> Visibility:
    """Return who sees the job besides its owner; raise ``UploadRefused``."""
    try:
        return Visibility(text or Visibility.PRIVATE)
    except ValueError:
        choices = " or ".join(Visibility)
        raise UploadRefused("bad_parameter", f"visibility {text!r} is not {choices}") from None


def parse_flag(name: str, text: str | None) -> bool:
    """Parse a boolean parameter.

    Raises:
        UploadRefused: ``bad_parameter``.
    """
    try:
        return bool(text) and _FLAG.validate_python(text)
    except pydantic.ValidationError as error:
        detail = f"{name}: {text[:40] if text else ''!r} is neither true nor false"
        raise UploadRefused("bad_parameter", detail, [Detail("bad_parameter", detail, name)]) from error


def parse_explain(text: str | None, cards: Iterable[Card]) -> int | None:
    """Parse the number of features to explain per row; None if there is none.

    Raises:
        UploadRefused: ``bad_parameter``, if it is not in 1..features or the models cannot be explained.
    """
    if not text:
        return None
    card, *others = cards
    if others:
        raise _bad_explain("only one model can be explained; leave it out to compare two")
    if not card.is_explained:
        why = card.obstacle_to_explanation
        raise _bad_explain(f"model {card.name!r} cannot explain its predictions: {why}; leave it out")
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < _MAX_DIGITS else 0
    if not 1 <= number <= len(card.features):
        raise _bad_explain(f"{text[:40]!r} is not a whole number in 1..{len(card.features)}, the number of features")
    return number


def _bad_explain(detail: str) -> UploadRefused:
    return UploadRefused("bad_parameter", f"explain: {detail}", [Detail("bad_parameter", detail, "explain")])
