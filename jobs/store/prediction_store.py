"""Single predictions in Redis: a request waits under its id until a worker has put the result there."""

import math
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from redis import Redis

from jobs.errors import TooManyPredictions
from jobs.messages import Predict, Queue, Task
from jobs.settings import Settings
from jobs.store import keys
from jobs.store.celery_message import encode
from jobs.store.scripts import register_script
from jobs.store.server_check import StoreCheck

_MAX_GRACE_SECONDS = 60
_GRACE_SECONDS = 3.0
# Larger requests are fetched by the worker that answers them, so that messages stay small.
_MAX_BYTES_IN_MESSAGE = 64 * 1024


def new_id() -> str:
    """An unguessable id, of 128 bits."""
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class WaitingPrediction:
    """A request in a worker's hands.

    ``attempt`` is one more than the times that it took its process down or too long; ``lost`` counts the holds on it
    that ended without a word of what became of them.
    """

    id: str
    attempt: int
    request: dict[str, Any]
    lost: int = 0

    @property
    def reply_to(self) -> str:
        """Where the answer is waited for, empty where nobody does."""
        return str(self.request.get("reply_to", ""))


@dataclass(frozen=True, slots=True)
class StoredPrediction:
    """A prediction as it lies in the store; ``result`` is None while it waits."""

    id: str
    result: dict[str, Any] | None


class PredictionStore:
    """Requests for single predictions and their results. Every method is one round trip to Redis."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self.redis: Any = redis
        self._check = StoreCheck(redis, settings)
        self._seconds = settings.prediction_retention_seconds
        self._hold_seconds = settings.prediction_timeout_seconds + _GRACE_SECONDS
        self._most_waiting = settings.max_waiting_predictions
        names = ("submit", "take", "release", "finish", "overdue")
        self._scripts = {name: register_script(redis, f"{name}_predictions", "totals") for name in names}

    def submit(self, requests: Mapping[str, Mapping[str, Any]]) -> None:
        """Store requests under their ids and send the task that answers them, all at once.

        They are sent again when no worker has taken them for a while.

        Raises:
            UnsuitableStore: the store would lose them.
            TooManyPredictions: as many wait already as may; nothing is stored.
        """
        self._check.require()
        names = [keys.PREDICTIONS, keys.queue(Queue.INTERACTIVE), *map(keys.prediction, requests)]
        stored = _flat(requests)
        small = sum(map(len, stored)) <= _MAX_BYTES_IN_MESSAGE
        message = Predict(tuple(requests), tuple(requests.values()) if small else ())
        sent = encode(Task.PREDICT, message.encode())
        arguments = [self._seconds, _GRACE_SECONDS, sent, self._most_waiting, *stored]
        waited = self._scripts["submit"](keys=names, args=arguments)
        if waited is not None:
            # Who comes now waits about as long as the first in the queue has waited.
            seconds = math.ceil(min(max(float(waited), 1), _MAX_GRACE_SECONDS))
            raise TooManyPredictions(f"{self._most_waiting} predictions are waiting already", seconds)

    def waiting(self, message: Predict) -> list[WaitingPrediction]:
        """The requests that a message asks to answer; no round trip where they travel in it, as a first attempt."""
        if not message.requests:
            return self.take(message.ids)
        pairs = zip(message.ids, message.requests, strict=True)
        return [WaitingPrediction(prediction_id, 1, dict(request)) for prediction_id, request in pairs]

    def take(self, ids: Sequence[str]) -> list[WaitingPrediction]:
        """The requests with these ids that still wait.

        They are then held: who asks for them again gets them only after an attempt's time, or when they are let go.
        """
        names = [keys.PREDICTIONS, *map(keys.prediction, ids)]
        answers = self._scripts["take"](keys=names, args=[self._hold_seconds, *ids])
        taken = zip(ids, answers[0::3], answers[1::3], answers[2::3], strict=True)
        return [WaitingPrediction(i, attempt, orjson.loads(raw), lost) for i, attempt, lost, raw in taken if attempt]

    def release(self, ids: Sequence[str], failed: bool) -> list[str]:
        """Requests are in nobody's hands any more, since whoever had them has died; those that still wait.

        ``failed`` says that this was by their doing, which uses an attempt up; otherwise the hold counts as lost.
        """
        places = self._scripts["release"](keys=list(map(keys.prediction, ids)), args=[int(failed)])
        return [ids[place] for place in places]

    def finish(self, answers: Sequence[tuple[WaitingPrediction, Mapping[str, Any]]]) -> None:
        """Store answers, and put them on the lists where they are waited for; a round trip for each of these."""
        for process in {waiting.reply_to for waiting, _ in answers}:
            results = {waiting.id: answer for waiting, answer in answers if waiting.reply_to == process}
            names = [keys.PREDICTIONS, keys.reply(process), keys.TOTALS, *map(keys.prediction, results)]
            lifetime = keys.REPLY_SECONDS if process else 0
            together = orjson.dumps(results) if process else b""
            failed = sum(map(_failed, results.values()))
            self._scripts["finish"](keys=names, args=[self._seconds, lifetime, together, failed, *_flat(results)])

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

    def await_reply(self, reply_to: Sequence[str], seconds: float) -> dict[str, dict[str, Any]]:
        """The next results put on one of these lists, or none after the given time."""
        answer = self.redis.brpop(list(map(keys.reply, reply_to)), timeout=seconds)
        return orjson.loads(answer[1]) if answer else {}

    def overdue(self) -> list[str]:
        """Ids that were sent a while ago and still wait, to be sent again."""
        arguments: list[str | float] = [keys.prediction(""), _MAX_GRACE_SECONDS, _GRACE_SECONDS]
        return [raw.decode() for raw in self._scripts["overdue"](keys=[keys.PREDICTIONS, keys.TOTALS], args=arguments)]


def _failed(answer: Mapping[str, Any]) -> int:
    """On how many records of a request the model failed."""
    errors = (item.get("error") or {} for item in answer.get("items", [answer]))
    return sum(error.get("code") == "scoring_failed" for error in errors)


def _flat(documents: Mapping[str, Mapping[str, Any]]) -> list[str | bytes]:
    return [item for name, document in documents.items() for item in (name, orjson.dumps(document))]
