"""The schema of several models that score one file: the features of all of them, each once."""

from collections.abc import Sequence
from dataclasses import replace

from model.card import Card
from model.schema import ColumnMatch, Schema, normalise_name


def joint_schema(cards: Sequence[Card]) -> Schema:
    """Return a schema with the features of all models, each once."""
    if len(cards) == 1:
        return cards[0].record_schema
    # Reversed twice, so that of features spelt alike the first model's is kept.
    features = {normalise_name(feature.name): feature for card in reversed(cards) for feature in card.features[::-1]}
    return Schema(features=tuple(reversed(features.values())))


def match_columns(cards: Sequence[Card], columns: Sequence[str]) -> ColumnMatch:
    """Map the features of all models to columns; find missing, duplicate and extra columns."""
    match = joint_schema(cards).match_columns(columns)
    own = (card.record_schema.match_columns(columns).columns for card in cards[1:])
    return replace(
        match, columns=match.columns | {name: at for columns_of_card in own for name, at in columns_of_card.items()}
    )
