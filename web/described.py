"""What the API's description says of the models that are there: their names, and the records that each takes."""

from collections.abc import Collection, Iterator, Sequence
from copy import deepcopy
from typing import Any

from model.card import Card
from model.schema import Feature, FeatureKind
from web.schemas import PredictionRequest

Schema = dict[str, Any]


def with_models(document: dict[str, Any], cards: Sequence[Card], default: str) -> dict[str, Any]:
    """The description, complete: parameters that name a model list the models, and a record has their features."""
    described = deepcopy(document)
    said: dict[str, Schema] = {
        "model": {"type": "string", "enum": ["", *(card.name for card in cards)]},
        "version": {"type": "string", "enum": ["", *(card.version for card in cards)]},
        "explain": {"type": "integer", "minimum": 1, "maximum": max((len(card.features) for card in cards), default=1)},
    }
    for name, schema in _schemas_of_models(described, said):
        schema.update(said[name])
        schema.pop("anyOf", None)
    body = described["paths"]["/api/v1/predictions"]["post"]["requestBody"]
    body["content"]["application/json"]["schema"] = _request(cards, default)
    return described


def _schemas_of_models(document: dict[str, Any], names: Collection[str]) -> Iterator[tuple[str, Schema]]:
    """The parameters and form fields of these names, which are about models, and their schemas."""
    for operations in document["paths"].values():
        for operation in operations.values():
            yield from ((one["name"], one["schema"]) for one in operation.get("parameters", ()) if one["name"] in names)
            content = operation.get("requestBody", {}).get("content", {})
            fields = content.get("multipart/form-data", {}).get("schema", {}).get("properties", {})
            yield from ((name, fields[name]) for name in names if name in fields)


def _request(cards: Sequence[Card], default: str) -> Schema:
    """One record, of any of the models, or several: of those, each that is wrong gets an error in its place."""
    properties = PredictionRequest.model_json_schema()["properties"]
    shared = {"threshold": properties["threshold"]}
    several = {
        "title": "Several records",
        "type": "object",
        "required": ["records"],
        "properties": shared
        | {
            "model": {"enum": [None, *(card.name for card in cards)]},
            "records": {"type": "array", "items": {"type": "object"}, "minItems": 1, "maxItems": 1000},
            "record": {"type": "null"},
        },
    }
    return {"anyOf": [*(_one_record(card, card.name == default, shared) for card in cards), several]}


def _one_record(card: Card, default: bool, shared: dict[str, Any]) -> Schema:
    model = {"enum": [card.name, None] if default else [card.name]}
    return {
        "title": f"One record for {card.title}",
        "type": "object",
        "required": ["record"] if default else ["model", "record"],
        "properties": shared | {"model": model, "record": _record(card), "records": {"type": "null"}},
    }


def _record(card: Card) -> Schema:
    """A record as the model takes it; keys that it does not know are ignored, and may hold anything."""
    return {
        "type": "object",
        "required": [feature.name for feature in card.features if not feature.missing_allowed],
        "properties": {feature.name: _feature(feature) for feature in card.features},
    }


def _feature(feature: Feature) -> Schema:
    words = {"title": feature.title, "description": feature.help}
    named = {name: text for name, text in words.items() if text}
    if not feature.missing_allowed:
        return named | _value(feature)
    return named | {"anyOf": [_value(feature), {"type": "string", "pattern": "^\\s*$"}, {"type": "null"}]}


def _value(feature: Feature) -> Schema:
    match feature.kind:
        case FeatureKind.CATEGORY if not feature.limits_reject:
            return {"type": "string", "examples": list(feature.categories)}
        case FeatureKind.CATEGORY:
            return {"type": "string", "enum": list(feature.categories)}
        case FeatureKind.BOOLEAN:
            return {"type": "boolean"}
        case FeatureKind.DATE:
            return {"type": "string", "format": "date"}
        case FeatureKind.TEXT:
            return {"type": "string"}
        case FeatureKind.NUMBER:
            return _number(feature)


def _number(feature: Feature) -> Schema:
    if not feature.limits_reject:
        return {"type": "number"}
    limits = {"minimum": feature.minimum, "maximum": feature.maximum}
    kind = "integer" if feature.integer else "number"
    return {"type": kind} | {name: limit for name, limit in limits.items() if limit is not None}
