"""A prediction in plain words: the probability, the decision, what moved it up or down, what is unusual. Pure."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from model.card import Card
from model.schema import Fault, shown
from web.pages.formatting import factor, grouped_digits, percent, signed
from web.pages.forms import notice, text_of, value_in_words

_BAR_WIDTH = 100.0
_LARGEST_LOGARITHM = 700.0
_MAX_IN_SHORT = 3
# Of very wide records, so many contributions are shown, the first of them at once.
SHOWN_CONTRIBUTIONS = 12
_MAX_CONTRIBUTIONS = 100
# Log-odds, or shares of the strongest contribution, from which on a contribution is called by the word.
_STRENGTHS = ((1.0, "{} it strongly"), (0.35, "{} it"), (0.05, "{} it a little"))


@dataclass(frozen=True, slots=True)
class _Unit:
    """How effects in one unit are shown: the title of their column, the unit in words, and the baseline."""

    title: str
    unit: str
    average: Callable[[float], str]
    as_factors: bool = False


@dataclass(frozen=True, slots=True)
class FeatureContribution:
    """What one feature did to the answer; ``bar`` is its share of the strongest contribution, from -100 to 100."""

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
class ClassScore:
    """The probability of one class, in 0..1, or its decision value."""

    name: str
    score: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """A prediction as the page shows it.

    `figure` is shown large, and `unit` beside it; `targets` are the predictions of a model of several, by name, instead
    of a figure. `probability` and `threshold` are those of a binary classifier, `own_threshold` says whether that is
    the model's, `shares` the scores of all classes where there are more, the highest first. `beside` is what stands
    beside the prediction of other kinds, in words. `contributions` are the strongest first, none for models without
    explanation, and `more_contributions` how many are left out; `average` is the baseline, the answer to the average
    record, `effects_unit` the unit of the contributions, and `effects_title` says how they are shown. `notices` tell of
    values that never occurred in training, by the titles of their features.
    """

    figure: str
    unit: str
    prediction: str
    positive: bool
    targets: dict[str, str]
    probability: float | None
    threshold: float | None
    own_threshold: bool
    shares: list[ClassScore]
    beside: str | None
    average: str | None
    effects_title: str
    effects_unit: str
    contributions: list[FeatureContribution]
    more_contributions: int
    notices: list[tuple[str, str]]

    @property
    def short(self) -> str:
        """The answer in a few words."""
        if self.targets:
            first = [f"{name}: {value}" for name, value in self.targets.items()][:_MAX_IN_SHORT]
            return ", ".join(first) + (", …" if len(self.targets) > len(first) else "")
        answer = " ".join(filter(None, (self.figure, self.unit)))
        return answer if self.probability is None else f"{answer}, {self.prediction}"


def outcome(card: Card, prediction: Mapping[str, Any]) -> Outcome:
    """The prediction of one record as the page shows it; ``prediction`` is the document of the API."""
    probability, threshold = prediction.get("probability"), prediction.get("threshold")
    answer = prediction["prediction"]
    targets = {name: _in_words(value) for name, value in answer.items()} if isinstance(answer, dict) else {}
    predicted = "" if targets else _in_words(answer)
    scores = prediction.get("probabilities") or prediction.get("decisions") or {}
    contributions, unit_of_effects = _contributions(card, prediction), _unit_of(prediction)
    return Outcome(
        figure=predicted if probability is None else percent(probability, 2),
        unit="" if probability is None else "probability",
        prediction=predicted,
        positive=answer == card.positive_class,
        targets=targets,
        probability=probability,
        threshold=threshold,
        own_threshold=threshold == card.threshold,
        shares=sorted((ClassScore(name, score) for name, score in scores.items()), key=lambda share: -share.score),
        beside=_beside(card, prediction),
        average=None if prediction.get("baseline") is None else unit_of_effects.average(prediction["baseline"]),
        effects_title=unit_of_effects.title,
        effects_unit=unit_of_effects.unit,
        contributions=contributions[:_MAX_CONTRIBUTIONS],
        more_contributions=max(len(contributions) - _MAX_CONTRIBUTIONS, 0),
        notices=_notices(card, prediction),
    )


def _in_words(answer: str | float) -> str:
    return answer if isinstance(answer, str) else grouped_digits(answer)


def _beside(card: Card, prediction: Mapping[str, Any]) -> str | None:
    """What else the model says of the record, in a sentence."""
    score, distance, decision = (prediction.get(name) for name in ("score", "distance", "decision"))
    if score is not None:
        return f"Score {grouped_digits(score)}: the lower, the more unusual; below 0 it is an outlier."
    if distance is not None:
        return f"Distance from the centre of its cluster: {grouped_digits(distance)}."
    if decision is not None:
        return f"Decision value {grouped_digits(decision)}: above 0 it is {card.positive_class}."
    return None


def _notices(card: Card, prediction: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is unusual about the record, with the title of the feature."""
    features = {feature.name: feature for feature in card.features}
    warnings = [
        Fault(warning["code"], warning["detail"], warning["column"], warning["value"])
        for warning in prediction.get("warnings") or ()
    ]
    return [(features[str(w.column)].title, notice(features[str(w.column)], w)) for w in warnings]


def texts(prediction: Mapping[str, Any]) -> dict[str, str]:
    """The values of an explained prediction as the form's fields show them; none for one without explanation."""
    return {part["feature"]: text_of(part["value"]) for part in prediction.get("contributions") or ()}


def _contributions(card: Card, prediction: Mapping[str, Any]) -> list[FeatureContribution]:
    contributions = prediction.get("contributions") or ()
    as_factors = _unit_of(prediction).as_factors
    features = {feature.name: feature for feature in card.features}
    strongest = max((abs(part["effect"]) for part in contributions), default=0.0) or 1.0
    return [
        FeatureContribution(
            title=features[part["feature"]].title,
            value=shown(value_in_words(features[part["feature"]], part["value"])),
            words=_effect_in_words(part["effect"], 1.0 if as_factors else strongest),
            effect=factor(part["effect"]) if as_factors else signed(part["effect"]),
            bar=round(_BAR_WIDTH * part["effect"] / strongest, 1),
        )
        for part in sorted(contributions, key=lambda part: -abs(part["effect"]))
    ]


def _effect_in_words(effect: float, strong: float) -> str:
    """What an effect does; from `strong` on it does so strongly."""
    verb = "Raises" if effect > 0 else "Lowers"
    found = (words.format(verb) for least, words in _STRENGTHS if abs(effect) >= least * strong)
    return next(found, "Hardly changes it")


def _probability(log_odds: float) -> float:
    """The probability of log-odds, however large these are."""
    return 0.5 * (1 + math.tanh(log_odds / 2))


def _exp(logarithm: float) -> float:
    return math.exp(min(logarithm, _LARGEST_LOGARITHM))


def _unit_of(prediction: Mapping[str, Any]) -> _Unit:
    return _UNITS.get(prediction.get("effects_in", ""), _TARGET)


_TARGET = _Unit("Effect", "answer", grouped_digits)
_UNITS = {
    "log_odds": _Unit("Odds", "probability", lambda odds: percent(_probability(odds), 2), as_factors=True),
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
