"""Slows down who guesses passwords, without locking out who knows theirs.

Attempts are counted per account and per address in moving windows. A browser in which the account has signed in before
is counted on its own, so that somebody who guesses elsewhere keeps nobody out.
"""

import math
import time

from limits import RateLimitItem, parse
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis import Redis

from jobs.errors import RateLimited
from jobs.store import keys
from web.auth.secrets import digest
from web.server.limits import client_of

_PER_ACCOUNT = (parse("10 per minute"), parse("60 per hour"))
_PER_DEVICE = (parse("10 per minute"),)
_PER_ADDRESS = (parse("30 per minute"), parse("300 per hour"))
_PER_CODE = (parse("30 per minute"),)
_REFUSALS = (parse("10 per minute"),)


class Throttle:
    """Counts attempts in Redis, for all web processes."""

    def __init__(self, redis: Redis) -> None:
        storage = RedisStorage("redis://", connection_pool=redis.connection_pool, key_prefix=keys.LIMITS)
        self._limiter = MovingWindowRateLimiter(storage)

    def count_sign_in(self, email: str, address: str, device: str | None) -> None:
        """Count an attempt to sign in, before the password is verified.

        ``device`` identifies a browser in which the account has signed in before.

        Raises:
            RateLimited: there were too many; the password is not to be verified.
        """
        if device is not None:
            self._count(_PER_DEVICE, "device", device)
            return
        self._count(_PER_ADDRESS, "address", client_of(address))
        self._count(_PER_ACCOUNT, "account", digest(email.strip().casefold()))

    def count_code(self, address: str) -> None:
        """Count the use of a one-time address; raise ``RateLimited``."""
        self._count(_PER_CODE, "code", client_of(address))

    def forgive(self, email: str) -> None:
        """Forget the attempts of an account: its user has signed in."""
        # Not those of the address, from which other accounts may be guessed.
        for limit in _PER_ACCOUNT:
            self._limiter.clear(limit, "account", digest(email.strip().casefold()))

    def notes_refusal(self, address: str) -> bool:
        """Return whether another refusal of this address is worth an entry in the audit log."""
        return all(self._limiter.hit(limit, "refusal", client_of(address)) for limit in _REFUSALS)

    def _count(self, limits: tuple[RateLimitItem, ...], kind: str, name: str) -> None:
        for limit in limits:
            if not self._limiter.hit(limit, kind, name):
                left = self._limiter.get_window_stats(limit, kind, name).reset_time - time.time()
                seconds = min(max(1, math.ceil(left)), limit.get_expiry())
                text = "too many attempts to sign in; wait a moment"
                raise RateLimited(text, seconds, f"sign-in-{kind}", limit.amount, limit.get_expiry())
