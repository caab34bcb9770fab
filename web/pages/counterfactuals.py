"""What would change a prediction most: the same record with one value different, predicted again. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model.card import Card
from model.schema import Feature, FeatureKind, Value
from web.pages.forms import value_in_words

SHOWN_CHANGES = 3
_MAX_CATEGORIES = 50
# Of very wide records, so many that trying them all takes longer than the answer may.
_MAX_VALUES = 40_000
# Where in the range of a number the other values to try stand, if nothing is known of the training data.
_PLACES = (0.1, 0.3, 0.5, 0.7, 0.9)
# A smaller difference of the probability is not worth a line.
_LEAST_DIFFERENCE = 0.001


@dataclass(frozen=True, slots=True)
class Variant:
    """A record that differs in one feature: its value there, and the whole record."""

    feature: Feature
    value: Value
    record: dict[str, Value]


@dataclass(frozen=True, slots=True)
class Change:
    """What another value of one feature would make of the prediction; values in words, ``difference`` in 0..1."""

    title: str
    now: str
    then: str
    probability: float
    difference: float
    prediction: str
    flips: bool


def variants(card: Card, record: Mapping[str, Value]) -> list[Variant]:
    """The records to predict: each other category, and a few other values of each number; none if that is too many."""
    tried = [
        (feature, value)
        for feature in card.features
        for value in _others(feature, card)
        if value != record[feature.name]
    ]
    if len(tried) * len(record) > _MAX_VALUES:
        return []
    return [Variant(feature, value, {**record, feature.name: value}) for feature, value in tried]


def changes(
    record: Mapping[str, Value],
    prediction: Mapping[str, Any],
    tried: Sequence[Variant],
    answers: Sequence[Mapping[str, Any]],
) -> list[Change]:
    """For the features that matter most, the value that moves the probability furthest; the largest first."""
    furthest: dict[str, Change] = {}
    for variant, answer in zip(tried, answers, strict=True):
        if "error" in answer:
            continue
        found = _change(variant, record[variant.feature.name], prediction, answer)
        best = furthest.get(variant.feature.name)
        if best is None or abs(found.difference) > abs(best.difference):
            furthest[variant.feature.name] = found
    ordered = sorted(furthest.values(), key=lambda change: -abs(change.difference))
    return [change for change in ordered if abs(change.difference) >= _LEAST_DIFFERENCE][:SHOWN_CHANGES]


def _change(variant: Variant, now: Value, prediction: Mapping[str, Any], answer: Mapping[str, Any]) -> Change:
    return Change(
        title=variant.feature.title,
        now=value_in_words(variant.feature, now),
        then=value_in_words(variant.feature, variant.value),
        probability=answer["probability"],
        difference=answer["probability"] - prediction["probability"],
        prediction=answer["prediction"],
        flips=answer["prediction"] != prediction["prediction"],
    )


def _others(feature: Feature, card: Card) -> Sequence[Value]:
    """Values of a feature to try: categories, or places where the training data's numbers lie."""
    if feature.kind is FeatureKind.CATEGORY:
        return feature.categories[:_MAX_CATEGORIES]
    known = card.summary.get(feature.name)
    if known and known.quantiles:
        return sorted({float(round(value)) if feature.integer else value for value in known.quantiles.values()})
    if feature.minimum is None or feature.maximum is None:
        return []
    places = [float(feature.minimum + (feature.maximum - feature.minimum) * place) for place in _PLACES]
    return [float(round(place)) for place in places] if feature.integer else places
