"""Endpoints for models."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import structlog
from flask import Response, request, url_for
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from jobs.store.load_failures import LoadFailure
from model.card import Card, sample_csv
from model.catalog import Version
from model.errors import BrokenModel, UnknownModel
from web.api.openapi import answer, csv_answer, operation_name, parameters, parse, problems
from web.api.request_schemas import ModelPath
from web.api.schemas import BrokenModelDocument, ModelDocument, ModelList, ModelQuery
from web.api.service_schemas import LoadFailureDocument, VersionDocument, VersionList
from web.problems import Problem
from web.responses import json_response
from web.services import services

api = APIBlueprint(
    "models",
    __name__,
    url_prefix="/api/v1",
    abp_tags=[Tag(name="models", description="available models")],
    operation_id_callback=operation_name,
)
log = structlog.stdlib.get_logger(__name__)


@api.get("/models", summary="List models", responses={200: answer(ModelList, "all models"), **problems(503)})
def list_models() -> Response:
    """A broken model is listed with the reason."""
    return json_response(ModelList(models=[_listed(name) for name in services().catalog.names()]))


@api.get(
    "/models/<name>",
    summary="Get a model",
    responses={200: answer(ModelDocument, "the model"), **problems(404, 422, 503)},
    openapi_extensions={"x-parameters": parameters(ModelQuery)},
)
def get_model(path: ModelPath) -> Response:
    """Input features, output and performance of a model."""
    return json_response(model_document(_requested_card(path.name)))


@api.get(
    "/models/<name>/versions",
    summary="List versions of a model",
    responses={200: answer(VersionList, "all versions"), **problems(404)},
)
def list_versions(path: ModelPath) -> Response:
    """All versions of a model, newest first; with the reason if one is broken, or cannot be loaded on some host."""
    failures = services().load_failures.of_model(path.name)
    versions = [_version_document(path.name, version, failures) for version in found_versions(path.name)]
    return json_response(VersionList(name=path.name, versions=versions))


@api.get(
    "/models/<name>/sample.csv",
    summary="Get a sample CSV",
    responses={200: csv_answer("records that the model takes"), **problems(404, 422, 503)},
    openapi_extensions={"x-parameters": parameters(ModelQuery)},
)
def get_sample(path: ModelPath) -> Response:
    """A few records of the training data."""
    response = Response(sample_csv(_requested_card(path.name)), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{path.name}.sample.csv"'
    return response


def found_card(name: str) -> Card:
    """Return the card of a usable model; raise Problem ``unknown_model`` with 404, or ``BrokenModel``."""
    try:
        return services().catalog.usable_card(name)
    except UnknownModel as error:
        raise _not_found(error) from error


def found_versions(name: str) -> list[Version]:
    """Return all versions of a model, broken or not; raise Problem ``unknown_model`` with 404."""
    try:
        return services().catalog.versions(name)
    except UnknownModel as error:
        raise _not_found(error) from error


def _not_found(error: UnknownModel) -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "unknown_model", str(error))


def _requested_card(name: str) -> Card:
    """Return the card of the version in the query. Raises as ``found_card`` does; an unknown version is a 422."""
    version = parse(ModelQuery, request.args.to_dict()).version
    if version is None:
        return found_card(name)
    found_versions(name)
    return services().catalog.usable_card(name, version)


def model_document(card: Card) -> ModelDocument:
    """Return a card as the API shows it; ``ModelDocument`` describes the members that programs may rely on."""
    parts = {"explanation": {"average_effects"}, "proof": {"answers"}}
    excluded: dict[str, Any] = {**parts, "sample": True, "record_schema": True}
    document = card.model_dump(mode="json", exclude=excluded)
    if not card.decides_by_threshold:
        document["threshold"] = None
    base = url_for("models.get_model", name=card.name)
    links = {"self": base, "sample": f"{base}/sample.csv", "page": url_for("pages.model_page", name=card.name)}
    links["versions"] = f"{base}/versions"
    return ModelDocument.model_validate(
        {**document, "default": card.name == services().catalog.default, "links": links}
    )


def _listed(name: str) -> ModelDocument | BrokenModelDocument:
    try:
        return model_document(services().catalog.usable_card(name))
    except BrokenModel as error:
        log.warning("model broken", model=name, error=str(error).partition("\n")[0])
        return BrokenModelDocument(name=name, broken=str(error), default=name == services().catalog.default)


def _version_document(name: str, version: Version, failures: Sequence[LoadFailure]) -> VersionDocument:
    return VersionDocument(
        version=version.version,
        trained_at=version.card.trained_at if version.card else None,
        current=version.current,
        broken=version.broken,
        cannot_be_loaded=[
            LoadFailureDocument(host=failure.host, role=failure.role, reason=failure.reason)
            for failure in failures
            if failure.version == version.version
        ],
        links={"self": url_for("models.get_model", name=name, version=version.version)},
    )
