"""JSON responses. Every JSON body of the service is encoded here."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from flask import Response
from pydantic import BaseModel

Document = BaseModel | Mapping[str, Any]


def encode_json(document: Document) -> bytes:
    """Encode a document as JSON. Of a model, members that were never set are left out."""
    if isinstance(document, BaseModel):
        document = document.model_dump(exclude_unset=True)
    return orjson.dumps(document)


def json_response(document: Document, status: int = HTTPStatus.OK, mimetype: str = "application/json") -> Response:
    """Return a response with the document as its JSON body."""
    return Response(encode_json(document), status, mimetype=mimetype)
