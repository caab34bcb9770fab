"""The API's description (OpenAPI 3.1), made from the routes and the models of ``web.schemas``, and its page."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from flask import Response, render_template, send_from_directory
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.info import Info
from flask_openapi3.openapi import OpenAPI
from pydantic import BaseModel, ValidationError

from model.card import Card
from model.errors import ModelError
from web.described import with_models
from web.problems import MEDIA_TYPE, invalid_parameters
from web.schemas import ProblemDocument, UploadQuery
from web.services import services

INFO = Info(title="Scoreline", version="1", description="CSV files and single records scored by scikit-learn models.")
# As flask_openapi3 wants the answers of an operation.
Answers = dict[str | int, type[BaseModel] | dict[Any, Any] | None]
_M = TypeVar("_M", bound=BaseModel)
_ASSETS = Path(str(files("flask_openapi3_swagger"))) / "templates" / "swagger"
_REF = "#/components/schemas/{model}"


def parse(model: type[_M], values: Mapping[str, str]) -> _M:
    """Parameters as the API describes them, empty ones left out. Raises Problem ``bad_parameter``."""
    try:
        return model.model_validate({name: value for name, value in values.items() if value})
    except ValidationError as error:
        raise invalid_parameters(error) from error


def parameters(query: type[BaseModel] | None = None, header: type[BaseModel] | None = None) -> list[dict[str, Any]]:
    """The query and header parameters of an operation."""
    return [
        {
            "name": name,
            "in": place,
            "required": False,
            "description": schema.pop("description", ""),
            "schema": _without_null(schema),
        }
        for place, model in (("query", query), ("header", header))
        if model
        for name, schema in model.model_json_schema(ref_template=_REF)["properties"].items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a parameter, which cannot be null: it is left out, or empty."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    plain = {key: value for key, value in schema.items() if key not in ("title", "anyOf", "default")}
    plain |= {"default": schema["default"]} if schema.get("default") is not None else {}
    return plain | kinds[0] if len(kinds) == 1 else plain | ({"anyOf": kinds} if kinds else {})


def csv_body() -> dict[str, Any]:
    """The request body of an upload: any bytes, since which of them are CSV no JSON schema tells."""
    fields = UploadQuery.model_json_schema()["properties"]
    file = {
        "contentMediaType": "text/csv",
        "description": "the file; `encoding`, too, can be a field of the form, but only before this one",
    }
    named = {name: _without_null(fields[name]) for name in ("model", "filename", "threshold")}
    form = {"type": "object", "properties": {"file": file} | named, "required": ["file"]}
    parts = {"schema": form, "encoding": {"file": {"contentType": "text/csv"}}}
    return {"required": True, "content": {"text/csv": {}, "multipart/form-data": parts}}


def json_body(model: type[BaseModel]) -> dict[str, Any]:
    """A JSON request body."""
    schema = model.model_json_schema(ref_template=_REF)
    schema.pop("$defs", None)
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def csv_answer(description: str) -> dict[str, Any]:
    """A CSV answer."""
    return {"description": description, "content": {"text/csv": {"schema": {"type": "string"}}}}


def event_stream() -> dict[str, Any]:
    """An answer of server-sent events."""
    job = {"type": "string", "contentMediaType": "application/json", "description": "the job"}
    event = {"type": "object", "properties": {"id": {"type": "string"}, "event": {"const": "job"}, "data": job}}
    return {
        "description": "events `job`, each with the job",
        "content": {"text/event-stream": {"schema": event | {"required": ["event", "data"]}}},
    }


def problems(*statuses: int) -> Answers:
    """Answers with problem details, by status."""
    schema = ProblemDocument.model_json_schema(ref_template=_REF)
    schema.pop("$defs", None)
    return {
        status: {"description": "Problem details", "content": {MEDIA_TYPE: {"schema": schema}}} for status in statuses
    }


def _card(name: str) -> Card | None:
    try:
        return services().catalog.card(name)
    except ModelError:  # what is broken takes no records
        return None


def register_docs(app: OpenAPI, api: APIBlueprint) -> None:
    """Serve the description and, from files of our own, a page to try it on."""

    @app.route(f"{api.url_prefix}/openapi.json")
    def openapi_document() -> dict[str, Any]:
        catalog = services().catalog
        return with_models(app.api_doc, [card for card in map(_card, catalog.names()) if card], catalog.default)

    @app.route(f"{api.url_prefix}/docs")
    def docs() -> str:
        return render_template("docs.html")

    @app.route(f"{api.url_prefix}/docs/assets/<path:name>")
    def docs_asset(name: str) -> Response:
        return send_from_directory(_ASSETS, name)
