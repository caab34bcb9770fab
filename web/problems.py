"""Errors as problem details (RFC 9457); one table maps the exceptions of the other packages to codes and statuses."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import structlog
from flask import Flask, Response, render_template, request
from gunicorn.http.errors import ParseException
from pydantic import ValidationError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError
from redis.exceptions import TimeoutError as RedisTimeoutError
from werkzeug.exceptions import HTTPException, NotFound

from database.errors import DatabaseTooNew, DatabaseUnavailable, UnsuitableDatabase
from jobs.availability import redis_availability
from jobs.errors import (
    DamagedBlob,
    Detail,
    NotDurable,
    RateLimited,
    StorageUnavailable,
    StoreFull,
    TooManyJobs,
    TooManyPredictions,
    UnsuitableStore,
    UploadEnded,
    UploadForgotten,
    UploadRefused,
)
from jobs.logs import describe
from jobs.store.idempotency import StillUploading
from model.errors import BrokenModel, UnknownModel
from model.schema import Fault
from web.error_code import title_of, type_of
from web.error_codes import code_of
from web.responses import json_response
from web.server.limits import Busy

log = structlog.stdlib.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"

# Requests to other paths get a page instead of a problem document.
_API_PATHS = ("/api/", "/healthz", "/readyz", "/metrics")

# Statuses of refused uploads by code; 422 for all others.
_REFUSALS = {
    "malformed_body": HTTPStatus.BAD_REQUEST,
    "too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "unsupported_media_type": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "store_full": HTTPStatus.SERVICE_UNAVAILABLE,
    "rate_limited": HTTPStatus.TOO_MANY_REQUESTS,
}

# Code, status, seconds to wait and detail of other errors; without a detail, the text of the error is used.
_ERRORS: dict[type[Exception], tuple[str, HTTPStatus, int | None, str | None]] = {
    UnknownModel: ("unknown_model", HTTPStatus.UNPROCESSABLE_ENTITY, None, None),
    BrokenModel: ("broken_model", HTTPStatus.SERVICE_UNAVAILABLE, 60, None),
    TooManyJobs: ("too_many_jobs", HTTPStatus.TOO_MANY_REQUESTS, 10, None),
    TooManyPredictions: ("too_many_predictions", HTTPStatus.TOO_MANY_REQUESTS, 1, None),
    RateLimited: ("rate_limited", HTTPStatus.TOO_MANY_REQUESTS, 10, None),
    Busy: ("busy", HTTPStatus.SERVICE_UNAVAILABLE, 5, None),
    StoreFull: ("store_full", HTTPStatus.SERVICE_UNAVAILABLE, 60, None),
    StorageUnavailable: (
        "storage_unavailable",
        HTTPStatus.SERVICE_UNAVAILABLE,
        10,
        "the object store cannot be used at the moment",
    ),
    DamagedBlob: (
        "rows_lost",
        HTTPStatus.INTERNAL_SERVER_ERROR,
        None,
        "the object store has lost or altered rows of the job",
    ),
    UnsuitableStore: ("store_unsuitable", HTTPStatus.SERVICE_UNAVAILABLE, 60, None),
    NotDurable: ("not_durable", HTTPStatus.SERVICE_UNAVAILABLE, 2, None),
    StillUploading: ("still_uploading", HTTPStatus.CONFLICT, 2, None),
    UploadEnded: ("job_ended", HTTPStatus.CONFLICT, None, None),
    UploadForgotten: ("upload_timed_out", HTTPStatus.REQUEST_TIMEOUT, None, None),
    ParseException: ("malformed_body", HTTPStatus.BAD_REQUEST, None, "the body is not valid chunked data"),
    OutOfMemoryError: ("store_full", HTTPStatus.SERVICE_UNAVAILABLE, 60, "the store is full"),
    RedisConnectionError: ("store_unavailable", HTTPStatus.SERVICE_UNAVAILABLE, 2, "the store is unavailable"),
    RedisTimeoutError: ("store_unavailable", HTTPStatus.SERVICE_UNAVAILABLE, 2, "the store is unavailable"),
    DatabaseUnavailable: ("database_unavailable", HTTPStatus.SERVICE_UNAVAILABLE, 10, "the database is unavailable"),
    DatabaseTooNew: ("database_unavailable", HTTPStatus.SERVICE_UNAVAILABLE, 60, "the database is of a newer version"),
    UnsuitableDatabase: ("database_unavailable", HTTPStatus.SERVICE_UNAVAILABLE, 60, None),
    ReadOnlyError: ("store_unavailable", HTTPStatus.SERVICE_UNAVAILABLE, 2, "the store is read-only"),
}


def is_api(path: str) -> bool:
    """Return whether a path is for programs: its problems are documents, not pages."""
    return path.startswith(_API_PATHS)


class Problem(Exception):
    """Raised to answer a request with a problem document."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        errors: Sequence[dict[str, Any]] = (),
        retry_after: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = int(status)
        self.code = code
        self.detail = detail
        self.errors = list(errors) or [Detail(code, detail).as_dict()]
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["Retry-After"] = str(retry_after)

    def as_dict(self) -> dict[str, Any]:
        """Return the problem document."""
        return {
            "type": type_of(self.code),
            "title": title_of(self.code),
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            "errors": self.errors,
        }


