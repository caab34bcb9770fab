"""A prediction in plain words: the probability, the decision, and what pushed it up or down. Pure."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from model.card import Card, ModelKind
from web.page_forms import text_of, value_in_words
from web.page_words import grouped_digits, percent, signed

_BAR_WIDTH = 100.0
_LARGEST_LOGARITHM = 700.0
# Log-odds, or shares of the strongest push, from which on a push is called by the word.
_STRENGTHS = ((1.0, "{} it strongly"), (0.35, "{} it"), (0.05, "{} it a little"))


@dataclass(frozen=True, slots=True)
class _Unit:
    """How effects in one unit are shown: the title of their column, what they push, where the average record stands."""

    title: str
    pushed: str
    average: Callable[[float], str]
    as_factors: bool = False


@dataclass(frozen=True, slots=True)
class Push:
    """What one feature did to the answer; ``bar`` is its share of the strongest push, from -100 to 100."""

    title: str
    value: str
    words: str
    effect: str
    bar: float

    @property
    def raises(self) -> bool:
        """Whether it made the answer larger."""
        return self.bar > 0


@dataclass(frozen=True, slots=True)
class Share:
    """The probability of one class, in 0..1, or its decision value."""

    name: str
    score: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """A prediction as the page shows it.

    `figure` is shown large, and `unit` beside it; `probability` and `threshold` are those of a binary classifier,
    `shares` the scores of all classes where there are more, the highest first. `pushes` are the strongest first, none
    for models without explanation; `average` is where the average record stands, `pushed` what they push, and
    `effects_title` says how effects are shown.
    """

    figure: str
    unit: str
    prediction: str
    positive: bool
    probability: float | None
    threshold: float | None
    shares: list[Share]
    average: str | None
    effects_title: str
    pushed: str
    pushes: list[Push]

    @property
    def short(self) -> str:
        """The answer in a few words."""
        shown = " ".join(filter(None, (self.figure, self.unit)))
        return shown if self.probability is None else f"{shown}, {self.prediction}"


def outcome(card: Card, prediction: Mapping[str, Any]) -> Outcome:
    """The prediction of one record as the page shows it; ``prediction`` is the document of the API."""
    probability = prediction.get("probability")
    answer = prediction["prediction"]
    shown = grouped_digits(answer) if card.kind is ModelKind.REGRESSOR else answer
    scores = prediction.get("probabilities") or prediction.get("decisions") or {}
    unit = _unit_of(prediction)
    return Outcome(
        figure=shown if probability is None else percent(probability, 2),
        unit="" if probability is None else "probability",
        prediction=shown,
        positive=answer == card.positive_class,
        probability=probability,
        threshold=prediction.get("threshold"),
        shares=sorted((Share(name, score) for name, score in scores.items()), key=lambda share: -share.score),
        average=None if prediction.get("baseline") is None else unit.average(prediction["baseline"]),
        effects_title=unit.title,
        pushed=unit.pushed,
        pushes=_pushes(card, prediction),
    )


def texts(prediction: Mapping[str, Any]) -> dict[str, str]:
    """The values of an explained prediction as the form's fields show them; none for one without explanation."""
    return {part["feature"]: text_of(part["value"]) for part in prediction.get("contributions") or ()}


def _pushes(card: Card, prediction: Mapping[str, Any]) -> list[Push]:
    contributions = prediction.get("contributions") or ()
    as_factors = _unit_of(prediction).as_factors
    features = {feature.name: feature for feature in card.features}
    strongest = max((abs(part["effect"]) for part in contributions), default=0.0) or 1.0
    return [
        Push(
            title=features[part["feature"]].title,
            value=value_in_words(features[part["feature"]], part["value"]),
            words=_in_words(part["effect"], 1.0 if as_factors else strongest),
            effect=_factor(part["effect"]) if as_factors else signed(part["effect"]),
            bar=round(_BAR_WIDTH * part["effect"] / strongest, 1),
        )
        for part in sorted(contributions, key=lambda part: -abs(part["effect"]))
    ]


def _factor(logarithm: float) -> str:
    return f"\N{MULTIPLICATION SIGN} {_exp(logarithm):.2f}"


def _in_words(effect: float, strong: float) -> str:
    """What an effect does; from `strong` on it does so strongly."""
    verb = "Raises" if effect > 0 else "Lowers"
    found = (words.format(verb) for least, words in _STRENGTHS if abs(effect) >= least * strong)
    return next(found, "Hardly changes it")


def _exp(logarithm: float) -> float:
    return math.exp(min(logarithm, _LARGEST_LOGARITHM))


def _unit_of(prediction: Mapping[str, Any]) -> _Unit:
    return _UNITS.get(prediction.get("effects_in", ""), _TARGET)


_TARGET = _Unit("Effect", "answer", grouped_digits)
_UNITS = {
    "log_odds": _Unit("Odds", "probability", lambda odds: percent(1 / (1 + _exp(-odds)), 2), as_factors=True),
    "probability": _Unit("Effect", "probability", lambda share: percent(share, 2)),
    "log_target": _Unit("Factor", "answer", lambda logarithm: grouped_digits(_exp(logarithm)), as_factors=True),
    "score": _Unit("Effect", "score", lambda score: f"a score of {grouped_digits(score)}"),
    "uncalibrated_score": _Unit(
        "Effect", "score before calibration", lambda score: f"a score of {grouped_digits(score)} before calibration"
    ),
    "transformed_target": _Unit(
        "Effect", "transformed answer", lambda value: f"{grouped_digits(value)} on the scale that it was trained on"
    ),
}
