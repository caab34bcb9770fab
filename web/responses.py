"""Answers that are JSON."""

from http import HTTPStatus
from typing import Any

import orjson
from flask import Response


def json_response(document: dict[str, Any], status: HTTPStatus = HTTPStatus.OK) -> Response:
    """A document as JSON."""
    return Response(orjson.dumps(document), status, mimetype="application/json")
