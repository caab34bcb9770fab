"""Scopes of tokens, and what each role allows: a role is its scopes. Pure."""

from collections.abc import Iterable
from enum import StrEnum

from database.tables import Role


class Scope(StrEnum):
    """What a request may do, as the API names it."""

    READ = "read"
    SCORE = "score"
    MODELS = "models"
    ADMIN = "admin"


SCOPE_TEXTS = {
    Scope.READ: "see jobs, predictions and models",
    Scope.SCORE: "score files and records, end and delete own jobs",
    Scope.MODELS: "reserved for changing models, which is done at the command line",
    Scope.ADMIN: "see and end all jobs, manage users and tokens, read the audit log",
}
ROLE_TEXTS = {
    Role.VIEWER: "sees the jobs of the team",
    Role.MEMBER: "also scores files and records",
    Role.MODELLER: "may do what a member may; models are added at the command line",
    Role.ADMINISTRATOR: "also manages users and sees all jobs",
}
# Both ascending, so that the n-th role has the first n scopes.
_ROLES, _SCOPES = list(Role), list(Scope)


def scopes_of(role: Role) -> frozenset[Scope]:
    """Return what a role allows; each role includes those before it."""
    return frozenset(_SCOPES[: _ROLES.index(role) + 1])


def known_scopes(words: Iterable[str]) -> frozenset[Scope]:
    """Return the scopes among some words."""
    return frozenset(scope for scope in Scope if scope.value in set(words))


def highest(roles: Iterable[Role]) -> Role | None:
    """Return the role that allows most; None of none."""
    return max(roles, key=_ROLES.index, default=None)
