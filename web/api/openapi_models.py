"""Completes the OpenAPI description: schemas by reference, responses common to all operations, existing models."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from copy import deepcopy
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from model.card import Card
from model.schema import Feature, FeatureKind
from web.api.schemas import PredictionRequest
from web.problems import MEDIA_TYPE
from web.request_limits import MAX_RECORDS

Schema = dict[str, Any]

_REF = "#/components/schemas/{model}"
# Responses of every operation: the host is not the service's own; and of those that write: a page of another site asks.
_ALWAYS = (HTTPStatus.MISDIRECTED_REQUEST,)
_ON_WRITING = (HTTPStatus.FORBIDDEN,)
_READING = ("get", "head")


def describe(
    document: dict[str, Any], models: Mapping[str, type[BaseModel]], cards: Sequence[Card], default: str
) -> dict[str, Any]:
    """Return the complete description; ``models`` are those that its operations refer to."""
    complete = deepcopy(document)
    pairs = [(model, "serialization") for model in models.values()]
    _, schemas = models_json_schema(pairs, ref_template=_REF)  # type: ignore[arg-type]
    complete["components"]["schemas"] = schemas["$defs"]
    for operations in complete["paths"].values():
        for method, operation in operations.items():
            # flask_openapi3 drops other parameters where an operation has path parameters.
            operation["parameters"] = operation.get("parameters", []) + operation.pop("x-parameters", [])
            _complete_responses(method, operation["responses"])
    _name_models(complete, cards)
    body = complete["paths"]["/api/v1/predictions"]["post"]["requestBody"]
    body["content"]["application/json"]["schema"] = _request(cards, default)
    return complete


def _complete_responses(method: str, responses: dict[str, Any]) -> None:
    """Add the responses that all operations share, and remove flask_openapi3's own 422, which is never sent."""
    unprocessable = str(HTTPStatus.UNPROCESSABLE_ENTITY.value)
    if MEDIA_TYPE not in responses[unprocessable]["content"]:
        del responses[unprocessable]
    problem = {"content": {MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="ProblemDocument")}}}}
    for status in _ALWAYS if method in _READING else (*_ALWAYS, *_ON_WRITING):
        responses.setdefault(str(status.value), {"description": status.phrase, **deepcopy(problem)})


def _name_models(document: dict[str, Any], cards: Sequence[Card]) -> None:
    """Name the existing models in parameters and form fields that are about models."""
    by_name: dict[str, Schema] = {
        "model": {"type": "string", "examples": [card.name for card in cards]},
        "version": {"type": "string", "examples": [card.version for card in cards]},
        "explain": {"type": "integer", "minimum": 1, "maximum": max((len(card.features) for card in cards), default=1)},
    }
    for name, schema in _schemas_of_models(document, by_name):
        schema.update(by_name[name])
        schema.pop("anyOf", None)


def _schemas_of_models(document: dict[str, Any], names: Collection[str]) -> Iterator[tuple[str, Schema]]:
    """Yield name and schema of the parameters and form fields with these names."""
    for operations in document["paths"].values():
        for operation in operations.values():
            yield from ((one["name"], one["schema"]) for one in operation.get("parameters", ()) if one["name"] in names)
            content = operation.get("requestBody", {}).get("content", {})
            fields = content.get("multipart/form-data", {}).get("schema", {}).get("properties", {})
            yield from ((name, fields[name]) for name in names if name in fields)


def _request(cards: Sequence[Card], default: str) -> Schema:
    """Return the schema of a request for predictions: one record of any model, or several, which may be invalid."""
    properties = PredictionRequest.model_json_schema()["properties"]
    shared = {"threshold": properties["threshold"]}
    several = {
        "title": "Several records",
        "type": "object",
        "required": ["records"],
        "properties": shared
        | {
            "model": {"enum": [None, *(card.name for card in cards)]},
            "records": {"type": "array", "items": {"type": "object"}, "minItems": 1, "maxItems": MAX_RECORDS},
            "record": {"type": "null"},
        },
    }
    return {"anyOf": [*(_one_record(card, card.name == default, shared) for card in cards), several]}


def _one_record(card: Card, default: bool, shared: dict[str, Any]) -> Schema:
    model = {"enum": [card.name, None] if default else [card.name]}
    return {
        "title": f"One record for {card.name}",
        "type": "object",
        "required": ["record"] if default else ["model", "record"],
        "properties": shared | {"model": model, "record": _record(card), "records": {"type": "null"}},
    }


def _record(card: Card) -> Schema:
    """Return the schema of a record; unknown keys are ignored."""
    return {
        "type": "object",
        "required": [feature.name for feature in card.features if not feature.missing_allowed],
        "properties": {feature.name: _feature(feature) for feature in card.features},
    }


def _feature(feature: Feature) -> Schema:
    texts = {"title": feature.title, "description": feature.help}
    named = {name: text for name, text in texts.items() if text}
    if not feature.missing_allowed:
        return named | _value(feature)
    return named | {"anyOf": [_value(feature), {"type": "string", "pattern": "^\\s*$"}, {"type": "null"}]}


def _value(feature: Feature) -> Schema:
    match feature.kind:
        case FeatureKind.CATEGORY if not feature.limits_reject:
            return {"type": "string", "examples": list(feature.categories)}
        case FeatureKind.CATEGORY:
            return _category(feature.categories)
        case FeatureKind.BOOLEAN:
            return {"type": "boolean"}
        case FeatureKind.DATE:
            return {"type": "string", "format": "date"}
        case FeatureKind.TEXT:
            return {"type": "string"}
        case FeatureKind.NUMBER:
            return _number(feature)


def _category(categories: Sequence[str]) -> Schema:
    """Return the schema of a category.

    Categories that differ only in punctuation become examples: generated code would give both the same name.
    """
    names = Counter(re.sub(r"\W+", "_", category.strip()).lower() for category in categories)
    kind = "enum" if max(names.values(), default=1) == 1 else "examples"
    return {"type": "string", kind: list(categories)}


def _number(feature: Feature) -> Schema:
    if not feature.limits_reject:
        return {"type": "number"}
    limits = {"minimum": feature.minimum, "maximum": feature.maximum}
    kind = "integer" if feature.integer else "number"
    return {"type": kind} | {name: limit for name, limit in limits.items() if limit is not None}
