"""Signing in at the organisation's OpenID Connect provider: authorization code flow with PKCE, state and nonce."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import requests
import structlog
from authlib.integrations.base_client import OAuthError
from authlib.integrations.flask_client import OAuth
from flask import Flask, current_app, request, session, url_for
from joserfc.errors import JoseError
from werkzeug.wrappers import Response

from database.errors import DatabaseError
from web.auth.authenticator import InvalidCredential
from web.auth.external_users import NoAccess
from web.auth.issuer import IssuerUnavailable
from web.auth.service import Auth
from web.auth.signing_in import own_path, start_session
from web.pages.accounts.blueprint import accounts, auth, page
from web.problems import Problem

log = structlog.stdlib.get_logger(__name__)

_NAME = "provider"
_TARGET = "next"
_TIMEOUT_SECONDS = 5
_FAILURES = (OAuthError, JoseError, requests.RequestException, IssuerUnavailable, InvalidCredential)


def register_provider(app: Flask, auth_: Auth) -> None:
    """Make Authlib's client of the provider, if one is configured; it asks the provider when it is first used."""
    if auth_.issuer is None:
        return
    OAuth(app).register(
        _NAME,
        client_id=auth_.settings.oidc_client_id,
        client_secret=auth_.settings.oidc_client_secret,
        server_metadata_url=auth_.issuer.metadata_url,
        client_kwargs={
            "scope": "openid email profile",
            "code_challenge_method": "S256",
            "default_timeout": _TIMEOUT_SECONDS,
        },
    )


def _client() -> Any:
    if auth().issuer is None:
        raise Problem(HTTPStatus.NOT_FOUND, "not_found", "no OpenID Connect provider is configured")
    return current_app.extensions["authlib.integrations.flask_client"].create_client(_NAME)


@accounts.get("/signin/provider")
def sign_in_at_provider() -> Response:
    """Lead to the provider."""
    client = _client()
    session[_TARGET] = own_path(request.args.get("next"))
    try:
        redirect_: Response = client.authorize_redirect(url_for("accounts.back_from_provider", _external=True))
    except _FAILURES as error:
        return _failed(error)
    return redirect_


@accounts.get("/signin/provider/back")
def back_from_provider() -> Response:
    """Sign in whom the provider sends back; each answer of it counts once."""
    client = _client()
    target = own_path(session.pop(_TARGET, None))
    try:
        claims = _claims(client)
        account = auth().external.account_of(claims, request.remote_addr or "")
        auth().users.note_sign_in(account.id)
        return start_session(auth(), account, current_app.redirect(target, HTTPStatus.SEE_OTHER), "provider")
    except NoAccess as error:
        auth().note("sign_in_refused", "provider", actor="", reason=str(error))
        return page("provider_failed", HTTPStatus.FORBIDDEN, reason=str(error))
    except DatabaseError:
        reason = "the database is unavailable; try again in a moment"
        return page("provider_failed", HTTPStatus.SERVICE_UNAVAILABLE, reason=reason)
    except _FAILURES as error:
        return _failed(error)


def _claims(client: Any) -> Mapping[str, Any]:
    """Return the verified claims of the ID token, with those of the user info that it does not have itself."""
    issuer, settings = auth().issuer, auth().settings
    assert issuer is not None
    token = client.authorize_access_token()
    # Authlib accepts the algorithms that the provider names; this only signatures with public keys.
    claims = issuer.verify(str(token.get("id_token", "")), str(settings.oidc_client_id))
    if settings.oidc_groups_claim not in claims and "userinfo_endpoint" in client.load_server_metadata():
        more = client.userinfo(token=token)
        if more.get("sub") == claims["sub"]:
            claims = {**more, **claims}
    return claims


def _failed(error: Exception) -> Response:
    log.info("signing in at the provider failed", error=type(error).__name__)
    auth().note("sign_in_refused", "provider", actor="", reason=type(error).__name__)
    return page(
        "provider_failed", HTTPStatus.BAD_REQUEST, reason="the provider's answer is not valid, or came too late"
    )
