"""Tokens for programs: make, list and revoke them."""

from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from flask import flash, g, redirect, request, url_for
from werkzeug.wrappers import Response

from web.auth.identity import current_identity
from web.auth.roles import SCOPE_TEXTS, Scope, known_scopes
from web.auth.tokens import DEFAULT_DAYS, TokenRefused, make_token, revoke_token, visible_tokens
from web.pages.accounts.blueprint import accounts, auth, page

_DAYS = (7, 30, 90, 365)
_MAX_NAME = 255


@accounts.get("/tokens")
def tokens_page() -> Response:
    """Show the tokens, and the form for another one."""
    return _tokens_page()


@accounts.post("/tokens")
def create_token() -> Response:
    """Make a token and show it, once."""
    name, days = g.form.get("name", "").strip(), g.form.get("days", "")
    scopes = known_scopes(g.form.getlist("scopes"))
    if not 0 < len(name) <= _MAX_NAME:
        fault = ("name", "Enter a name that says what uses the token.")
    elif days not in map(str, _DAYS):
        fault = ("days", "Choose one of the times.")
    else:
        try:
            token, entry = make_token(auth(), name, scopes, datetime.now(UTC) + timedelta(days=int(days)))
            return page("new_token", token=token, entry=entry)
        except TokenRefused as error:
            text = str(error)
            fault = (error.field, f"{text[0].upper()}{text[1:]}.")
    return _tokens_page(name=name, days=days, scopes=scopes, fault=fault)


@accounts.post("/tokens/<token:token_id>/revoke")
def revoke(token_id: str) -> Response:
    """Revoke a token."""
    revoke_token(auth(), token_id)
    flash("The token is revoked.")
    return redirect(url_for("accounts.tokens_page"), HTTPStatus.SEE_OTHER)


def _tokens_page(
    name: str = "",
    days: str = str(DEFAULT_DAYS),
    scopes: frozenset[Scope] = frozenset({Scope.READ}),
    fault: tuple[str, str] | None = None,
) -> Response:
    everyones = "all" in request.args and current_identity().sees_all
    return page(
        "tokens",
        HTTPStatus.UNPROCESSABLE_ENTITY if fault else HTTPStatus.OK,
        tokens=visible_tokens(auth(), everyones),
        everyones=everyones,
        choices=[(scope, SCOPE_TEXTS[scope]) for scope in Scope if current_identity().may(scope)],
        name=name,
        days=days,
        all_days=_DAYS,
        scopes=scopes,
        fault=fault,
    )
