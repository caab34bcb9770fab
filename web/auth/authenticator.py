"""Finds out who makes a request: by a session cookie, a token, or a JWT of the configured issuer."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Protocol, TypeVar

import structlog
from redis.exceptions import RedisError

from database.credentials import Credential, Credentials
from database.errors import DatabaseError, DatabaseUnavailable
from database.tables import Role
from jobs.store.decisions import Decisions
from web.auth.database_watch import DatabaseWatch
from web.auth.identity import Identity, Means
from web.auth.roles import Scope, known_scopes, scopes_of
from web.auth.secrets import TOKEN_PREFIX, digest, is_well_formed

log = structlog.stdlib.get_logger(__name__)

_NOTE_INTERVAL = timedelta(minutes=1)
_BEARER = "bearer "
Decided = TypeVar("Decided", bound="Identity | None")


class InvalidCredential(Exception):
    """Raised when a token is malformed, unknown, expired or revoked, or a JWT does not verify."""


class JwtIdentifier(Protocol):
    """Identifies the bearers of JWTs; ``external_users.JwtBearers`` does."""

    def identify(self, token: str, authenticator: "Authenticator") -> Identity:
        """Return who bears a JWT."""


class Authenticator:
    """Identifies requests. While the database is away, by what it said last, a few minutes ago at most.

    ``by_jwt`` identifies the bearer of a JWT; None if no issuer is configured.
    """

    def __init__(self, credentials: Credentials, decisions: Decisions, by_jwt: JwtIdentifier | None = None) -> None:
        self._credentials, self._decisions, self._by_jwt = credentials, decisions, by_jwt
        self.watch = DatabaseWatch()

    def identify(self, authorization: str | None, cookie: str | None) -> Identity | None:
        """Return who makes a request with these headers; None if it does not say, or by a session that has ended.

        Raises:
            InvalidCredential: the ``Authorization`` header is of no use. The cookie is then ignored.
            DatabaseUnavailable: it cannot be decided now.
        """
        if authorization is not None:
            return self._by_header(authorization)
        return self._look_up(digest(cookie), self._credentials.find_session) if cookie else None

    def _by_header(self, authorization: str) -> Identity:
        if not authorization.lower().startswith(_BEARER):
            raise InvalidCredential("send a token as `Authorization: Bearer scl_…`")
        token = authorization[len(_BEARER) :].strip()
        # A JWT has three parts; our own tokens have no dots.
        if token.count(".") == 2 and self._by_jwt is not None:
            return self._by_jwt.identify(token, self)
        if not token.startswith(TOKEN_PREFIX) or not is_well_formed(token):
            raise InvalidCredential("this is not a token of Scoreline, or it is incomplete or mistyped")
        identity = self._look_up(digest(token), self._credentials.find_token)
        if identity is None:
            raise InvalidCredential("the token is unknown, expired or revoked")
        return identity

    def _look_up(self, hash_: str, find: Callable[[str], Credential | None]) -> Identity | None:
        return self.decide(hash_, partial(self._find, hash_, find))

    def _find(self, hash_: str, find: Callable[[str], Credential | None]) -> Identity | None:
        credential = find(hash_)
        if credential is None:
            return None
        identity = _identity(credential)
        if credential.last_used is None or datetime.now(UTC) - credential.last_used > _NOTE_INTERVAL:
            self._note_use(credential, identity)
        return identity

    def decide(self, hash_: str, find: Callable[[], Decided]) -> Identity | Decided:
        """Return who ``find`` says that a session or token is of; what was decided last while the database is away.

        Raises:
            DatabaseUnavailable: nothing was decided in the last minutes.
        """
        if self.watch.seems_away:
            self.watch.ask_aside(find)
            if (remembered := self._recall(hash_)) is not None:
                return remembered
        if self.watch.is_away:
            raise _unavailable()
        try:
            return self.watch.ask(find)
        except DatabaseError as error:
            if (remembered := self._recall(hash_)) is not None:
                return remembered
            raise _unavailable() from error

    def _note_use(self, credential: Credential, identity: Identity) -> None:
        """Note the use and keep the decision, at most once a minute; neither is worth failing the request."""
        try:
            self.remember(credential.hash, identity)
            self._credentials.note_use(credential)
        except (DatabaseError, RedisError) as error:
            log.warning("use of a credential not noted", reason=type(error).__name__)

    def remember(self, hash_: str, identity: Identity) -> None:
        """Keep who a session or token belongs to, for an outage of the database."""
        self._decisions.remember(hash_, _encode(identity))

    def _recall(self, hash_: str) -> Identity | None:
        remembered = self._decisions.recall(hash_)
        return None if remembered is None else _decode(remembered)


def _unavailable() -> DatabaseUnavailable:
    return DatabaseUnavailable("who you are cannot be checked: the database is unavailable")


def session_identity(user_id: str, email: str, role: Role, session_hash: str) -> Identity:
    """Return who a session belongs to."""
    return Identity(user_id, email, scopes_of(role), Means.SESSION, role, session_hash)


def _identity(credential: Credential) -> Identity:
    if credential.scopes is None:
        return session_identity(credential.user_id, credential.email, credential.role, credential.hash)
    # The user may have lost a role since the token was made.
    scopes = known_scopes(credential.scopes) & scopes_of(credential.role)
    return Identity(credential.user_id, credential.email, scopes, Means.TOKEN, credential.role, credential.id)


def _encode(identity: Identity) -> dict[str, Any]:
    return {
        "owner": identity.owner,
        "name": identity.name,
        "scopes": sorted(identity.scopes),
        "means": identity.means,
        "role": identity.role,
        "credential": identity.credential,
    }


def _decode(stored: dict[str, Any]) -> Identity:
    return Identity(
        owner=stored["owner"],
        name=stored["name"],
        scopes=frozenset(map(Scope, stored["scopes"])),
        means=Means(stored["means"]),
        role=Role(stored["role"]),
        credential=stored["credential"],
    )