class Unroutable(NotFound):
    """Raised by a URL converter for an invalid id, with the problem to answer with."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.problem = problem


def fault_detail(fault: Fault) -> dict[str, Any]:
    """Return a fault of a record as a member of ``errors``."""
    return Detail(fault.code, fault.detail, fault.column, value=fault.value, did_you_mean=fault.suggestion).as_dict()


def refusal_status(code: str) -> HTTPStatus:
    """Return the status of a refused upload."""
    return _REFUSALS.get(code, HTTPStatus.UNPROCESSABLE_ENTITY)


def to_problem(error: Exception) -> Problem | None:
    """Return the problem of a known error, or None."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, Unroutable):
        return error.problem
    if isinstance(error, UploadRefused):
        return Problem(
            refusal_status(error.code), error.code, error.detail, [detail.as_dict() for detail in error.errors]
        )
    for kind, (code, status, retry_after, detail) in _ERRORS.items():
        if isinstance(error, kind):
            own_delay = getattr(error, "retry_after", None)
            headers = _rate_limit_headers(error) if isinstance(error, RateLimited) else None
            return Problem(status, code, detail or str(error), retry_after=own_delay or retry_after, headers=headers)
    return None


def _rate_limit_headers(error: RateLimited) -> dict[str, str]:
    """Return the headers that say which limit is reached (draft-ietf-httpapi-ratelimit-headers)."""
    window = f";w={error.window}" if error.window else ""
    return {
        "RateLimit": f'"{error.policy}";r=0;t={error.retry_after}',
        "RateLimit-Policy": f'"{error.policy}";q={error.quota}{window}',
    }


def invalid_parameters(error: ValidationError) -> Problem:
    """Return the problem of parameters that do not match their schema."""
    errors = [
        Detail("bad_parameter", item["msg"], column=".".join(map(str, item["loc"])) or None).as_dict()
        for item in error.errors(include_url=False, include_context=False)
    ]
    names = ", ".join(str(item.get("column", "request")) for item in errors)
    label = "invalid parameter" if len(errors) == 1 else "invalid parameters"
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_parameter", f"{label}: {names}", errors)


def problem_response(problem: Problem) -> Response:
    """Return the API's response to a problem."""
    response = json_response(problem.as_dict(), problem.status, MEDIA_TYPE)
    response.headers.extend(problem.headers)
    return response


def refusal(app: Flask, status: HTTPStatus) -> bytes:
    """Return a complete HTTP response to an invalid request; it echoes nothing of the request."""
    with app.test_request_context(_API_PATHS[0]):
        problem = Problem(status, code_of(status), status.description or status.phrase)
        response = app.process_response(problem_response(problem))
    response.headers["Connection"] = "close"
    response.headers["Content-Length"] = str(response.calculate_content_length())
    return f"HTTP/1.1 {status} {status.phrase}\r\n{response.headers}".encode() + response.get_data()


def problem_page(problem: Problem) -> Response:
    """Return the page of a problem: what went wrong, and what to do next."""
    response = Response(render_template("problem.html", problem=problem), problem.status)
    response.headers.extend(problem.headers)
    return response


def http_problem(error: HTTPException) -> Problem:
    """Return the problem of a Werkzeug exception."""
    status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
    headers = {name: value for name, value in error.get_headers() if name == "Allow"}
    return Problem(status, code_of(status), error.description or status.phrase, headers=headers)


def register(app: Flask) -> None:
    """Answer errors with problem documents under API paths, elsewhere with pages."""

    def answer(error: Exception) -> Response:
        if isinstance(error, (RedisConnectionError, RedisTimeoutError)):
            redis_availability.record_failure(error)
        elif isinstance(error, DamagedBlob):
            log.error("rows lost", error=describe(error))
        problem = to_problem(error) or (http_problem(error) if isinstance(error, HTTPException) else None)
        if problem is None:
            route = request.url_rule.rule if request.url_rule else None
            log.error("request failed", method=request.method, route=route, exc_info=error)
            problem = Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "something went wrong on our side")
        return problem_response(problem) if is_api(request.path) else problem_page(problem)

    app.register_error_handler(Exception, answer)
