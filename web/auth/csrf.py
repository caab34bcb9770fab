"""Forms of our own pages only: each carries a secret of its browser (Flask-WTF), against forged requests.

Only needed where a cookie shows who makes the request, and while signing in. A streamed upload carries the secret in
its address, since nothing of its body may be read before.
"""

from collections.abc import Mapping
from http import HTTPStatus

from flask import Flask, g, request
from flask_wtf.csrf import generate_csrf, validate_csrf
from markupsafe import Markup
from wtforms import ValidationError

from web.problems import Problem

FIELD = "_csrf_token"
_HEADER = "X-CSRF-Token"
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
# Blueprints whose forms are read, and checked, before any view acts: see ``check_form``.
FORM_BLUEPRINTS = ("pages", "accounts", "history_pages")
_STREAMED = ("pages.create_job", "pages.correct_job")


def configure_csrf(app: Flask) -> None:
    """Configure Flask-WTF: the secret lasts as long as the browser is signed in."""
    app.config.update(WTF_CSRF_TIME_LIMIT=None, WTF_CSRF_FIELD_NAME=FIELD)


def form_field() -> Markup:
    """Return the hidden field of a form; nothing where auth is off."""
    if not g.get("has_csrf"):
        return Markup()
    return Markup('<input type="hidden" name="{}" value="{}">').format(FIELD, generate_csrf())


def form_query() -> dict[str, str]:
    """Return the parameter of the address of an upload form; nothing where auth is off."""
    return {FIELD: str(generate_csrf())} if g.get("has_csrf") else {}


def form_header() -> str:
    """Return the value of the header for scripts; empty where auth is off."""
    return str(generate_csrf()) if g.get("has_csrf") else ""


def check_request() -> None:
    """Check a request that a cookie identifies, unless its form is read, and then checked, later.

    Raises:
        Problem: ``stale_form``.
    """
    if request.method in _SAFE_METHODS:
        return
    # The secret is in the header or the address, or else in the form, which ``check_form`` reads.
    g.form_unchecked = True
    token = request.headers.get(_HEADER) or request.args.get(FIELD)
    if token is not None or request.blueprint not in FORM_BLUEPRINTS or request.endpoint in _STREAMED:
        _check(token)


def check_form(form: Mapping[str, str]) -> None:
    """Check the form of a request that has not been checked yet; raise Problem ``stale_form``."""
    if g.get("form_unchecked"):
        _check(form.get(FIELD))


def _check(token: str | None) -> None:
    try:
        validate_csrf(token)
    except ValidationError as error:
        detail = "the form is not of this browser's session; reload the page and send it again"
        raise Problem(HTTPStatus.FORBIDDEN, "stale_form", detail) from error
    g.form_unchecked = False
