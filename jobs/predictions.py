"""Single predictions in Redis: a request waits under its id until a worker has put the result there."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from redis import Redis

from jobs import keys
from jobs.settings import Settings

_LONGEST_GRACE_SECONDS = 60
_GRACE_SECONDS = 3.0

# Ids that were sent a while ago and have no result yet; each sending doubles the time until the next.
_OVERDUE = """
local time = redis.call('TIME')
local at = tonumber(time[1]) + tonumber(time[2]) / 1000000
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', at, 'LIMIT', 0, 1000)
local found = {}
for _, id in ipairs(due) do
    local key = ARGV[1] .. id
    if redis.call('EXISTS', key) == 0 then
        redis.call('ZREM', KEYS[1], id)
    else
        local sent = redis.call('HINCRBY', key, 'sent', 1)
        redis.call('ZADD', KEYS[1], at + math.min(tonumber(ARGV[2]), tonumber(ARGV[3]) * 2 ^ sent), id)
        found[#found + 1] = id
    end
end
return found
"""


def new_id() -> str:
    """An unguessable id, of 128 bits."""
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class WaitingPrediction:
    """A request that a worker has taken, with the number of times that it was taken."""

    id: str
    attempt: int
    request: dict[str, Any]


@dataclass(frozen=True, slots=True)
class StoredPrediction:
    """A prediction as it lies in the store; ``result`` is None while it waits."""

    id: str
    result: dict[str, Any] | None


class PredictionStore:
    """Requests for single predictions and their results. Every method is one round trip to Redis."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self.redis: Any = redis
        self._seconds = settings.prediction_seconds
        self._overdue = redis.register_script(_OVERDUE)

    def submit(self, requests: Mapping[str, Mapping[str, Any]], due: float) -> None:
        """Store requests under their ids; ``due`` is when to send them again, in seconds since the epoch."""
        with self.redis.pipeline(transaction=True) as pipe:
            for prediction_id, request in requests.items():
                key = keys.prediction(prediction_id)
                pipe.hset(key, "request", orjson.dumps(request))
                pipe.expire(key, self._seconds)
            pipe.zadd(keys.PREDICTIONS, dict.fromkeys(requests, due + _GRACE_SECONDS))
            pipe.expire(keys.PREDICTIONS, self._seconds)
            pipe.execute()

    def take(self, ids: Sequence[str]) -> list[WaitingPrediction]:
        """The requests with these ids that still wait, each counted as one more attempt."""
        with self.redis.pipeline(transaction=True) as pipe:
            for prediction_id in ids:
                pipe.hget(keys.prediction(prediction_id), "request")
                pipe.hincrby(keys.prediction(prediction_id), "attempts", 1)
                pipe.expire(keys.prediction(prediction_id), self._seconds)
            answers = pipe.execute()
        taken = zip(ids, answers[0::3], answers[1::3], strict=True)
        return [WaitingPrediction(i, attempt, orjson.loads(raw)) for i, raw, attempt in taken if raw is not None]

    def finish(self, results: Mapping[str, Mapping[str, Any]], reply_to: str | None) -> None:
        """Store results, and put them on the list of the process that waits for them."""
        with self.redis.pipeline(transaction=True) as pipe:
            for prediction_id, result in results.items():
                key = keys.prediction(prediction_id)
                pipe.hset(key, "result", orjson.dumps(result))
                pipe.hdel(key, "request")
                pipe.expire(key, self._seconds)
            if results:
                pipe.zrem(keys.PREDICTIONS, *results)
            if reply_to:
                pipe.lpush(keys.reply(reply_to), orjson.dumps(results))
                pipe.expire(keys.reply(reply_to), keys.REPLY_SECONDS)
            pipe.execute()

    def get(self, prediction_id: str) -> StoredPrediction | None:
        """The prediction, or None if it is unknown or expired."""
        raw = self.redis.hmget(keys.prediction(prediction_id), "request", "result")
        if raw[1] is not None:
            return StoredPrediction(prediction_id, orjson.loads(raw[1]))
        return StoredPrediction(prediction_id, None) if raw[0] is not None else None

    def forget(self, ids: Iterable[str]) -> None:
        """Remove requests and results that nobody will ask for again."""
        names = list(ids)
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.unlink(*map(keys.prediction, names))
            pipe.zrem(keys.PREDICTIONS, *names)
            pipe.execute()

    def await_reply(self, process_id: str, seconds: float) -> dict[str, dict[str, Any]]:
        """The next results put on this process's list, or none after the given time."""
        answer = self.redis.brpop([keys.reply(process_id)], timeout=seconds)
        return orjson.loads(answer[1]) if answer else {}

    def overdue(self) -> list[str]:
        """Ids that were sent a while ago and still wait, to be sent again."""
        prefix = keys.prediction("")
        due = self._overdue(keys=[keys.PREDICTIONS], args=[prefix, _LONGEST_GRACE_SECONDS, _GRACE_SECONDS])
        return [raw.decode() for raw in due]
