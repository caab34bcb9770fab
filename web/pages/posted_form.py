"""The form that a page posts: read as a whole and well-formed, or refused, before the page acts."""

from collections.abc import Mapping
from contextlib import nullcontext
from io import BytesIO

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser

from jobs.errors import UploadRefused
from web.request_limits import MAX_FORM_BYTES, MAX_FORM_PARTS
from web.server.limits import ConcurrencyLimit
from web.uploads.bodies import has_arrived, read_body


def read_form(request: Request, places: ConcurrencyLimit) -> Mapping[str, str]:
    """Return the fields of a form; ``places`` limits how many forms are read at once.

    Raises:
        UploadRefused: ``too_large``, ``malformed_body``.
        UploadForgotten: if the form arrives too slowly.
        Busy: if too many bodies are being read.
    """
    with nullcontext() if has_arrived(request) else places.held(request.remote_addr or ""):
        body = _received(request)
    # Files stay in memory: the body is there already, and a temporary file would outlive a killed process.
    parser = FormDataParser(
        lambda *_, **__: BytesIO(),
        max_form_memory_size=MAX_FORM_BYTES,
        max_form_parts=MAX_FORM_PARTS,
        silent=False,
    )
    try:
        _, form, _ = parser.parse(body, request.mimetype, request.content_length, request.mimetype_params)
    except RequestEntityTooLarge as error:
        raise _too_large() from error
    except ValueError as error:
        raise UploadRefused("malformed_body", "the form is malformed or incomplete") from error
    return form


def _received(request: Request) -> BytesIO:
    announced, body = request.content_length or 0, BytesIO()
    if announced > MAX_FORM_BYTES:
        raise _too_large()
    for block in read_body(request.stream, announced, MAX_FORM_BYTES):
        body.write(block)
        if body.tell() > MAX_FORM_BYTES:
            raise _too_large()
    body.seek(0)
    return body


def _too_large() -> UploadRefused:
    detail = f"a form must not be larger than {MAX_FORM_BYTES} bytes or have more than {MAX_FORM_PARTS} parts"
    return UploadRefused("too_large", detail)
