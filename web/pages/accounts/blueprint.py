"""The blueprint of these pages: every form is read and checked before a view acts."""

from typing import Any

from flask import Blueprint, Response, g, render_template, request

from web.auth.csrf import check_form
from web.auth.service import Auth
from web.compression import compress
from web.pages.posted_form import read_form
from web.services import services

accounts = Blueprint("accounts", __name__)


def auth() -> Auth:
    """Return what signing in needs."""
    return services().auth


def page(template: str, status: int = 200, **shown: Any) -> Response:
    """Return a page, which is never stored: it is about one person."""
    response = Response(render_template(f"accounts/{template}.html", **shown), status)
    response.headers["Cache-Control"] = "no-store"
    return response


@accounts.before_request
def _read_form() -> None:
    if request.method == "POST":
        g.form = read_form(request, services().limits.records)
        check_form(g.form)


accounts.after_request(compress.after_request)
