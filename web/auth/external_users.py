"""Users whom the provider knows: their role by their groups, and their account, which is made when they first come."""

from collections.abc import Mapping
from functools import partial
from time import monotonic
from typing import Any

from flask import request
from redis.exceptions import RedisError

from database.audit import AuditLog
from database.errors import DatabaseUnavailable
from database.tables import Role
from database.users import Account, EmailTaken, LastAdministrator, Users
from jobs.settings import Settings
from web.auth.authenticator import Authenticator, InvalidCredential
from web.auth.identity import Identity, Means
from web.auth.issuer import Issuer, IssuerUnavailable
from web.auth.roles import highest, scopes_of
from web.auth.secrets import digest

_EVERYBODY = "*"
_REMEMBER_SECONDS = 60
_MAX_SUBJECT = 512


class NoAccess(Exception):
    """Raised when the provider knows somebody who may not use this service."""


class ExternalUsers:
    """Accounts of the provider's users."""

    def __init__(self, users: Users, audit: AuditLog, settings: Settings) -> None:
        self._users, self._audit, self._claim = users, audit, settings.oidc_groups_claim
        self._roles = {group: Role(role) for group, role in settings.roles_of_groups.items()}
        self._issuer = settings.oidc_issuer

    def account_of(self, claims: Mapping[str, Any], address: str) -> Account:
        """Return the account of verified claims, made or with another role if need be, which the audit log notes.

        ``address`` is where the user comes from.

        The last administrator stays one.

        Raises:
            NoAccess: no group of the user has a role, or the account is disabled.
            DatabaseUnavailable: not now.
        """
        role, subject = self._role_of(claims), f"{self._issuer} {claims['sub']}"
        if len(subject) > _MAX_SUBJECT:
            raise NoAccess("the subject is too long")
        account = self._users.by_subject(subject) or self._linked(claims, subject)
        if account is None:
            account = self._users.get(self._add(claims, role, subject, address))
        # The provider's groups decide, each time that the user comes.
        elif account.role is not role:
            self._change_role(account, role, address)
            account = self._users.get(account.id)
        if account is None or account.disabled:
            raise NoAccess("the account is disabled")
        return account

    def _change_role(self, account: Account, role: Role, address: str) -> None:
        try:
            self._users.change(account.id, role=role)
        except LastAdministrator:
            return
        self._audit.add(account.email, "role_changed", account.email, address, role=role, before=account.role)

    def _role_of(self, claims: Mapping[str, Any]) -> Role:
        groups = claims.get(self._claim)
        named = {str(group) for group in groups} if isinstance(groups, list) else {str(groups)}
        role = highest(self._roles[group] for group in {*named, _EVERYBODY} if group in self._roles)
        if role is None:
            raise NoAccess("none of your groups may use Scoreline")
        return role

    def _linked(self, claims: Mapping[str, Any], subject: str) -> Account | None:
        """Return the account with the e-mail address, if the provider has verified that it is the user's."""
        email = claims.get("email")
        # Otherwise, whoever enters somebody's address at the provider would get that person's account.
        if not isinstance(email, str) or claims.get("email_verified") is not True:
            return None
        account = self._users.by_email(email)
        # The account may belong to another user of the provider already.
        if account is None or account.external:
            return None
        self._users.note_sign_in(account.id, subject=subject)
        return account

    def _add(self, claims: Mapping[str, Any], role: Role, subject: str, address: str) -> str:
        email = claims.get("email") or claims.get("preferred_username") or f"{claims['sub']} at {self._issuer}"
        name = claims.get("name") or email
        try:
            user_id = self._users.add(str(email)[:320], str(name), role, subject=subject)
        except EmailTaken as error:
            raise NoAccess("another account has your e-mail address, which the provider has not verified") from error
        self._audit.add(str(email), "user_added", str(email), address, role=role)
        return user_id


class JwtBearers:
    """Identifies programs by JWTs of the issuer."""

    def __init__(self, issuer: Issuer, external: ExternalUsers, audience: str) -> None:
        self._issuer, self._external, self._audience = issuer, external, audience
        self._remembered: dict[str, float] = {}

    def identify(self, token: str, authenticator: Authenticator) -> Identity:
        """Return who bears a JWT; while the database is away, as it was decided a few minutes ago.

        Raises:
            InvalidCredential, DatabaseUnavailable: as ``Authenticator.identify``.
        """
        try:
            claims = self._issuer.verify(token, self._audience)
        except IssuerUnavailable as error:
            raise DatabaseUnavailable(str(error)) from error
        key = digest(f"jwt {claims['iss']} {claims['sub']}")
        return authenticator.decide(key, partial(self._find, claims, key, authenticator, request.remote_addr or ""))

    def _find(self, claims: Mapping[str, Any], key: str, authenticator: Authenticator, address: str) -> Identity:
        try:
            account = self._external.account_of(claims, address)
        except NoAccess as error:
            raise InvalidCredential(str(error)) from error
        identity = Identity(account.id, account.email, scopes_of(account.role), Means.JWT, account.role)
        if monotonic() - self._remembered.get(key, float("-inf")) > _REMEMBER_SECONDS:
            self._remember(key, identity, authenticator)
        return identity

    def _remember(self, key: str, identity: Identity, authenticator: Authenticator) -> None:
        self._remembered[key] = monotonic()
        try:
            authenticator.remember(key, identity)
        except RedisError:
            del self._remembered[key]
