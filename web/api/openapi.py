"""The API's description (OpenAPI 3.1), made from the routes and the models of ``web.api.schemas``, and its page."""

from collections.abc import Mapping
from http import HTTPStatus
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
from web.api.openapi_models import describe
from web.api.schemas import ProblemDocument, UploadQuery
from web.problems import MEDIA_TYPE, invalid_parameters
from web.services import services

INFO = Info(title="Scoreline", version="1", description="CSV files and single records scored by scikit-learn models.")
# As flask_openapi3 wants the answers of an operation.
Answers = dict[str | int, type[BaseModel] | dict[Any, Any] | None]
_M = TypeVar("_M", bound=BaseModel)
_ASSETS = Path(str(files("flask_openapi3_swagger"))) / "templates" / "swagger"
_REF = "#/components/schemas/{model}"
_BYTES = {"type": "string", "format": "binary"}
_TO_RETRY = (409, 429, 503)
_HEADERS = {
    "Cache-Control": "that this is to be kept nowhere",
    "Content-Disposition": "`attachment`, with the name under which to save it",
    "ETag": "what tells this state of the job from others, for `If-None-Match`",
    "Idempotent-Replayed": "`true`: the upload was there before, and this is its job",
    "Location": "address of the job or the prediction",
    "Preference-Applied": "what of `Prefer` was heeded",
    "Retry-After": "seconds after which to ask again",
    "Vary": "the request headers that decide what the answer is",
    "X-Accel-Buffering": "`no`: a proxy is to pass each part on at once",
}
MODELS: dict[str, type[BaseModel]] = {}
"""The models to which operations refer, by their names in the description."""


def parse(model: type[_M], values: Mapping[str, str]) -> _M:
    """Parameters as the API describes them, empty ones left out. Raises Problem ``bad_parameter``."""
    try:
        return model.model_validate({name: value for name, value in values.items() if value})
    except ValidationError as error:
        raise invalid_parameters(error) from error


def operation_name(*, name: str, path: str, method: str) -> str:
    """The id of an operation: what its function is called."""
    del path, method
    return name


def parameters(query: type[BaseModel] | None = None, header: type[BaseModel] | None = None) -> list[dict[str, Any]]:
    """The query and header parameters of an operation, which join those of its path in the description."""
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
    """The request body of an upload: any bytes, since which of them are CSV no JSON schema tells.

    Generators of clients know no bodies of ``text/csv``, which is what most programs send; they get the same under the
    name that they know.
    """
    fields = UploadQuery.model_json_schema()["properties"]
    file = {**_BYTES, "description": "the file; `encoding`, too, can be a field of the form, but only before this one"}
    named = {name: _without_null(field) for name, field in fields.items() if name != "encoding"}
    form = {"type": "object", "properties": {"file": file} | named, "required": ["file"]}
    return {
        "required": True,
        "description": "the CSV: as it is, `text/csv` or `application/octet-stream`, or as the part `file` of a form",
        "content": {
            "multipart/form-data": {"schema": form, "encoding": {"file": {"contentType": "text/csv"}}},
            "application/octet-stream": {"schema": _BYTES},
        },
    }


def json_body() -> dict[str, Any]:
    """A JSON request body; of which schema, the models that there are decide."""
    return {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}


def answer(model: type[BaseModel], description: str, *headers: str, page: bool = False) -> dict[str, Any]:
    """A JSON answer with these headers; ``page``: a browser gets a page instead."""
    content: dict[str, Any] = {"application/json": {"schema": _by_reference(model)}}
    if page:
        content["text/html"] = {"schema": {"type": "string"}}
    return {"description": description, "content": content, "headers": _headers(*headers)}


def no_content(description: str, *headers: str) -> dict[str, Any]:
    """An answer without a body."""
    return {"description": description, "headers": _headers(*headers)}


def csv_answer(description: str, *headers: str) -> dict[str, Any]:
    """A CSV answer."""
    content = {"text/csv": {"schema": {"type": "string"}}}
    return {"description": description, "content": content, "headers": _headers("Content-Disposition", *headers)}


def event_stream() -> dict[str, Any]:
    """An answer of server-sent events."""
    return {
        "description": "events `job`, each with the job as its data and its revision as its id",
        # No JSON schema says what a stream of events is; generated clients have it as a text.
        "content": {"text/event-stream": {"schema": {"description": "lines `id`, `event: job` and `data` (the job)"}}},
        "headers": _headers("Cache-Control", "X-Accel-Buffering"),
    }


def problems(*statuses: int) -> Answers:
    """Answers with problem details, by status."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": _by_reference(ProblemDocument)}},
            "headers": _headers("Retry-After") if status in _TO_RETRY else {},
        }
        for status in statuses
    }


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"description": _HEADERS[name], "schema": {"type": "string"}} for name in names}


def _by_reference(model: type[BaseModel]) -> dict[str, str]:
    """A reference to the schema of the model, which the description then has."""
    MODELS[model.__name__] = model
    return {"$ref": _REF.format(model=model.__name__)}


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
        return describe(app.api_doc, MODELS, [card for card in map(_card, catalog.names()) if card], catalog.default)

    @app.route(f"{api.url_prefix}/docs")
    def docs() -> str:
        return render_template("docs.html")

    @app.route(f"{api.url_prefix}/docs/assets/<path:name>")
    def docs_asset(name: str) -> Response:
        return send_from_directory(_ASSETS, name)
