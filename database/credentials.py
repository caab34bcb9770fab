"""Sessions of browsers and tokens of programs, by the hash of what was handed out."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, insert, or_, select, update

from database.database import Database
from database.tables import ApiToken, Role, User, UserSession

_MAX_AGENT, _MAX_NAME = 512, 255


@dataclass(frozen=True, slots=True)
class Credential:
    """A valid session or token, and who it belongs to. ``scopes`` are a token's own; None for a session."""

    hash: str
    id: str
    user_id: str
    email: str
    name: str
    role: Role
    last_used: datetime | None
    scopes: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class SessionEntry:
    """A browser that is signed in."""

    hash: str
    created: datetime
    last_used: datetime
    expires: datetime
    address: str
    user_agent: str


@dataclass(frozen=True, slots=True)
class TokenEntry:
    """A token as lists show it; ``email`` is its user's."""

    id: str
    user_id: str
    email: str
    name: str
    prefix: str
    scopes: Sequence[str]
    created: datetime
    expires: datetime | None
    last_used: datetime | None
    revoked: datetime | None

    @property
    def active(self) -> bool:
        """Whether it can still be used, as far as it alone decides."""
        return self.revoked is None and (self.expires is None or self.expires > datetime.now(UTC))


_OF_USER = (User.id.label("user_id"), User.email, User.name.label("user_name"), User.role)


class Credentials:
    """The tables of sessions and tokens. Each method is one transaction; outages raise ``DatabaseUnavailable``.

    Sessions also end when they have not been used for ``idle_time``.
    """

    def __init__(self, database: Database, idle_time: timedelta) -> None:
        self._database, self._idle_time = database, idle_time

    def find_session(self, id_hash: str) -> Credential | None:
        """Return the session if it has not ended and its user is not disabled."""
        query = (
            select(UserSession.id_hash, UserSession.last_used, *_OF_USER)
            .join(User, User.id == UserSession.user_id)
            .where(UserSession.id_hash == id_hash, ~self._has_ended(), User.disabled.is_(False))
        )
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        return Credential(id_hash, id_hash, row.user_id, row.email, row.user_name, row.role, row.last_used)

    def find_token(self, hash_: str) -> Credential | None:
        """Return the token if it is neither expired nor revoked and its user is not disabled."""
        now = datetime.now(UTC)
        query = (
            select(ApiToken.id, ApiToken.last_used, ApiToken.scopes, *_OF_USER)
            .join(User, User.id == ApiToken.user_id)
            .where(ApiToken.hash == hash_, ApiToken.revoked.is_(None), User.disabled.is_(False))
            .where((ApiToken.expires.is_(None)) | (ApiToken.expires > now))
        )
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        return Credential(hash_, row.id, row.user_id, row.email, row.user_name, row.role, row.last_used, row.scopes)

    def note_use(self, credential: Credential) -> None:
        """Note that a session or token is used now."""
        table, key = (UserSession, UserSession.id_hash) if credential.scopes is None else (ApiToken, ApiToken.hash)
        with self._database.writing() as connection:
            connection.execute(update(table).where(key == credential.hash).values(last_used=datetime.now(UTC)))

    def start_session(self, id_hash: str, user_id: str, expires: datetime, address: str, user_agent: str) -> None:
        """Add a session, and remove those of its user that have ended."""
        now = datetime.now(UTC)
        values = {
            "id_hash": id_hash,
            "user_id": user_id,
            "created": now,
            "last_used": now,
            "expires": expires,
            "address": address,
            "user_agent": user_agent[:_MAX_AGENT],
        }
        with self._database.writing() as connection:
            # Nothing else removes sessions that have ended.
            connection.execute(delete(UserSession).where(UserSession.user_id == user_id, self._has_ended()))
            connection.execute(insert(UserSession).values(values))

    def end_session(self, id_hash: str) -> None:
        """Remove a session; one that is gone is no error."""
        with self._database.writing() as connection:
            connection.execute(delete(UserSession).where(UserSession.id_hash == id_hash))

    def end_sessions(self, user_id: str, keep: str | None = None) -> list[str]:
        """Remove all sessions of a user but one to ``keep``; return their hashes."""
        condition = (UserSession.user_id == user_id, UserSession.id_hash != (keep or ""))
        with self._database.writing() as connection:
            hashes = list(connection.scalars(select(UserSession.id_hash).where(*condition)))
            connection.execute(delete(UserSession).where(*condition))
        return hashes

    def sessions(self, user_id: str) -> list[SessionEntry]:
        """Return the valid sessions of a user, the last used first."""
        query = (
            select(UserSession.__table__)
            .where(UserSession.user_id == user_id, ~self._has_ended())
            .order_by(UserSession.last_used.desc())
        )
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return [
            SessionEntry(row.id_hash, row.created, row.last_used, row.expires, row.address or "", row.user_agent or "")
            for row in rows
        ]

    def _has_ended(self) -> ColumnElement[bool]:
        now = datetime.now(UTC)
        return or_(UserSession.expires <= now, UserSession.last_used <= now - self._idle_time)

    def add_token(
        self, hash_: str, prefix: str, user_id: str, name: str, scopes: Sequence[str], expires: datetime | None
    ) -> str:
        """Add a token and return its id."""
        token_id = secrets.token_hex(8)
        values = {
            "id": token_id,
            "user_id": user_id,
            "name": name[:_MAX_NAME],
            "hash": hash_,
            "prefix": prefix,
            "scopes": list(scopes),
            "created": datetime.now(UTC),
            "expires": expires,
        }
        with self._database.writing() as connection:
            connection.execute(insert(ApiToken).values(values))
        return token_id

    def tokens(self, user_id: str | None = None) -> list[TokenEntry]:
        """Return the tokens of a user, or all, that are not revoked, newest first."""
        return self._tokens(ApiToken.revoked.is_(None), *([ApiToken.user_id == user_id] if user_id else []))

    def token(self, token_id: str) -> TokenEntry | None:
        """Return a token that is not revoked."""
        return next(iter(self._tokens(ApiToken.id == token_id, ApiToken.revoked.is_(None))), None)

    def _tokens(self, *conditions: Any) -> list[TokenEntry]:
        query = (
            select(ApiToken.__table__, User.email)
            .join(User, User.id == ApiToken.user_id)
            .where(*conditions)
            .order_by(ApiToken.created.desc(), ApiToken.id)
        )
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        names = TokenEntry.__dataclass_fields__
        return [TokenEntry(**{name: getattr(row, name) for name in names}) for row in rows]

    def revoke_token(self, token_id: str) -> str | None:
        """Revoke a token; return its hash, or None if there was nothing to revoke."""
        condition = (ApiToken.id == token_id, ApiToken.revoked.is_(None))
        with self._database.writing() as connection:
            hash_ = connection.scalar(select(ApiToken.hash).where(*condition))
            connection.execute(update(ApiToken).where(*condition).values(revoked=datetime.now(UTC)))
        return hash_

    def hashes_of(self, user_id: str) -> list[str]:
        """Return the hashes of all sessions and tokens of a user."""
        with self._database.reading() as connection:
            sessions = connection.scalars(select(UserSession.id_hash).where(UserSession.user_id == user_id)).all()
            tokens = connection.scalars(select(ApiToken.hash).where(ApiToken.user_id == user_id)).all()
        return [*sessions, *tokens]
