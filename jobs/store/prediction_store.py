"""Single predictions in Redis: a request is stored under its id until a worker replaces it with the result."""

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
from jobs.store.outbox import tell
from jobs.store.scripts import MAX_RESEND_SECONDS, register_script
from jobs.store.server_check import StoreCheck

_GRACE_SECONDS = 3.0
# Larger requests are fetched by the worker, so that messages stay small.
_MAX_BYTES_IN_MESSAGE = 64 * 1024


def new_id() -> str:
    """Return an unguessable id of 128 bits."""
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class WaitingPrediction:
    """A request that a worker holds.

    ``attempt`` is one more than the number of times that it crashed its process or ran out of time; ``lost`` counts
    holds that ended without a report.
    """

    id: str
    attempt: int
    request: dict[str, Any]
    lost: int = 0

    @property
    def reply_to(self) -> str:
        """Name of the list on which a web process waits for the answer; empty if none does."""
        return str(self.request.get("reply_to", ""))


@dataclass(frozen=True, slots=True)
class StoredPrediction:
    """A stored prediction; ``result`` is None until it is answered, ``owner`` the id of a user or empty."""

    id: str
    result: dict[str, Any] | None
    owner: str = ""


class PredictionStore:
    """Requests for single predictions and their results. Each method is one round trip to Redis."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self.redis: Any = redis
        self._check = StoreCheck(redis, settings)
        self._seconds = settings.prediction_retention_seconds
        self._hold_seconds = settings.prediction_timeout_seconds + _GRACE_SECONDS
        self._max_waiting = settings.max_waiting_predictions
        names = ("submit", "take", "release", "finish", "overdue")
        self._scripts = {name: register_script(redis, f"{name}_predictions", "totals", "outbox") for name in names}
        self._keeps_records = settings.history_records == "on"

    def submit(self, requests: Mapping[str, Mapping[str, Any]]) -> None:
        """Store requests under their ids and send the task that answers them, in one step.

        A member ``owner`` of a request is the id of the user that the prediction belongs to. The reconciler sends the
        requests again if no worker takes them.

        Raises:
            UnsuitableStore: the store would lose them.
            TooManyPredictions: the limit is reached; nothing is stored.
        """
        self._check.require()
        names = [keys.PREDICTIONS, keys.queue(Queue.INTERACTIVE), *map(keys.prediction, requests)]
        stored: list[str | bytes] = []
        for prediction_id, request in requests.items():
            stored += [prediction_id, orjson.dumps(request), str(request.get("owner", ""))]
        small = sum(map(len, stored)) <= _MAX_BYTES_IN_MESSAGE
        message = Predict(tuple(requests), tuple(requests.values()) if small else ())
        sent = encode(Task.PREDICT, message.encode())
        arguments = [self._seconds, _GRACE_SECONDS, sent, self._max_waiting, *stored]
        waited = self._scripts["submit"](keys=names, args=arguments)
        if waited is not None:
            # A new request would wait about as long as the first in the queue has.
            seconds = math.ceil(min(max(float(waited), 1), MAX_RESEND_SECONDS))
            raise TooManyPredictions(f"{self._max_waiting} predictions are waiting already", seconds)

    def waiting(self, message: Predict) -> list[WaitingPrediction]:
        """Return the requests that a message is about; no round trip if it carries them, as first attempts do."""
        if not message.requests:
            return self.take(message.ids)
        pairs = zip(message.ids, message.requests, strict=True)
        return [WaitingPrediction(prediction_id, 1, dict(request)) for prediction_id, request in pairs]

    def take(self, ids: Sequence[str]) -> list[WaitingPrediction]:
        """Take the requests with these ids that still wait and that no worker holds.

        They are held until they are finished or released, or until the time of an attempt is over.
        """
        names = [keys.PREDICTIONS, *map(keys.prediction, ids)]
        answers = self._scripts["take"](keys=names, args=[self._hold_seconds, *ids])
        taken = zip(ids, answers[0::3], answers[1::3], answers[2::3], strict=True)
        return [WaitingPrediction(i, attempt, orjson.loads(raw), lost) for i, attempt, lost, raw in taken if attempt]

    def release(self, ids: Sequence[str], failed: bool) -> list[str]:
        """Release requests whose worker process has died; return those that still wait.

        ``failed``: the requests themselves were to blame, which uses up an attempt. Otherwise their hold counts as
        lost.
        """
        indexes = self._scripts["release"](keys=list(map(keys.prediction, ids)), args=[int(failed)])
        return [ids[index] for index in indexes]

    def finish(self, answers: Sequence[tuple[WaitingPrediction, Mapping[str, Any]]], seconds: float = 0) -> None:
        """Store answers and put them on the lists of the web processes that wait; one round trip per list.

        ``seconds`` is how long a worker has taken for all of them.
        """
        microseconds = 1_000_000 * seconds / max(1, sum(_records(waiting.request) for waiting, _ in answers))
        for reply_to in {waiting.reply_to for waiting, _ in answers}:
            group = [(waiting, answer) for waiting, answer in answers if waiting.reply_to == reply_to]
            results = {waiting.id: answer for waiting, answer in group}
            told = [tell(waiting.request, answer, self._keeps_records) for waiting, answer in group]
            stored = [
                part
                for (waiting, answer), text in zip(group, told, strict=True)
                for part in (waiting.id, orjson.dumps(answer), text)
            ]
            names = [keys.PREDICTIONS, keys.reply(reply_to), keys.TOTALS, *map(keys.prediction, results)]
            lifetime = keys.REPLY_SECONDS if reply_to else 0
            together = orjson.dumps(results) if reply_to else b""
            failed = sum(map(_count_failures, results.values()))
            told_as = "request" if self._keeps_records else "brief"
            arguments = [self._seconds, lifetime, together, failed, told_as, *stored]
            self._scripts["finish"](keys=names, args=[*arguments, *_count_by_model(group, microseconds)])

    def get(self, prediction_id: str) -> StoredPrediction | None:
        """Return the prediction, or None if it is unknown or expired."""
        request, result, owner = self.redis.hmget(keys.prediction(prediction_id), "request", "result", "owner")
        if request is None and result is None:
            return None
        return StoredPrediction(
            prediction_id, None if result is None else orjson.loads(result), (owner or b"").decode()
        )

    def forget(self, ids: Iterable[str]) -> None:
        """Delete requests and results that nobody will ask for."""
        names = list(ids)
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.unlink(*map(keys.prediction, names))
            pipe.zrem(keys.PREDICTIONS, *names)
            pipe.execute()

    def await_reply(self, reply_to: Sequence[str], seconds: float) -> dict[str, dict[str, Any]]:
        """Wait for the next results on one of these lists; return none after ``seconds``."""
        answer = self.redis.brpop(list(map(keys.reply, reply_to)), timeout=seconds)
        return orjson.loads(answer[1]) if answer else {}

    def overdue(self) -> list[str]:
        """Return the ids of unanswered requests to send again."""
        arguments: list[str | float] = [keys.prediction(""), MAX_RESEND_SECONDS, _GRACE_SECONDS]
        return [raw.decode() for raw in self._scripts["overdue"](keys=[keys.PREDICTIONS, keys.TOTALS], args=arguments)]


def _records(request: Mapping[str, Any]) -> int:
    """Return the number of records that a request has a version predict; 0 for previews."""
    records = request.get("records") if request.get("kind") == "predict" else None
    return len(records) if isinstance(records, Sequence) else 0


def _count_by_model(
    answers: Sequence[tuple[WaitingPrediction, Mapping[str, Any]]], microseconds: float
) -> list[str | int]:
    """Return name, records answered, records failed and microseconds of each version, one after the other."""
    counts: dict[str, list[int]] = {}
    for waiting, answer in answers:
        if records := _records(waiting.request):
            failed = _count_failures(answer)
            counted = counts.setdefault(f"{waiting.request.get('model')}@{waiting.request.get('version')}", [0, 0])
            counted[0] += records - failed
            counted[1] += failed
    return [
        item
        for name, (answered, failed) in counts.items()
        for item in (name, answered, failed, round(microseconds * (answered + failed)))
    ]


def _count_failures(answer: Mapping[str, Any]) -> int:
    """Return the number of records in an answer that the model failed on."""
    errors = (item.get("error") or {} for item in answer.get("items", [answer]))
    return sum(error.get("code") == "scoring_failed" for error in errors)
