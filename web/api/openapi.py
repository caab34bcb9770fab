"""The OpenAPI 3.1 description, made from the routes and pydantic models, and the page that shows it."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from flask import Response, render_template, request, send_from_directory
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.info import Info
from flask_openapi3.openapi import OpenAPI
from pydantic import BaseModel, TypeAdapter, ValidationError

from jobs.export_request import MEDIA_TYPES, ExportFormat
from model.card import Card
from model.errors import ModelError
from web.api.openapi_models import describe
from web.api.openapi_security import add_security
from web.problems import MEDIA_TYPE, invalid_parameters
from web.schemas import CorrectionsRequest, ProblemDocument
from web.services import services
from web.uploads.parameters import UploadForm

INFO = Info(title="Scoreline", version="1", description="Files and single records scored by scikit-learn models.")
# The responses of an operation, as flask_openapi3 expects them.
Responses = dict[str | int, type[BaseModel] | dict[Any, Any] | None]
_M = TypeVar("_M", bound=BaseModel)
_ASSETS = Path(str(files("flask_openapi3_swagger"))) / "templates" / "swagger"
_REF = "#/components/schemas/{model}"
_BYTES = {"type": "string", "format": "binary"}
_RETRYABLE = (409, 429, 503)
_HEADERS = {
    "Accept-Ranges": "`bytes`: parts of the file can be asked for with `Range`",
    "Cache-Control": "not to be cached",
    "Content-Disposition": "`attachment`, with a file name",
    "Content-Range": "which bytes of how many these are",
    "ETag": "identifies this state of the job, for `If-None-Match`; of results, the file, for `If-Range`",
    "Idempotent-Replayed": "`true`: the upload was received before, and this is its job",
    "Location": "address of the job or the prediction",
    "Preference-Applied": "the preferences of `Prefer` that were applied",
    "Retry-After": "seconds after which to retry",
    "Vary": "request headers that the response depends on",
    "X-Accel-Buffering": "`no`: proxies should not buffer the response",
}
MODELS: dict[str, type[BaseModel]] = {}
"""Models that operations refer to, by their names in the description."""


def parse(model: type[_M], values: Mapping[str, str]) -> _M:
    """Validate parameters, ignoring empty ones; raise Problem ``bad_parameter`` if they are invalid."""
    try:
        return model.model_validate({name: value for name, value in values.items() if value})
    except ValidationError as error:
        raise invalid_parameters(error) from error


def operation_name(*, name: str, path: str, method: str) -> str:
    """Return the id of an operation: the name of its function."""
    del path, method
    return name


def parameters(query: type | None = None, header: type[BaseModel] | None = None) -> list[dict[str, Any]]:
    """Return the query and header parameters of an operation; ``describe`` adds them to those of its path."""
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
        for name, schema in TypeAdapter(model).json_schema(ref_template=_REF)["properties"].items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a parameter without null: an optional parameter is omitted or empty."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    plain = {key: value for key, value in schema.items() if key not in ("title", "anyOf", "default")}
    plain |= {"default": schema["default"]} if schema.get("default") is not None else {}
    return plain | kinds[0] if len(kinds) == 1 else plain | ({"anyOf": kinds} if kinds else {})


def csv_body() -> dict[str, Any]:
    """Return the request body of an upload: any bytes, since JSON schema cannot describe CSV.

    Most programs send ``text/csv``, which only the text names: ``openapi-python-client`` warns of any body that is not
    JSON, a form or ``application/octet-stream``, whatever its schema, and of ranges such as ``text/*``. The same body
    is therefore described as ``application/octet-stream``.
    """
    fields = TypeAdapter(UploadForm).json_schema()["properties"]
    file = {
        **_BYTES,
        "description": "the file; the form fields `encoding` and `format` must precede it",
    }
    named = {name: _without_null(field) for name, field in fields.items() if name not in ("encoding", "format")}
    form = {"type": "object", "properties": {"file": file} | named, "required": ["file"]}
    return {
        "required": True,
        "description": "the file, raw (of its own type or `application/octet-stream`) or as the part `file` of a form",
        "content": {
            "multipart/form-data": {"schema": form, "encoding": {"file": {"contentType": "text/csv"}}},
            "application/octet-stream": {"schema": _BYTES},
        },
    }


def corrections_body() -> dict[str, Any]:
    """Return the request body of corrections: a file as for an upload, or JSON."""
    file = {**_BYTES, "description": "the rejected rows (`rejects?shape=records`), edited; rows may be left out"}
    form = {"type": "object", "properties": {"file": file}, "required": ["file"]}
    return {
        "required": True,
        "description": "a CSV file, raw (`text/csv` or `application/octet-stream`) or as the part `file` of a form; or "
        "JSON. Only what is given replaces what was.",
        "content": {
            "multipart/form-data": {"schema": form, "encoding": {"file": {"contentType": "text/csv"}}},
            "application/octet-stream": {"schema": _BYTES},
            "application/json": {"schema": _by_reference(CorrectionsRequest)},
        },
    }


def json_body() -> dict[str, Any]:
    """Return a JSON request body; ``describe`` adds the schema, which depends on the models that exist."""
    return {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}


def json_body_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return a JSON request body that is described by a model."""
    return {"required": True, "content": {"application/json": {"schema": _by_reference(model)}}}


def answer(model: type[BaseModel], description: str, *headers: str, page: bool = False) -> dict[str, Any]:
    """Describe a JSON response with these headers; with ``page``, browsers get HTML instead."""
    content: dict[str, Any] = {"application/json": {"schema": _by_reference(model)}}
    if page:
        content["text/html"] = {"schema": {"type": "string"}}
    return {"description": description, "content": content, "headers": _headers(*headers)}


def no_content(description: str, *headers: str) -> dict[str, Any]:
    """Describe a response without a body."""
    return {"description": description, "headers": _headers(*headers)}


def csv_answer(description: str, *headers: str) -> dict[str, Any]:
    """Describe a CSV response."""
    content = {"text/csv": {"schema": {"type": "string"}}}
    return {"description": description, "content": content, "headers": _headers("Content-Disposition", *headers)}


def results_answer(description: str, *headers: str) -> dict[str, Any]:
    """Describe results, as text or bytes."""
    texts = (ExportFormat.CSV, ExportFormat.JSONL)
    content = {
        media_type: {"schema": {"type": "string"} if kind in texts else _BYTES}
        for kind, media_type in MEDIA_TYPES.items()
    }
    return {"description": description, "content": content, "headers": _headers("Content-Disposition", *headers)}


def event_stream() -> dict[str, Any]:
    """Describe a stream of server-sent events."""
    return {
        "description": "events `job`, with the job as data and its revision as id",
        # JSON schema cannot describe an event stream; generated clients treat it as text.
        "content": {"text/event-stream": {"schema": {"description": "lines `id`, `event: job` and `data` (the job)"}}},
        "headers": _headers("Cache-Control", "X-Accel-Buffering"),
    }


def problems(*statuses: int) -> Responses:
    """Describe responses with problem details, by status."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": _by_reference(ProblemDocument)}},
            "headers": _headers("Retry-After") if status in _RETRYABLE else {},
        }
        for status in statuses
    }


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"description": _HEADERS[name], "schema": {"type": "string"}} for name in names}


def _by_reference(model: type[BaseModel]) -> dict[str, str]:
    """Add the model to the description and return a reference to its schema."""
    MODELS[model.__name__] = model
    return {"$ref": _REF.format(model=model.__name__)}


def _used_models(document: dict[str, Any]) -> dict[str, type[BaseModel]]:
    """Return the models that the operations of this application refer to, and that of problems."""
    text = json.dumps(document["paths"])
    used = {name: model for name, model in MODELS.items() if f'"{_REF.format(model=name)}"' in text}
    return used | {ProblemDocument.__name__: ProblemDocument}


def _card(name: str) -> Card | None:
    try:
        return services().catalog.card(name)
    except ModelError:  # a broken model accepts no records
        return None


def register_docs(app: OpenAPI, api: APIBlueprint) -> None:
    """Serve the description, and Swagger UI from our own files so that it works offline."""

    @app.route(f"{api.url_prefix}/openapi.json")
    def openapi_document() -> dict[str, Any]:
        catalog = services().catalog
        cards = [card for card in map(_card, catalog.names()) if card]
        document = describe(app.api_doc, _used_models(app.api_doc), cards, catalog.default)
        if services().auth.on:
            add_security(document, app.url_map)
        return {**document, "servers": [{"url": request.script_root}]} if request.script_root else document

    @app.route(f"{api.url_prefix}/docs")
    def docs() -> str:
        return render_template("docs.html")

    @app.route(f"{api.url_prefix}/docs/assets/<path:name>")
    def docs_asset(name: str) -> Response:
        return send_from_directory(_ASSETS, name)
