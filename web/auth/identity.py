"""Who makes a request, and what of others they may see."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from flask import g

from database.tables import Role
from jobs.state import Job, Owner, Visibility
from web.auth.roles import Scope


class Means(StrEnum):
    """How a request shows who makes it."""

    NONE = "none"
    SESSION = "session"
    TOKEN = "token"  # noqa: S105 - the word, not a token
    JWT = "jwt"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who makes a request. ``owner`` is the user's id: what they make belongs to it; empty if auth is off. ``name`` is
    the e-mail address, which no two users share.

    ``credential`` identifies the session or token in the database; a token may have fewer scopes than the role.
    """

    owner: str
    name: str
    scopes: frozenset[Scope]
    means: Means = Means.NONE
    role: Role | None = None
    credential: str = ""

    def may(self, scope: Scope) -> bool:
        """Return whether the request has a scope."""
        return scope in self.scopes

    @property
    def as_owner(self) -> Owner:
        """Owner of what the request makes."""
        return Owner(self.owner, self.name)

    @property
    def sees_all(self) -> bool:
        """Whether what others own is seen and changed as well."""
        return not self.owner or Scope.ADMIN in self.scopes

    def owns(self, owner: str) -> bool:
        """Return whether what ``owner`` made may be changed."""
        return self.sees_all or owner == self.owner

    def sees(self, job: Job) -> bool:
        """Return whether a job may be seen."""
        return self.owns(job.owner.id) or job.visibility is Visibility.TEAM

    def sees_entry(self, entry: Mapping[str, Any]) -> bool:
        """Return whether an entry of the history may be seen: a job, or a prediction, which only its owner sees."""
        return self.owns(entry["owner"] or "") or entry.get("visibility") == Visibility.TEAM.value


EVERYONE = Identity(owner="", name="", scopes=frozenset(Scope))
"""Who makes each request where auth is off: somebody who may do everything, and owns nothing."""


def current_identity() -> Identity:
    """Return who makes the current request; the guard has set it."""
    return cast(Identity, g.get("identity", EVERYONE))
