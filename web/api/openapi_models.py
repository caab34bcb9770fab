"""The API's description, completed: schemas by reference, what every operation may answer, and the models there are."""

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

Schema = dict[str, Any]

_REF = "#/components/schemas/{model}"
# Where the host is not one of the service's own; where a page of another site would write.
_ALWAYS = (HTTPStatus.MISDIRECTED_REQUEST,)
_ON_WRITING = (HTTPStatus.FORBIDDEN,)
_READING = ("get", "head")


def describe(
    document: dict[str, Any], models: Mapping[str, type[BaseModel]], cards: Sequence[Card], default: str
) -> dict[str, Any]:
    """The description, complete; ``models`` are those that its operations refer to."""
    described = deepcopy(document)
    pairs = [(model, "serialization") for model in models.values()]
    _, schemas = models_json_schema(pairs, ref_template=_REF)  # type: ignore[arg-type]
    described["components"]["schemas"] = schemas["$defs"]
    for operations in described["paths"].values():
        for method, operation in operations.items():
            # Where there are parameters of the path, flask_openapi3 keeps no others under their usual name.
            operation["parameters"] = operation.get("parameters", []) + operation.pop("x-parameters", [])
            _complete_answers(method, operation["responses"])
    _name_models(described, cards)
    body = described["paths"]["/api/v1/predictions"]["post"]["requestBody"]
    body["content"]["application/json"]["schema"] = _request(cards, default)
    return described


def _complete_answers(method: str, answers: dict[str, Any]) -> None:
    """What any operation answers; flask_openapi3's own words for faults of parameters are not what is sent."""
    unprocessable = str(HTTPStatus.UNPROCESSABLE_ENTITY.value)
    if MEDIA_TYPE not in answers[unprocessable]["content"]:
        del answers[unprocessable]
    problem = {"content": {MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="ProblemDocument")}}}}
    for status in _ALWAYS if method in _READING else (*_ALWAYS, *_ON_WRITING):
        answers.setdefault(str(status.value), {"description": status.phrase, **deepcopy(problem)})


def _name_models(document: dict[str, Any], cards: Sequence[Card]) -> None:
    """Have parameters and form fields that are about models name those that there are."""
    said: dict[str, Schema] = {
        "model": {"type": "string", "examples": [card.name for card in cards]},
        "version": {"type": "string", "examples": [card.version for card in cards]},
        "explain": {"type": "integer", "minimum": 1, "maximum": max((len(card.features) for card in cards), default=1)},
    }
    for name, schema in _schemas_of_models(document, said):
        schema.update(said[name])
        schema.pop("anyOf", None)


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
        "title": f"One record for {card.name}",
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
    """A choice; where only punctuation tells two apart, as examples, since generated code has one name for both."""
    names = Counter(re.sub(r"\W+", "_", category.strip()).lower() for category in categories)
    kind = "enum" if max(names.values(), default=1) == 1 else "examples"
    return {"type": "string", kind: list(categories)}


def _number(feature: Feature) -> Schema:
    if not feature.limits_reject:
        return {"type": "number"}
    limits = {"minimum": feature.minimum, "maximum": feature.maximum}
    kind = "integer" if feature.integer else "number"
    return {"type": kind} | {name: limit for name, limit in limits.items() if limit is not None}
