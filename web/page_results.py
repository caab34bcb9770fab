"""A prediction in plain words: the probability, the decision, and what pushed it up or down. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model.card import Card
from web.page_forms import text_of, value_in_words

_BAR_WIDTH = 100.0
# Log-odds from which on a push is called by the word.
_STRENGTHS = ((1.0, "{} it strongly"), (0.35, "{} it"), (0.05, "{} it a little"))


@dataclass(frozen=True, slots=True)
class Push:
    """What one feature did to the probability; ``bar`` is its share of the strongest push, from -100 to 100."""

    title: str
    value: str
    words: str
    odds: str
    bar: float

    @property
    def raises(self) -> bool:
        """Whether it made the probability larger."""
        return self.bar > 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """A prediction as the page shows it; ``pushes`` are the strongest first, none for models without explanation."""

    probability: float
    threshold: float
    prediction: str
    positive: bool
    baseline: float | None
    pushes: list[Push]


def outcome(card: Card, prediction: Mapping[str, Any]) -> Outcome:
    """The prediction of one record as the page shows it; ``prediction`` is the document of the API."""
    baseline = prediction.get("baseline")
    return Outcome(
        probability=prediction["probability"],
        threshold=prediction["threshold"],
        prediction=prediction["prediction"],
        positive=prediction["prediction"] == card.positive_class,
        baseline=None if baseline is None else 1 / (1 + math.exp(-baseline)),
        pushes=_pushes(card, prediction.get("contributions") or ()),
    )


def texts(prediction: Mapping[str, Any]) -> dict[str, str]:
    """The values of an explained prediction as the form's fields show them; none for one without explanation."""
    return {part["feature"]: text_of(part["value"]) for part in prediction.get("contributions") or ()}


def _pushes(card: Card, contributions: Sequence[Mapping[str, Any]]) -> list[Push]:
    features = {feature.name: feature for feature in card.features}
    strongest = max((abs(part["effect"]) for part in contributions), default=0.0) or 1.0
    return [
        Push(
            title=features[part["feature"]].title,
            value=value_in_words(features[part["feature"]], part["value"]),
            words=_in_words(part["effect"]),
            odds=f"{math.exp(part['effect']):.2f}",
            bar=round(_BAR_WIDTH * part["effect"] / strongest, 1),
        )
        for part in sorted(contributions, key=lambda part: -abs(part["effect"]))
    ]


def _in_words(effect: float) -> str:
    verb = "Raises" if effect > 0 else "Lowers"
    return next((words.format(verb) for least, words in _STRENGTHS if abs(effect) >= least), "Hardly changes it")
