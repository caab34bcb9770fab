"""Endpoints for monitoring: liveness, readiness and metrics."""

from http import HTTPStatus
from typing import Any

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from redis.exceptions import RedisError

from jobs.availability import redis_availability
from jobs.errors import StorageFull, StorageUnavailable
from jobs.store.heartbeat import SCORING_ROLES, living
from model.errors import ModelError
from web.api.openapi import answer, operation_name
from web.api.service_schemas import Health, Readiness
from web.responses import json_response
from web.server.build_info import BuildInfo
from web.server.history_metrics import HistoryMetrics
from web.server.metrics import exposition
from web.services import services

health = APIBlueprint(
    "health",
    __name__,
    abp_tags=[Tag(name="service", description="health and metrics")],
    operation_id_callback=operation_name,
)

# The service is ready once a worker of each of these roles is alive.
_REQUIRED_ROLES = SCORING_ROLES


@health.get("/healthz", summary="Whether this process is alive", responses={200: answer(Health, "it is")})
def healthz() -> Response:
    """Answers while this process is alive."""
    return json_response(Health(status="ok"))


@health.get(
    "/readyz",
    summary="Whether every part of the service answers",
    responses={200: answer(Readiness, "all do"), 503: answer(Readiness, "some do not", "Retry-After")},
)
def readyz() -> Response:
    """Checks that Redis and a worker of each queue answer, and that the default model can be loaded.

    A database that cannot be written to is told of in `history`, and versions that a host cannot load in `models`.
    Neither makes the service unready.
    """
    missing, broken, ailing = missing_parts(), _broken_default(), _ailing_history()
    status = HTTPStatus.SERVICE_UNAVAILABLE if missing else HTTPStatus.OK
    given = _given(broken=broken, history=ailing, models=_unloadable())
    document = Readiness(ready=not missing, missing=missing, **given)
    response = json_response(document, status)
    if missing:
        response.headers["Retry-After"] = "1"
    return response


@health.get(
    "/metrics",
    summary="Get metrics",
    responses={200: {"description": "metrics", "content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics() -> Response:
    """Metrics for Prometheus. While the store is away, those of the web alone."""
    current = services()
    return exposition(BuildInfo(), current.request_metrics, current.service_metrics, HistoryMetrics(current.outbox))


def missing_parts() -> list[str]:
    """Return the names of the parts of the service that do not answer."""
    current = services()
    missing = ["model"] if _broken_default() else []
    try:
        missing += [f"{role} worker" for role in _REQUIRED_ROLES if not living(current.store.redis, role)]
        missing += [f"a suitable store: {fault}" for fault in current.store.check.faults()]
        redis_availability.record_success()
        current.store.storage_check.require()
    except RedisError:
        missing.append("redis")
    except (StorageFull, StorageUnavailable) as error:
        missing.append(f"the object store: {error}")
    return missing


def _ailing_history() -> str | None:
    """Return why nothing is added to the history; None if it is, or if the store does not answer."""
    outbox = services().outbox
    try:
        if not living(outbox.redis, "recorder"):
            return "no recorder is alive"
        return outbox.stats().fault
    except RedisError:
        return None


def _unloadable() -> list[str]:
    """Return which versions cannot be loaded on which hosts, and why; none where the store does not answer."""
    try:
        failures = services().load_failures.all()
    except RedisError:
        return []
    return [f"{one.model} {one.version} on {one.host} ({one.role}): {one.reason}" for one in failures]


def _given(**members: str | list[str] | None) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value}


def _broken_default() -> str | None:
    """Return why the default model cannot be used; None if it can."""
    try:
        services().catalog.usable_card()
    except ModelError as error:
        return str(error)
    return None
