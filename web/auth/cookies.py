"""The cookies of signing in: of the session, and of a browser that an account has signed in with before."""

from typing import Any

from flask import Flask, Request, request
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import BadSignature, URLSafeSerializer, URLSafeTimedSerializer
from redis.exceptions import RedisError
from werkzeug.wrappers import Response

from jobs.store.shared_secret import SharedSecret

SESSION_COOKIE = "scoreline_session"
_DEVICE_COOKIE = "scoreline_device"
_FORM_COOKIE = "scoreline_form"
_DEVICE_SECONDS = 365 * 86400


class FormSessionInterface(SecureCookieSessionInterface):
    """Flask's signed session, which holds the secret of the forms and what a sign-in at the provider needs.

    It is signed with the secret that all processes share. While the store is away, there is no session.
    """

    def __init__(self, secret: SharedSecret) -> None:
        self._secret = secret

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        """Return what signs the session; None while the store is away."""
        # On the first request, since the store may be away when the process starts.
        if not app.secret_key:
            try:
                app.secret_key = self._secret.get()
            except RedisError:
                return None
        return super().get_signing_serializer(app)

    def get_cookie_name(self, app: Flask) -> str:
        """Return a name that says what it is for."""
        del app
        return _FORM_COOKIE

    def get_cookie_path(self, app: Flask) -> str:
        """Other applications of the same host do not get it."""
        del app
        return _path()

    def get_cookie_samesite(self, app: Flask) -> str:
        """Other sites' forms come without it; their links, and the way back from the provider, with it."""
        del app
        return "Lax"

    def get_cookie_secure(self, app: Flask) -> bool:
        """Under https, it is sent under https only."""
        del app
        return request.is_secure


def set_session(response: Response, secret: str, seconds: int) -> None:
    """Give the browser its session."""
    _set(response, SESSION_COOKIE, secret, seconds)


def clear_session(response: Response) -> None:
    """Take the session from the browser."""
    secure = request.is_secure
    response.delete_cookie(SESSION_COOKIE, path=_path(), httponly=True, samesite="Lax", secure=secure)


def set_device(response: Response, key: str, user_id: str, device: str) -> None:
    """Mark the browser as one that the account has signed in with."""
    _set(response, _DEVICE_COOKIE, str(_signer(key).dumps([user_id, device])), _DEVICE_SECONDS)


def device_of(request_: Request, key: str) -> tuple[str, str] | None:
    """Return the account that has signed in with the browser, and the browser's id; None if none has."""
    try:
        user_id, device = _signer(key).loads(request_.cookies.get(_DEVICE_COOKIE, ""))
    # Signed by us, but perhaps by a version that stored something else.
    except (BadSignature, ValueError, TypeError):
        return None
    return str(user_id), str(device)


def _signer(key: str) -> Any:
    return URLSafeSerializer(key, salt=_DEVICE_COOKIE)


def _set(response: Response, name: str, value: str, seconds: int) -> None:
    secure = request.is_secure
    response.set_cookie(name, value, max_age=seconds, path=_path(), httponly=True, samesite="Lax", secure=secure)


def _path() -> str:
    return f"{request.script_root}/"
