"""Who sessions and tokens belong to, kept for a few minutes, so that work goes on while the database is away."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from redis import Redis

from jobs.store import keys

_SECONDS = 300


class Decisions:
    """Decisions by the hash of a session or token. They are used only while the database cannot be asked."""

    def __init__(self, redis: Redis) -> None:
        self._redis: Any = redis

    def remember(self, credential: str, decision: Mapping[str, Any]) -> None:
        """Keep a decision for five minutes from now."""
        self._redis.set(keys.decision(credential), orjson.dumps(decision), ex=_SECONDS)

    def recall(self, credential: str) -> dict[str, Any] | None:
        """Return the decision, or None if there is none or it is too old."""
        raw = self._redis.get(keys.decision(credential))
        return None if raw is None else orjson.loads(raw)

    def forget(self, credentials: Iterable[str]) -> None:
        """Drop decisions: the sessions or tokens have ended, or their user has changed."""
        names = list(map(keys.decision, credentials))
        if names:
            self._redis.unlink(*names)
