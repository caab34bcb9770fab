"""The addresses that are the ``type`` of problems: what each code means and what to do, for programs and for people."""

from http import HTTPStatus
from typing import Any

import orjson
from flask import Response, render_template, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from web.api.openapi import answer, operation_name, problems
from web.api.request_schemas import ErrorPath
from web.api.service_schemas import ErrorDocument, ErrorList
from web.error_codes import ERROR_CODES, ErrorCode, type_of
from web.problems import Problem

api = APIBlueprint(
    "errors",
    __name__,
    url_prefix="/api/v1",
    abp_tags=[Tag(name="errors", description="what the codes of problems mean")],
    operation_id_callback=operation_name,
)

_KINDS = ("application/json", "text/html")


@api.get(
    "/errors", summary="List the codes of problems", responses={200: answer(ErrorList, "all codes", "Vary", page=True)}
)
def list_errors() -> Response:
    """Every code, with what it means and what to do; a browser gets a page."""
    document = {"errors": [_document(error) for error in ERROR_CODES.values()]}
    return _in_kind(document, "errors.html", errors=ERROR_CODES.values())


@api.get(
    "/errors/<code>",
    summary="Explain the code of a problem",
    responses={200: answer(ErrorDocument, "what it means and what to do", "Vary", page=True), **problems(404)},
)
def get_error(path: ErrorPath) -> Response:
    """What a code means and what to do; a browser gets a page. The ``type`` of each problem leads here."""
    error = ERROR_CODES.get(path.code)
    if error is None:
        raise Problem(HTTPStatus.NOT_FOUND, "not_found", f"no problem has the code {path.code[:64]!r}")
    return _in_kind(_document(error), "errors.html", errors=[error])


def _document(error: ErrorCode) -> dict[str, Any]:
    return {
        "code": error.code,
        "title": error.title,
        "type": type_of(error.code),
        "statuses": list(error.statuses),
        "meaning": error.meaning,
        "remedy": error.remedy,
    }


def _in_kind(document: dict[str, Any], template: str, **shown: Any) -> Response:
    """The document as JSON, or as a page for who asks for that rather."""
    if request.accept_mimetypes.best_match(_KINDS, _KINDS[0]) == _KINDS[0]:
        response = Response(orjson.dumps(document), mimetype=_KINDS[0])
    else:
        response = Response(render_template(template, **shown), mimetype=_KINDS[1])
    response.vary.add("Accept")
    return response
