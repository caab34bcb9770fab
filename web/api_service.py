"""The API's endpoints for models, and the addresses that say how the service is."""

from http import HTTPStatus
from typing import Any

import orjson
import structlog
from flask import Blueprint, Response, url_for
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from redis.exceptions import RedisError

from jobs.alive import ROLES, living
from jobs.availability import store_availability
from model.card import Card, sample_csv
from model.errors import BrokenModel, ModelError, UnknownModel
from web.metrics import exposition
from web.openapi import csv_answer, problems
from web.problems import Problem
from web.schemas import ModelDocument, ModelList, ModelPath
from web.services import services

api = APIBlueprint(
    "models", __name__, url_prefix="/api/v1", abp_tags=[Tag(name="models", description="what can score")]
)
health = Blueprint("health", __name__)

log = structlog.stdlib.get_logger(__name__)

# A worker of each of these must answer before the service is ready.
_NEEDED = tuple(role for role in ROLES if role != "reconciler")


@api.get("/models", summary="List models", responses={200: ModelList, **problems(503)})
def list_models() -> Response:
    """All models; a broken one shows with the reason."""
    return _json({"models": [_listed(name) for name in services().catalog.names()]})


@api.get("/models/<name>", summary="Get a model", responses={200: ModelDocument, **problems(404, 503)})
def get_model(path: ModelPath) -> Response:
    """A model: what it takes, what it predicts and how well."""
    return _json(model_document(found_card(path.name)))


@api.get(
    "/models/<name>/sample.csv",
    summary="A small CSV to try",
    responses={200: csv_answer("records that the model takes"), **problems(404, 503)},
)
def get_sample(path: ModelPath) -> Response:
    """A few records of the training data."""
    response = Response(sample_csv(found_card(path.name)), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{path.name}.sample.csv"'
    return response


@health.get("/healthz")
def healthz() -> Response:
    """This process lives."""
    return _json({"status": "ok"})


@health.get("/readyz")
def readyz() -> Response:
    """Whether Redis answers, a worker of each queue answers, and the default model can be loaded."""
    missing = missing_parts()
    status = HTTPStatus.SERVICE_UNAVAILABLE if missing else HTTPStatus.OK
    response = _json({"ready": not missing, "missing": missing}, status)
    if missing:
        response.headers["Retry-After"] = "1"
    return response


@health.get("/metrics")
def metrics() -> Response:
    """The service in numbers, for Prometheus; without the store, the web's own and that it does not answer."""
    found = services()
    return exposition(found.request_metrics, found.service_metrics)


def missing_parts() -> list[str]:
    """Names of the parts of the service that do not answer."""
    found = services()
    missing = []
    try:
        found.catalog.card()
    except ModelError:
        missing.append("model")
    try:
        missing += [f"{role} worker" for role in _NEEDED if not living(found.store.redis, role)]
        store_availability.found()
    except RedisError:
        missing.append("redis")
    return missing


def found_card(name: str) -> Card:
    """The card of a model; raises Problem ``unknown_model`` with 404."""
    try:
        return services().catalog.card(name)
    except UnknownModel as error:
        raise Problem(HTTPStatus.NOT_FOUND, "unknown_model", str(error)) from error


def model_document(card: Card) -> dict[str, Any]:
    """A card as the contract shows it."""
    document = card.model_dump(mode="json", exclude={"average_effects", "sample", "record_schema"})
    if not card.decides_by_threshold:
        document["threshold"] = None
    base = url_for("models.get_model", name=card.name)
    links = {"self": base, "sample": f"{base}/sample.csv", "page": url_for("pages.model_page", name=card.name)}
    return {**document, "default": card.name == services().catalog.default, "links": links}


def _listed(name: str) -> dict[str, Any]:
    try:
        return model_document(services().catalog.card(name))
    except BrokenModel as error:
        log.warning("model broken", model=name, error=str(error).partition("\n")[0])
        default = name == services().catalog.default
        return {"name": name, "broken": "the model's files are missing or damaged", "default": default}


def _json(document: dict[str, Any], status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(orjson.dumps(document), status, mimetype="application/json")
