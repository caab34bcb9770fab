"""A secret that all processes of the service share: the first one that needs it makes it."""

import secrets
from typing import Any

from redis import Redis

from jobs.store import keys


class SharedSecret:
    """The secret in Redis, read once per process."""

    def __init__(self, redis: Redis) -> None:
        self._redis: Any = redis
        self._secret: str | None = None

    def get(self) -> str:
        """Return the secret; one round trip, and none later."""
        if self._secret is None:
            with self._redis.pipeline(transaction=True) as pipe:
                pipe.set(keys.SECRET, secrets.token_hex(32), nx=True, ex=keys.SECRET_SECONDS)
                pipe.get(keys.SECRET)
                self._secret = pipe.execute()[1].decode()
        return self._secret
