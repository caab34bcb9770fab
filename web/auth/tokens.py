"""Making and revoking tokens, for the API and the pages."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from database.credentials import TokenEntry
from web.auth.identity import current_identity
from web.auth.roles import Scope
from web.auth.secrets import SHOWN_CHARACTERS, digest, new_token
from web.auth.service import Auth
from web.ids import unknown_token

DEFAULT_DAYS, MAX_DAYS = 90, 3650
MAX_TOKENS = 100


class TokenRefused(Exception):
    """Raised when a token cannot be made as asked; ``field`` is what is wrong with the request."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


def default_expiry() -> datetime:
    """Return when a token expires that does not say so itself."""
    return datetime.now(UTC) + timedelta(days=DEFAULT_DAYS)


def make_token(
    auth: Auth, name: str, scopes: Collection[Scope], expires: datetime | None = None
) -> tuple[str, TokenEntry]:
    """Make a token of whoever asks; return it, which is the only time that it is shown, and its entry.

    Raises:
        TokenRefused: it would allow more than its maker may, or is not well described.
    """
    identity, now = current_identity(), datetime.now(UTC)
    expires = expires or default_expiry()
    if not scopes:
        raise TokenRefused("scopes", "choose at least one scope")
    if beyond := set(scopes) - identity.scopes:
        raise TokenRefused("scopes", f"you do not have the scope {min(beyond)} yourself")
    if not now < expires <= now + timedelta(days=MAX_DAYS):
        raise TokenRefused("expires_at", f"a token expires in the future, within {MAX_DAYS} days")
    if len(auth.credentials.tokens(identity.owner)) >= MAX_TOKENS:
        raise TokenRefused("name", f"there are {MAX_TOKENS} tokens already; revoke those that are not used")
    token = new_token()
    ordered = [scope.value for scope in Scope if scope in scopes]
    token_id = auth.credentials.add_token(
        digest(token), token[:SHOWN_CHARACTERS], identity.owner, name, ordered, expires
    )
    auth.note("token_created", token_id, name=name, scopes=ordered, expires=expires.isoformat())
    entry = auth.credentials.token(token_id)
    assert entry is not None
    return token, entry


def visible_tokens(auth: Auth, everyones: bool = False) -> list[TokenEntry]:
    """Return the tokens of whoever asks; of everyone only to administrators."""
    identity = current_identity()
    return auth.credentials.tokens(None if everyones and identity.sees_all else identity.owner)


def revoke_token(auth: Auth, token_id: str) -> None:
    """Revoke a token; raise Problem ``unknown_token`` if there is none that whoever asks may revoke."""
    entry = auth.credentials.token(token_id)
    if entry is None or not current_identity().owns(entry.user_id):
        raise unknown_token(token_id)
    hash_ = auth.credentials.revoke_token(token_id)
    if hash_ is not None:
        # Otherwise it would be accepted for some minutes more while the database is away.
        auth.decisions.forget([hash_])
    auth.note("token_revoked", token_id, name=entry.name, user=entry.email)
