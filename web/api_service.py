"""The API's endpoints for models, and the addresses that say how the service is."""

from http import HTTPStatus
from typing import Any

import orjson
import structlog
from flask import Response, request, url_for
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from redis.exceptions import RedisError

from jobs.alive import ROLES, living
from jobs.availability import store_availability
from model.card import Card, sample_csv
from model.catalog import Version
from model.errors import BrokenModel, ModelError, UnknownModel
from web.metrics import exposition
from web.openapi import answer, csv_answer, operation_name, parameters, parse, problems
from web.problems import Problem
from web.request_schemas import ModelPath
from web.schemas import ModelDocument, ModelList, ModelQuery
from web.service_schemas import Health, Readiness, VersionList
from web.services import services

api = APIBlueprint(
    "models",
    __name__,
    url_prefix="/api/v1",
    abp_tags=[Tag(name="models", description="what can score")],
    operation_id_callback=operation_name,
)
health = APIBlueprint(
    "health",
    __name__,
    abp_tags=[Tag(name="service", description="how the service is")],
    operation_id_callback=operation_name,
)

log = structlog.stdlib.get_logger(__name__)

# A worker of each of these must answer before the service is ready.
_NEEDED = tuple(role for role in ROLES if role != "reconciler")


@api.get("/models", summary="List models", responses={200: answer(ModelList, "all models"), **problems(503)})
def list_models() -> Response:
    """All models; a broken one shows with the reason."""
    return _json({"models": [_listed(name) for name in services().catalog.names()]})


@api.get(
    "/models/<name>",
    summary="Get a model",
    responses={200: answer(ModelDocument, "the model"), **problems(404, 422, 503)},
    openapi_extensions={"x-parameters": parameters(ModelQuery)},
)
def get_model(path: ModelPath) -> Response:
    """A model: what it takes, what it predicts and how well."""
    return _json(model_document(_asked_card(path.name)))


@api.get(
    "/models/<name>/versions",
    summary="List versions of a model",
    responses={200: answer(VersionList, "all versions"), **problems(404)},
)
def list_versions(path: ModelPath) -> Response:
    """All versions of a model, the newest first; a broken one shows with the reason."""
    return _json({"name": path.name, "versions": [_version_document(path.name, v) for v in found_versions(path.name)]})


@api.get(
    "/models/<name>/sample.csv",
    summary="A small CSV to try",
    responses={200: csv_answer("records that the model takes"), **problems(404, 422, 503)},
    openapi_extensions={"x-parameters": parameters(ModelQuery)},
)
def get_sample(path: ModelPath) -> Response:
    """A few records of the training data."""
    response = Response(sample_csv(_asked_card(path.name)), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{path.name}.sample.csv"'
    return response


@health.get("/healthz", summary="Whether this process lives", responses={200: answer(Health, "it lives")})
def healthz() -> Response:
    """This process lives."""
    return _json({"status": "ok"})


@health.get(
    "/readyz",
    summary="Whether every part of the service answers",
    responses={200: answer(Readiness, "all do"), 503: answer(Readiness, "some do not", "Retry-After")},
)
def readyz() -> Response:
    """Whether Redis answers, a worker of each queue answers, and the default model can be loaded."""
    missing, broken = missing_parts(), _broken_default()
    status = HTTPStatus.SERVICE_UNAVAILABLE if missing else HTTPStatus.OK
    response = _json({"ready": not missing, "missing": missing, **({"broken": broken} if broken else {})}, status)
    if missing:
        response.headers["Retry-After"] = "1"
    return response


@health.get(
    "/metrics",
    summary="Get the service in numbers",
    responses={200: {"description": "metrics", "content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics() -> Response:
    """The service in numbers, for Prometheus; without the store, the web's own and that it does not answer."""
    found = services()
    return exposition(found.request_metrics, found.service_metrics)


def missing_parts() -> list[str]:
    """Names of the parts of the service that do not answer."""
    found = services()
    missing = ["model"] if _broken_default() else []
    try:
        missing += [f"{role} worker" for role in _NEEDED if not living(found.store.redis, role)]
        missing += [f"a suitable store: {fault}" for fault in found.store.check.faults()]
        store_availability.found()
    except RedisError:
        missing.append("redis")
    return missing


def _broken_default() -> str | None:
    """Why the default model cannot be used, if it cannot."""
    try:
        services().catalog.usable_card()
    except ModelError as error:
        return str(error)
    return None


def found_card(name: str) -> Card:
    """The card of a model that can be used; raises Problem ``unknown_model`` with 404, and BrokenModel."""
    try:
        return services().catalog.usable_card(name)
    except UnknownModel as error:
        raise _not_found(error) from error


def found_versions(name: str) -> list[Version]:
    """The versions of a model, broken or not; raises Problem ``unknown_model`` with 404."""
    try:
        return services().catalog.versions(name)
    except UnknownModel as error:
        raise _not_found(error) from error


def _not_found(error: UnknownModel) -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "unknown_model", str(error))


def _asked_card(name: str) -> Card:
    """The card of a model, of the version that the query asks for. Raises as ``found_card``; 422 for a version."""
    version = parse(ModelQuery, request.args.to_dict()).version
    if version is None:
        return found_card(name)
    found_versions(name)
    return services().catalog.usable_card(name, version)


def model_document(card: Card) -> dict[str, Any]:
    """A card as the contract shows it."""
    parts = {"explanation": {"average_effects"}, "proof": {"answers"}}
    left_out: dict[str, Any] = {**parts, "sample": True, "record_schema": True}
    document = card.model_dump(mode="json", exclude=left_out)
    if not card.decides_by_threshold:
        document["threshold"] = None
    base = url_for("models.get_model", name=card.name)
    links = {"self": base, "sample": f"{base}/sample.csv", "page": url_for("pages.model_page", name=card.name)}
    links["versions"] = f"{base}/versions"
    return {**document, "default": card.name == services().catalog.default, "links": links}


def _listed(name: str) -> dict[str, Any]:
    try:
        return model_document(services().catalog.usable_card(name))
    except BrokenModel as error:
        log.warning("model broken", model=name, error=str(error).partition("\n")[0])
        return {"name": name, "broken": str(error), "default": name == services().catalog.default}


def _version_document(name: str, version: Version) -> dict[str, Any]:
    self_link = url_for("models.get_model", name=name, version=version.version)
    return {
        "version": version.version,
        "trained_at": version.card.trained_at if version.card else None,
        "current": version.current,
        "broken": version.broken,
        "links": {"self": self_link},
    }


def _json(document: dict[str, Any], status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(orjson.dumps(document), status, mimetype="application/json")
