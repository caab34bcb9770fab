"""JSON bodies of requests: read within limits, and parsed strictly."""

import json
from contextlib import nullcontext
from typing import Any

from flask import Request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from jobs.errors import UploadRefused
from web.request_limits import MAX_JSON_BYTES
from web.server.limits import ConcurrencyLimit
from web.uploads.bodies import has_arrived


def has_json(request: Request) -> bool:
    """Return whether the body says that it is JSON."""
    return request.mimetype == "application/json" or request.mimetype.endswith("+json")


def read_json(request: Request, places: ConcurrencyLimit) -> bytes:
    """Return the body as it came.

    Raises:
        UploadRefused: ``malformed_body``, ``too_large``.
        Busy: too many such bodies are being received; ``places`` limits them.
    """
    request.max_content_length = MAX_JSON_BYTES
    try:
        with nullcontext() if has_arrived(request) else places.held(request.remote_addr or ""):
            # Not kept in the request as well: a body may have 16 MiB.
            text = request.get_data(cache=False)
    except ClientDisconnected as error:
        raise UploadRefused("malformed_body", "the connection was lost, or the body arrived too slowly") from error
    except RequestEntityTooLarge as error:
        raise _too_large() from error
    if len(text) >= MAX_JSON_BYTES:  # Werkzeug silently truncates a body without a length
        raise _too_large()
    return text


def _too_large() -> UploadRefused:
    return UploadRefused("too_large", f"the JSON body must be smaller than {MAX_JSON_BYTES} bytes")


def parse_object(text: bytes) -> dict[str, Any]:
    """Parse a JSON object: numbers of any size, strings without lone surrogates.

    Raises:
        UploadRefused: ``malformed_body``.
    """
    try:
        document = json.loads(text.decode("utf-8"), parse_constant=_refuse_constant)
        # Only escapes can make a lone surrogate, which no encoding writes.
        if b"\\u" in text:
            json.dumps(document, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise UploadRefused("malformed_body", f"the body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise UploadRefused("malformed_body", 'the body is not a JSON object with "record" or "records"')
    return document


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")
