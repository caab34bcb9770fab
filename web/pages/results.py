"""A prediction as the page shows it: its probability or value, its class, its explanation and its warnings. Pure."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from model.card import Card
from model.schema import Fault, shown
from web.pages.charts import signed_bar
from web.pages.error_texts import describe_warning
from web.pages.formatting import (
    bounded_exp,
    format_change,
    format_multiplier,
    format_percent,
    format_significant,
    within_sentence,
)
from web.pages.forms import field_text, format_value

_MAX_TARGETS_IN_SUMMARY = 3
MAX_CONTRIBUTIONS_AT_ONCE = 12
"""The number of contributions that are shown without unfolding the rest."""
_MAX_CONTRIBUTIONS = 100
# From these effects on, in log-odds or in shares of the strongest contribution.
_STRENGTHS = ((1.0, "Strongly {}"), (0.35, "{}"), (0.05, "Slightly {}"))


@dataclass(frozen=True, slots=True)
class _Unit:
    """How effects in one unit are shown: the column's title, what they change, and how a baseline is formatted."""

    title: str
    output: str
    format_baseline: Callable[[float], str]
    is_logarithm: bool = False


@dataclass(frozen=True, slots=True)
class FeatureContribution:
    """The contribution of one feature; ``bar`` is a length as ``charts.signed_bar`` makes it."""

    title: str
    value: str
    effect: str
    amount: str
    bar: float


@dataclass(frozen=True, slots=True)
class ClassScore:
    """The probability of a class, in 0..1, or its decision value."""

    name: str
    score: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """A prediction as the page shows it.

    ``figure`` is shown large and ``meaning`` says what it is; ``targets`` are the predictions of a model of several, by
    name, instead of a figure. ``probability`` and ``threshold`` are those of a binary classifier,
    ``is_default_threshold`` says whether that is the model's, ``class_scores`` are the scores of more than two classes,
    the highest first. ``note`` is what other kinds of models say beside the prediction. ``contributions`` are the
    strongest first, none for models without explanation, and ``more_contributions`` counts those left out.
    ``warnings`` are pairs of a feature's title and a sentence.
    """

    figure: str
    meaning: str
    prediction: str
    positive: bool
    targets: dict[str, str]
    probability: float | None
    threshold: float | None
    is_default_threshold: bool
    class_scores: list[ClassScore]
    note: str | None
    baseline: str | None
    contribution_title: str
    explained_output: str
    contributions: list[FeatureContribution]
    more_contributions: int
    warnings: list[tuple[str, str]]

    @property
    def summary(self) -> str:
        """The prediction in a few words, for the title of the page and for screen readers."""
        if self.targets:
            first = [f"{name}: {value}" for name, value in self.targets.items()][:_MAX_TARGETS_IN_SUMMARY]
            return ", ".join(first) + (", …" if len(self.targets) > len(first) else "")
        return self.figure if self.probability is None else f"{self.figure} probability, {self.prediction}"

    @property
    def short_summary(self) -> str:
        """The summary for a narrow line."""
        return self.summary if self.probability is None else f"{self.figure}, {self.prediction}"


def outcome(card: Card, prediction: Mapping[str, Any]) -> Outcome:
    """Return the prediction of one record, a document of the API, as the page shows it."""
    probability, threshold = prediction.get("probability"), prediction.get("threshold")
    answer = prediction["prediction"]
    targets = {name: _format_answer(value) for name, value in answer.items()} if isinstance(answer, dict) else {}
    predicted = "" if targets else _format_answer(answer)
    scores = prediction.get("probabilities") or prediction.get("decisions") or {}
    contributions, unit = _contributions(card, prediction), _unit_of(prediction)
    return Outcome(
        figure=predicted if probability is None else format_percent(probability, 2),
        meaning=_meaning(card, probability),
        prediction=predicted,
        positive=answer == card.positive_class,
        targets=targets,
        probability=probability,
        threshold=threshold,
        is_default_threshold=threshold == card.threshold,
        class_scores=sorted((ClassScore(name, score) for name, score in scores.items()), key=lambda item: -item.score),
        note=_note(card, prediction),
        baseline=None if prediction.get("baseline") is None else unit.format_baseline(prediction["baseline"]),
        contribution_title=unit.title,
        explained_output=unit.output,
        contributions=contributions[:_MAX_CONTRIBUTIONS],
        more_contributions=max(len(contributions) - _MAX_CONTRIBUTIONS, 0),
        warnings=_warnings(card, prediction),
    )


