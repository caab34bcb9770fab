"""The organisation's OpenID Connect provider, as far as its keys verify what it signs. Metadata and keys are cached."""

import threading
from time import monotonic
from typing import Any

import requests
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jwt import JWTClaimsRegistry

from jobs.settings import Settings
from web.auth.authenticator import InvalidCredential

# Signatures with public keys only: with a shared secret, whoever knows the public key could sign.
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA"]
_PUBLIC_KEY_TYPES = ("RSA", "EC", "OKP")
_CLOCK_SKEW_SECONDS = 60
_TIMEOUT_SECONDS = 5
_METADATA_SECONDS, _KEYS_SECONDS = 3600, 600
# A token with an unknown key has the keys fetched again, but not more often than this.
_MIN_PAUSE_SECONDS = 30
_MAX_LENGTH = 16_384


class IssuerUnavailable(Exception):
    """Raised when the provider does not answer, or not as OpenID Connect wants it."""


class Issuer:
    """Verifies JWTs of the configured issuer."""

    def __init__(self, settings: Settings) -> None:
        assert settings.oidc_issuer is not None
        self.url = settings.oidc_issuer
        self._lock = threading.Lock()
        self._metadata: dict[str, Any] = {}
        self._keys: KeySet | None = None
        self._metadata_until = self._keys_until = self._keys_fetched = 0.0

    @property
    def metadata_url(self) -> str:
        """Address of the provider's metadata."""
        return f"{self.url.rstrip('/')}/.well-known/openid-configuration"

    def verify(self, token: str, audience: str) -> dict[str, Any]:
        """Return the claims of a JWT.

        Raises:
            InvalidCredential: it is not of this issuer, not for this audience, expired, or not yet valid.
            IssuerUnavailable: the keys are not known and cannot be fetched.
        """
        if len(token) > _MAX_LENGTH:
            raise InvalidCredential("the token is too long")
        try:
            decoded = self._decode(token)
            registry = JWTClaimsRegistry(
                leeway=_CLOCK_SKEW_SECONDS,
                iss={"essential": True, "value": self.url},
                aud={"essential": True, "value": audience},
                sub={"essential": True},
                exp={"essential": True},
            )
            registry.validate(decoded.claims)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise InvalidCredential(f"the JWT is not valid: {_reason(error)}") from error
        return dict(decoded.claims)

    def _decode(self, token: str) -> jwt.Token:
        try:
            return jwt.decode(token, self._current_keys(), algorithms=_ALGORITHMS)
        except (JoseError, ValueError):
            # The provider may sign with a newer key.
            keys = self._fresher_keys()
            if keys is None:
                raise
            return jwt.decode(token, keys, algorithms=_ALGORITHMS)

    def _current_keys(self) -> KeySet:
        with self._lock:
            if self._keys is None or monotonic() > self._keys_until:
                self._fetch_keys()
            assert self._keys is not None
            return self._keys

    def _fresher_keys(self) -> KeySet | None:
        with self._lock:
            if monotonic() - self._keys_fetched < _MIN_PAUSE_SECONDS:
                return None
            self._fetch_keys()
            return self._keys

    def _fetch_keys(self) -> None:
        """Fetch the keys; if that fails, keep those there are. The caller holds the lock."""
        # Before fetching, so that a failed attempt counts, too.
        self._keys_fetched = monotonic()
        try:
            document = _fetch(str(self._fetch_metadata()["jwks_uri"]))
            public = [key for key in document["keys"] if key.get("kty") in _PUBLIC_KEY_TYPES]
            self._keys = KeySet.import_key_set({"keys": public})
        except (requests.RequestException, JoseError, KeyError, TypeError, ValueError) as error:
            if self._keys is None:
                raise IssuerUnavailable(f"the keys of {self.url} cannot be fetched") from error
        # After a failure as well: the provider is not asked again at each request.
        self._keys_until = monotonic() + _KEYS_SECONDS

    def _fetch_metadata(self) -> dict[str, Any]:
        if monotonic() > self._metadata_until:
            metadata = _fetch(self.metadata_url)
            # As OpenID Connect Discovery (4.3) asks for, against one provider posing as another.
            if metadata.get("issuer") != self.url:
                raise IssuerUnavailable(f"{self.metadata_url} is of another issuer")
            self._metadata, self._metadata_until = metadata, monotonic() + _METADATA_SECONDS
        return self._metadata


def _fetch(url: str) -> dict[str, Any]:
    # A redirect could lead to another server's keys, or into the internal network.
    response = requests.get(url, timeout=_TIMEOUT_SECONDS, allow_redirects=False)
    response.raise_for_status()
    document = response.json()
    if not isinstance(document, dict):
        raise TypeError("not an object")
    return document


def _reason(error: Exception) -> str:
    """Return what is wrong with a token, without quoting it."""
    return str(getattr(error, "error", "") or type(error).__name__).replace("_", " ")
