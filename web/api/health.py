"""The addresses that say how the service is: liveness, readiness and metrics."""

from http import HTTPStatus

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from redis.exceptions import RedisError

from jobs.availability import redis_availability
from jobs.store.heartbeat import ROLES, living
from model.errors import ModelError
from web.api.openapi import answer, operation_name
from web.api.service_schemas import Health, Readiness
from web.responses import json_response
from web.server.metrics import exposition
from web.services import services

health = APIBlueprint(
    "health",
    __name__,
    abp_tags=[Tag(name="service", description="how the service is")],
    operation_id_callback=operation_name,
)

# A worker of each of these must answer before the service is ready.
_NEEDED = tuple(role for role in ROLES if role != "reconciler")


@health.get("/healthz", summary="Whether this process lives", responses={200: answer(Health, "it lives")})
def healthz() -> Response:
    """This process lives."""
    return json_response({"status": "ok"})


@health.get(
    "/readyz",
    summary="Whether every part of the service answers",
    responses={200: answer(Readiness, "all do"), 503: answer(Readiness, "some do not", "Retry-After")},
)
def readyz() -> Response:
    """Whether Redis answers, a worker of each queue answers, and the default model can be loaded."""
    missing, broken = missing_parts(), _broken_default()
    status = HTTPStatus.SERVICE_UNAVAILABLE if missing else HTTPStatus.OK
    response = json_response(
        {"ready": not missing, "missing": missing, **({"broken": broken} if broken else {})}, status
    )
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
        redis_availability.record_success()
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
