"""The guard in front of all endpoints: who makes the request, may they, and what of it the audit log keeps."""

from http import HTTPStatus
from urllib.parse import urlencode

from flask import Flask, Response, g, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from web.auth import csrf
from web.auth.access import Open, Rule, rule_of
from web.auth.authenticator import InvalidCredential
from web.auth.cookies import SESSION_COOKIE, FormSessionInterface
from web.auth.identity import EVERYONE, Identity, Means, current_identity
from web.auth.roles import Scope
from web.auth.service import Auth
from web.problems import Problem, is_api

_REALM = 'Bearer realm="Scoreline"'


def register_guard(app: Flask, auth: Auth) -> None:
    """Let requests pass only if they may; where auth is off, let all pass."""
    if not auth.on:
        return

    def guard() -> BaseResponse | None:
        # Nobody, until it is known who: without this, ``current_identity`` would be everyone.
        g.identity, g.has_csrf = _NOBODY, bool(app.secret_key)
        if request.routing_exception is not None:  # answered with 404 or 405
            return None
        rule = rule_of(request.endpoint)
        if request.blueprint in csrf.FORM_BLUEPRINTS:
            auth.secret.get()  # raises if the store is away
        try:
            identity = auth.authenticator.identify(
                request.headers.get("Authorization"), request.cookies.get(SESSION_COOKIE)
            )
        except InvalidCredential as error:
            if rule is not None and rule.requires is Open.ANYONE:
                return None
            raise _unauthenticated(str(error), ', error="invalid_token"') from error
        g.identity = identity or _NOBODY
        answer = _admit(rule, identity)
        # Only a cookie is sent without the user's doing; tokens are not.
        if answer is None and (identity is None or identity.means is Means.SESSION):
            csrf.check_request()
        return answer

    def note(response: Response) -> Response:
        _audit(auth, response)
        return response

    app.before_request(guard)
    app.after_request(note)


def configure_signing_in(app: Flask, auth: Auth) -> None:
    """Configure what browsers keep, and what templates need to know; with auth off, only the latter."""
    if auth.on:
        app.session_interface = FormSessionInterface(auth.secret)
        csrf.configure_csrf(app)
    app.jinja_env.globals.update(
        auth_on=auth.on,
        current_identity=current_identity,
        signed_in=signed_in,
        form_field=csrf.form_field,
        form_query=csrf.form_query,
        form_header=csrf.form_header,
    )


_NOBODY = Identity(owner="nobody", name="", scopes=frozenset())


def signed_in() -> bool:
    """Return whether a user makes the current request; never where auth is off."""
    return current_identity() not in (EVERYONE, _NOBODY)


def _admit(rule: Rule | None, identity: Identity | None) -> BaseResponse | None:
    """Let a request pass, lead it to the sign-in page, or raise Problem ``unauthenticated`` or ``forbidden``."""
    if rule is not None and rule.requires is Open.ANYONE:
        return None
    if identity is None:
        if is_api(request.path):
            raise _unauthenticated("sign in, or send a token as `Authorization: Bearer scl_…`")
        return redirect(f"{url_for('accounts.sign_in')}{_next()}", HTTPStatus.SEE_OTHER)
    if rule is None:
        raise Problem(HTTPStatus.FORBIDDEN, "forbidden", "nobody may use this address yet")
    if rule.requires is Open.PERSON:
        if identity.means is Means.TOKEN and not identity.may(Scope.ADMIN):
            raise forbidden(Scope.ADMIN)
    elif not identity.may(Scope(rule.requires)):
        raise forbidden(Scope(rule.requires))
    return None


def _next() -> str:
    """Return the query that leads back to a page after signing in."""
    # Only a page can be gone back to; a form would be sent again without its content.
    if request.method not in ("GET", "HEAD") or request.path == "/":
        return ""
    return "?" + urlencode({"next": request.script_root + request.full_path.removesuffix("?")})


def _unauthenticated(detail: str, reason: str = "") -> Problem:
    headers = {"WWW-Authenticate": _REALM + reason}
    return Problem(HTTPStatus.UNAUTHORIZED, "unauthenticated", detail, headers=headers)


def forbidden(scope: Scope) -> Problem:
    """Return the problem of a request without a scope."""
    identity = current_identity()
    whose = "the token" if identity.means is Means.TOKEN else f"the role {identity.role}"
    headers = {"WWW-Authenticate": f'{_REALM}, error="insufficient_scope", scope="{scope}"'}
    detail = f"this needs the scope {scope}, which {whose} does not have"
    return Problem(HTTPStatus.FORBIDDEN, "forbidden", detail, headers=headers)


def _audit(auth: Auth, response: Response) -> None:
    """Note refusals, downloads and deletions."""
    rule, what = rule_of(request.endpoint), _object(response)
    is_throttled = response.status_code == HTTPStatus.TOO_MANY_REQUESTS and request.blueprint == "accounts"
    if response.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) or is_throttled:
        auth.note_refusal(f"{request.method} {request.path}", response.status_code)
    elif rule and rule.audited and response.status_code < HTTPStatus.BAD_REQUEST and request.method != "HEAD":
        auth.note(rule.audited, what)


def _object(response: Response) -> str:
    """Return what a request is about: the job in its address, or the one that its response names."""
    if request.view_args:
        return "/".join(map(str, request.view_args.values()))
    return response.headers.get("Location", "").rpartition("/")[2]
