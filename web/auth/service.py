"""The collaborators of signing in, created once per process."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from flask import request
from redis import Redis
from redis.exceptions import RedisError

from database.audit import AuditLog
from database.credentials import Credentials
from database.database import Database
from database.errors import DatabaseError
from database.invitations import Invitations
from database.users import Users
from jobs.settings import Settings
from jobs.store.decisions import Decisions
from jobs.store.shared_secret import SharedSecret
from web.auth.authenticator import Authenticator
from web.auth.external_users import ExternalUsers, JwtBearers
from web.auth.identity import current_identity
from web.auth.issuer import Issuer
from web.auth.passwords import Passwords
from web.auth.throttle import Throttle

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Auth:
    """What signing in needs. ``on`` is whether it is asked for at all."""

    on: bool
    settings: Settings
    database: Database
    users: Users
    credentials: Credentials
    invitations: Invitations
    audit: AuditLog
    decisions: Decisions
    authenticator: Authenticator
    passwords: Passwords
    throttle: Throttle
    secret: SharedSecret
    external: ExternalUsers
    issuer: Issuer | None

    def note(self, action: str, what: str = "", actor: str | None = None, **details: Any) -> None:
        """Add an entry to the audit log. While the database is away it goes to the log of the process alone."""
        who = current_identity().name if actor is None else actor
        try:
            self.audit.add(who, action, what, request.remote_addr or "", **details)
        except DatabaseError as error:
            log.warning("audit entry not stored", action=action, object=what, actor=who, reason=str(error))

    def note_download(self, what: str) -> None:
        """Note a download that the guard does not know of."""
        if self.on:
            self.note("downloaded", what)

    def note_cancellation(self, what: str) -> None:
        """Note the end of a job that the guard does not know of."""
        if self.on:
            self.note("canceled", what)

    def note_deletion(self, what: str, **details: Any) -> None:
        """Note a deletion that the guard does not know of."""
        if self.on:
            self.note("deleted", what, **details)

    def note_refusal(self, what: str, status: int) -> None:
        """Add a refused request to the audit log; of one address only some a minute, so that nobody floods it."""
        try:
            if self.throttle.notes_refusal(request.remote_addr or ""):
                self.note("refused", what, status=status)
        except RedisError:
            log.warning("refusal not noted", status=status)

    def forget_user(self, user_id: str) -> None:
        """Drop what is kept of a user's sessions and tokens for an outage of the database."""
        self.decisions.forget(self.credentials.hashes_of(user_id))


def create_auth(settings: Settings, redis: Redis, database: Database) -> Auth:
    """Create the collaborators."""
    credentials = Credentials(database, timedelta(seconds=settings.session_idle_seconds))
    decisions, users = Decisions(redis), Users(database)
    audit, issuer = AuditLog(database), Issuer(settings) if settings.oidc_issuer else None
    external = ExternalUsers(users, audit, settings)
    audience = settings.oidc_audience or settings.oidc_client_id or ""
    bearers = JwtBearers(issuer, external, audience) if issuer else None
    return Auth(
        on=settings.auth_on,
        settings=settings,
        database=database,
        users=users,
        credentials=credentials,
        invitations=Invitations(database),
        audit=audit,
        decisions=decisions,
        authenticator=Authenticator(credentials, decisions, bearers),
        passwords=Passwords(),
        throttle=Throttle(redis),
        secret=SharedSecret(redis),
        external=external,
        issuer=issuer,
    )
