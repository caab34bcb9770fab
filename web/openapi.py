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

from web.problems import MEDIA_TYPE, invalid_parameters
from web.schemas import ProblemDocument

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
            "schema": {key: value for key, value in schema.items() if key != "title"},
        }
        for place, model in (("query", query), ("header", header))
        if model
        for name, schema in model.model_json_schema(ref_template=_REF)["properties"].items()
    ]


def csv_body() -> dict[str, Any]:
    """The request body of an upload."""
    text = {"type": "string"}
    form = {
        "type": "object",
        "properties": {"file": {"type": "string", "contentMediaType": "text/csv"}},
        "required": ["file"],
    }
    return {"required": True, "content": {"text/csv": {"schema": text}, "multipart/form-data": {"schema": form}}}


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
    return {
        "description": "events `job`, each with the job",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }


def problems(*statuses: int) -> Answers:
    """Answers with problem details, by status."""
    schema = ProblemDocument.model_json_schema(ref_template=_REF)
    schema.pop("$defs", None)
    return {
        status: {"description": "Problem details", "content": {MEDIA_TYPE: {"schema": schema}}} for status in statuses
    }


def register_docs(app: OpenAPI, api: APIBlueprint) -> None:
    """Serve the description and, from files of our own, a page to try it on."""

    @app.route(f"{api.url_prefix}/openapi.json")
    def openapi_document() -> dict[str, Any]:
        return app.api_doc

    @app.route(f"{api.url_prefix}/docs")
    def docs() -> str:
        return render_template("docs.html")

    @app.route(f"{api.url_prefix}/docs/assets/<path:name>")
    def docs_asset(name: str) -> Response:
        return send_from_directory(_ASSETS, name)
