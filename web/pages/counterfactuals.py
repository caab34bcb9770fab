"""The single changes of a record with the largest effect on its prediction, each predicted by the model. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model.card import Card
from model.schema import Feature, FeatureKind, Value
from web.pages.forms import format_value

MAX_CHANGES = 3
_MAX_CATEGORIES = 50
# The variants of very wide records would take longer to predict than the page may take.
_MAX_VALUES = 40_000
# Positions in the range of a number to try where nothing is known of the training data.
_POSITIONS = (0.1, 0.3, 0.5, 0.7, 0.9)
_MIN_DIFFERENCE = 0.001


@dataclass(frozen=True, slots=True)
class Variant:
    """A record that differs from another in the value of one feature."""

    feature: Feature
    value: Value
    record: dict[str, Value]


@dataclass(frozen=True, slots=True)
class Change:
    """The prediction if one feature had the value ``after`` instead of ``before``; ``difference`` is in -1..1."""

    title: str
    before: str
    after: str
    probability: float
    difference: float
    prediction: str
    flips: bool


def variants(card: Card, record: Mapping[str, Value]) -> list[Variant]:
    """Return the records to predict: every other category and a few other numbers per feature; none if too many."""
    changed = [
        (feature, value)
        for feature in card.features
        for value in _candidates(feature, card)
        if value != record[feature.name]
    ]
    if len(changed) * len(record) > _MAX_VALUES:
        return []
    return [Variant(feature, value, {**record, feature.name: value}) for feature, value in changed]


def largest_changes(
    record: Mapping[str, Value],
    prediction: Mapping[str, Any],
    tried: Sequence[Variant],
    predictions: Sequence[Mapping[str, Any]],
) -> list[Change]:
    """Return the change with the largest effect of each feature, the largest first, at most ``MAX_CHANGES``."""
    by_feature: dict[str, Change] = {}
    for variant, variant_prediction in zip(tried, predictions, strict=True):
        if "error" in variant_prediction:
            continue
        change = _change(variant, record[variant.feature.name], prediction, variant_prediction)
        largest = by_feature.get(variant.feature.name)
        if largest is None or abs(change.difference) > abs(largest.difference):
            by_feature[variant.feature.name] = change
    ordered = sorted(by_feature.values(), key=lambda change: -abs(change.difference))
    return [change for change in ordered if abs(change.difference) >= _MIN_DIFFERENCE][:MAX_CHANGES]


def _change(
    variant: Variant, before: Value, prediction: Mapping[str, Any], variant_prediction: Mapping[str, Any]
) -> Change:
    return Change(
        title=variant.feature.title,
        before=format_value(variant.feature, before),
        after=format_value(variant.feature, variant.value),
        probability=variant_prediction["probability"],
        difference=variant_prediction["probability"] - prediction["probability"],
        prediction=variant_prediction["prediction"],
        flips=variant_prediction["prediction"] != prediction["prediction"],
    )


def _candidates(feature: Feature, card: Card) -> Sequence[Value]:
    """Return values of a feature to try: its categories, or quantiles of the training data."""
    if feature.kind is FeatureKind.CATEGORY:
        return feature.categories[:_MAX_CATEGORIES]
    summary = card.summary.get(feature.name)
    if summary and summary.quantiles:
        return sorted({float(round(value)) if feature.integer else value for value in summary.quantiles.values()})
    if feature.minimum is None or feature.maximum is None:
        return []
    numbers = [float(feature.minimum + (feature.maximum - feature.minimum) * position) for position in _POSITIONS]
    return [float(round(number)) for number in numbers] if feature.integer else numbers