def texts(prediction: Mapping[str, Any]) -> dict[str, str]:
    """Return the values of an explained prediction as texts of form fields; none for one without explanation."""
    return {part["feature"]: field_text(part["value"]) for part in prediction.get("contributions") or ()}


def _meaning(card: Card, probability: float | None) -> str:
    """Return what the figure is: a clause after a probability, else a line of its own."""
    target = within_sentence(card.target)
    if probability is None:
        return f"Predicted {target}"
    # The target of a model that was added without a schema is a clause: "churn is yes".
    is_clause = card.target.endswith(f" is {card.positive_class}")
    return f"probability {'that' if is_clause else 'of'} {card.target if is_clause else target}"


def _format_answer(answer: str | float) -> str:
    return answer if isinstance(answer, str) else format_significant(answer)


def _note(card: Card, prediction: Mapping[str, Any]) -> str | None:
    score, distance, decision = (prediction.get(name) for name in ("score", "distance", "decision"))
    if score is not None:
        return f"Outlier score: {format_significant(score)} (lower is more unusual; below 0 is an outlier)"
    if distance is not None:
        return f"Distance to the cluster center: {format_significant(distance)}"
    if decision is not None:
        return f"Decision value: {format_significant(decision)} (above 0 is {card.positive_class})"
    return None


def _warnings(card: Card, prediction: Mapping[str, Any]) -> list[tuple[str, str]]:
    features = {feature.name: feature for feature in card.features}
    faults = [
        Fault(warning["code"], warning["detail"], warning["column"], warning["value"])
        for warning in prediction.get("warnings") or ()
    ]
    return [(features[str(f.column)].title, describe_warning(features[str(f.column)], f)) for f in faults]


def _contributions(card: Card, prediction: Mapping[str, Any]) -> list[FeatureContribution]:
    contributions = prediction.get("contributions") or ()
    is_logarithm = _unit_of(prediction).is_logarithm
    features = {feature.name: feature for feature in card.features}
    strongest = max((abs(part["effect"]) for part in contributions), default=0.0)
    return [
        FeatureContribution(
            title=features[part["feature"]].title,
            value=shown(format_value(features[part["feature"]], part["value"])),
            effect=_describe_effect(part["effect"], 1.0 if is_logarithm else strongest),
            amount=format_multiplier(part["effect"]) if is_logarithm else format_change(part["effect"]),
            bar=signed_bar(part["effect"], strongest),
        )
        for part in sorted(contributions, key=lambda part: -abs(part["effect"]))
    ]


def _describe_effect(effect: float, strong: float) -> str:
    """Return the direction and strength of an effect; ``strong`` is where strong ones begin."""
    verb = "raises" if effect > 0 else "lowers"
    strengths = (text.format(verb) for least, text in _STRENGTHS if effect and abs(effect) >= least * strong)
    text = next(strengths, "almost no effect")
    return text[:1].upper() + text[1:]


def _probability(log_odds: float) -> float:
    """Return the probability of log-odds without overflow."""
    return 0.5 * (1 + math.tanh(log_odds / 2))


def _unit_of(prediction: Mapping[str, Any]) -> _Unit:
    return _UNITS.get(prediction.get("effects_in", ""), _TARGET)


_TARGET = _Unit("Change", "prediction", format_significant)
_UNITS = {
    "log_odds": _Unit(
        "Odds multiplier", "probability", lambda odds: format_percent(_probability(odds), 2), is_logarithm=True
    ),
    "probability": _Unit("Change", "probability", lambda share: format_percent(share, 2)),
    "log_target": _Unit(
        "Multiplier", "prediction", lambda logarithm: format_significant(bounded_exp(logarithm)), is_logarithm=True
    ),
    "score": _Unit("Change", "score", lambda score: f"score {format_significant(score)}"),
    "uncalibrated_score": _Unit(
        "Change", "score before calibration", lambda score: f"score {format_significant(score)} before calibration"
    ),
    "transformed_target": _Unit(
        "Change",
        "prediction on the transformed scale",
        lambda value: f"{format_significant(value)} on the transformed scale",
    ),
}
