"""Endpoints of the error codes: the ``type`` of each problem is the URL that explains its code."""

from http import HTTPStatus
from typing import Any

from flask import Response, render_template, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from web.api.openapi import answer, operation_name, problems
from web.api.request_schemas import ErrorPath
from web.api.service_schemas import ErrorDocument, ErrorList
from web.error_code import ErrorCode, type_of
from web.error_codes import ERROR_CODES
from web.problems import Problem
from web.responses import Document, json_response

api = APIBlueprint(
    "errors",
    __name__,
    url_prefix="/api/v1",
    abp_tags=[Tag(name="errors", description="what error codes mean")],
    operation_id_callback=operation_name,
)

_KINDS = ("application/json", "text/html")


@api.get("/errors", summary="List all error codes", responses={200: answer(ErrorList, "all codes", "Vary", page=True)})
def list_errors() -> Response:
    """Meaning and remedy of every code; browsers get a page."""
    document = ErrorList(errors=[_document(error) for error in ERROR_CODES.values()])
    return _negotiated(document, "errors.html", errors=ERROR_CODES.values())


@api.get(
    "/errors/<code>",
    summary="Explain an error code",
    responses={200: answer(ErrorDocument, "what it means and what to do", "Vary", page=True), **problems(404)},
)
def get_error(path: ErrorPath) -> Response:
    """Meaning and remedy of a code; browsers get a page. The ``type`` of each problem is this URL."""
    error = ERROR_CODES.get(path.code)
    if error is None:
        raise Problem(HTTPStatus.NOT_FOUND, "not_found", f"no problem has the code {path.code[:64]!r}")
    return _negotiated(_document(error), "errors.html", errors=[error])


def _document(error: ErrorCode) -> ErrorDocument:
    return ErrorDocument(
        code=error.code,
        title=error.title,
        type=type_of(error.code),
        statuses=[int(status) for status in error.statuses],
        meaning=error.meaning,
        remedy=error.remedy,
    )


def _negotiated(document: Document, template: str, **shown: Any) -> Response:
    """Return the document as JSON or, if the client prefers HTML, as a page."""
    if request.accept_mimetypes.best_match(_KINDS, _KINDS[0]) == _KINDS[0]:
        response = json_response(document)
    else:
        response = Response(render_template(template, **shown), mimetype=_KINDS[1])
    response.vary.add("Accept")
    return response
