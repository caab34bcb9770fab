"""Signing in by e-mail and password, and what follows: sessions, one-time addresses, new passwords."""

import secrets
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from flask import g, request, session
from werkzeug.wrappers import Response

from database.invitations import Purpose
from database.tables import Role
from database.users import Account
from web.auth import cookies
from web.auth.authenticator import session_identity
from web.auth.identity import Means, current_identity
from web.auth.secrets import digest, new_secret
from web.auth.service import Auth
from web.prefix import path_prefix

INVITATION_TIME = timedelta(days=3)
RESET_TIME = timedelta(hours=24)


def verify_password(auth: Auth, email: str, password: str) -> Account | None:
    """Return the account if the password is its own and it may sign in; the time taken says nothing of which.

    Raises:
        RateLimited: there were too many attempts; the password was not looked at.
        DatabaseUnavailable, Busy: not now.
    """
    account = auth.users.by_email(email)
    known = cookies.device_of(request, auth.secret.get())
    device = known[1] if known and account and known[0] == account.id else None
    # Counted before the password is looked at, so that attempts at the same time count as well.
    auth.throttle.count_sign_in(email, request.remote_addr or "", device)
    right = auth.passwords.verify(account.password_hash if account else None, password)
    if account is None or not right or account.disabled:
        auth.note("sign_in_refused", "" if account else "unknown account", actor=account.email if account else "")
        return None
    auth.throttle.forgive(email)
    if account.password_hash and auth.passwords.is_outdated(account.password_hash):
        # Only now is the password known, and can be hashed anew.
        auth.users.set_password(account.id, auth.passwords.hash(password))
    return account


def start_session(auth: Auth, account: Account, response: Response, means: str) -> Response:
    """Sign the account in: end the session that the browser had, and give it a new one with the response."""
    secret, settings = new_secret(), auth.settings
    # The browser may have been given that session by somebody else (session fixation).
    end_session(auth)
    expires = datetime.now(UTC) + timedelta(seconds=settings.session_seconds)
    agent = request.headers.get("User-Agent", "")
    auth.credentials.start_session(digest(secret), account.id, expires, request.remote_addr or "", agent)
    identity = session_identity(account.id, account.email, account.role, digest(secret))
    auth.authenticator.remember(digest(secret), identity)
    cookies.set_session(response, secret, settings.session_seconds)
    known = cookies.device_of(request, auth.secret.get())
    if known is None or known[0] != account.id:
        cookies.set_device(response, auth.secret.get(), account.id, secrets.token_hex(16))
    g.identity = identity
    auth.note("signed_in", means)
    return response


def end_session(auth: Auth) -> None:
    """End the session that the browser shows, if it has one, and the secret of its forms."""
    session.clear()
    # Flask-WTF keeps it here for the rest of the request.
    g.pop("_csrf_token", None)
    cookie = request.cookies.get(cookies.SESSION_COOKIE)
    if cookie:
        auth.decisions.forget([digest(cookie)])
        auth.credentials.end_session(digest(cookie))


def end_other_sessions(auth: Auth, user_id: str, keep: str | None = None) -> None:
    """End the sessions of a user in all browsers, but one to ``keep``."""
    auth.decisions.forget(auth.credentials.end_sessions(user_id, keep))


def issue_invitation(auth: Auth, email: str, role: Role) -> str:
    """Return the secret of a one-time address that invites somebody."""
    secret, by = new_secret(), current_identity().owner
    expires = datetime.now(UTC) + INVITATION_TIME
    auth.invitations.issue(digest(secret), Purpose.INVITE, expires, email=email, role=role, created_by=by)
    return secret


def issue_reset(auth: Auth, user_id: str) -> str:
    """Return the secret of a one-time address for a new password."""
    secret, by = new_secret(), current_identity().owner
    expires = datetime.now(UTC) + RESET_TIME
    auth.invitations.issue(digest(secret), Purpose.RESET, expires, user_id=user_id, created_by=by)
    return secret


def issue_first(auth: Auth) -> str | None:
    """Return the secret of a one-time address for the first administrator; None if there is an account already."""
    if auth.users.any_exist():
        return None
    secret = new_secret()
    expires = datetime.now(UTC) + INVITATION_TIME
    auth.invitations.issue(digest(secret), Purpose.FIRST, expires, role=Role.ADMINISTRATOR)
    return secret


def own_path(address: str | None) -> str:
    """Return the address to go to after signing in if it is a path of this service, or else that of the home page."""
    text, home = address or "", f"{path_prefix()}/"
    # Browsers take ``//host`` and ``/\host`` for another site.
    if not text.startswith(home) or text.startswith("//") or "\\" in text or not text.isprintable():
        return home
    try:
        parts = urlsplit(text)
    except ValueError:
        return home
    return home if parts.scheme or parts.netloc else text


def is_session() -> bool:
    """Return whether a session makes the current request."""
    return current_identity().means is Means.SESSION
