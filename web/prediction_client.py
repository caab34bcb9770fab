"""Single predictions: validated here, scored by an interactive worker; requests of one process travel together."""

import itertools
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from jobs.availability import redis_availability
from jobs.store.prediction_store import PredictionStore, new_id
from model.card import Card
from web.server.limits import ConcurrencyLimit

# A batch not back by then no longer holds up the next one.
_BATCH_SECONDS = 0.1


@dataclass(slots=True, eq=False)
class _Pending:
    """A request on its way; ``news`` is set when there is an answer or an error, or when it leads the next batch."""

    request: Mapping[str, Any]
    seconds: float
    id: str = field(default_factory=new_id)
    leads: bool = False
    stored: bool = False
    answer: dict[str, Any] | None = None
    error: Exception | None = None
    news: threading.Event = field(default_factory=threading.Event)

    @property
    def over(self) -> bool:
        """Whether there is nothing left to wait for."""
        return self.answer is not None or self.error is not None or (self.stored and not self.seconds)


class PredictionClient:
    """Sends requests to the workers and hands their answers to those who wait.

    The first thread that asks leads: it sends its own request and waits for the answer. Whoever asks meanwhile gathers
    for the next batch, which one of them leads the moment the last one is back: no waiting window, one task however
    many ask at once, and no other thread between a request and its answer. What takes long is collected by a thread
    of its own, so that the next batch can leave.
    """

    def __init__(self, store: PredictionStore, patience: float, places: ConcurrencyLimit) -> None:
        self._store = store
        self._patience = patience
        self._places = places
        self._process, self._batches = new_id(), itertools.count()
        self._lock = threading.Condition()
        self._led = False
        self._gathered: list[_Pending] = []
        self._waiting: dict[str, _Pending] = {}
        # What the collector still awaits: the ids of each batch by where its answers arrive.
        self._late: dict[str, set[str]] = {}
        self._collects = False

    def ask(self, request: Mapping[str, Any], seconds: float) -> tuple[str, dict[str, Any] | None]:
        """A request's id, and the worker's answer, or None if it has not come by then.

        The request is durable when this returns: its answer can be fetched by id.

        Raises:
            RedisError: when the store does not answer in time.
            TooManyPredictions, Busy: when as many wait already as may, in the store or in this process.
        """
        with self._places.held():
            return self._ask(request, seconds)

    def _ask(self, request: Mapping[str, Any], seconds: float) -> tuple[str, dict[str, Any] | None]:
        began, pending = time.monotonic(), _Pending(request, seconds)
        self._join(pending)
        try:
            while True:
                # Cleared before the look: what comes after it sets ``news`` again and ends the wait.
                pending.news.clear()
                if pending.over:
                    break
                if self._takes_the_lead(pending):
                    self._lead(pending)
                    continue
                left = began + (seconds if pending.stored else self._patience) - time.monotonic()
                if left <= 0:
                    break
                pending.news.wait(left)
        finally:
            self._discard(pending)
        if pending.error:
            raise pending.error
        if not pending.stored:
            raise RedisTimeoutError("the store does not answer")
        return pending.id, pending.answer

    def _join(self, pending: _Pending) -> None:
        with self._lock:
            self._gathered.append(pending)
            self._waiting[pending.id] = pending
            if not self._led:
                self._led = pending.leads = True

    def _takes_the_lead(self, pending: _Pending) -> bool:
        with self._lock:
            leads, pending.leads = pending.leads, False
            return leads

    def _pass_the_lead_on(self) -> None:
        """To the first of those who gathered; the lock is held."""
        self._led = bool(self._gathered)
        if self._led:
            self._gathered[0].leads = True
            self._gathered[0].news.set()

    def _discard(self, pending: _Pending) -> None:
        with self._lock:
            self._waiting.pop(pending.id, None)
            if pending in self._gathered:
                self._gathered.remove(pending)
            if pending.leads:
                self._pass_the_lead_on()

    def _lead(self, leader: _Pending) -> None:
        """Send the next batch and wait a little for its answers, then have the next one sent."""
        with self._lock:
            batch, self._gathered = self._gathered, []
        reply_to = f"{self._process}:{next(self._batches)}"
        try:
            if self._send(batch, reply_to):
                self._await(batch, reply_to, min(_BATCH_SECONDS, leader.seconds))
        finally:
            with self._lock:
                self._pass_the_lead_on()

    def _send(self, batch: Sequence[_Pending], reply_to: str) -> bool:
        try:
            self._store.submit({pending.id: {**pending.request, "reply_to": reply_to} for pending in batch})
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must learn of it
            for pending in batch:
                pending.error = error
                pending.news.set()
            return False
        redis_availability.record_success()
        for pending in batch:
            pending.stored = True
            if pending.over:
                pending.news.set()
        return True

    def _await(self, batch: Sequence[_Pending], reply_to: str, seconds: float) -> None:
        missing = {pending.id for pending in batch}
        try:
            if seconds:
                missing -= self._hand_out(self._store.await_reply([reply_to], seconds))
        except RedisError as error:
            redis_availability.record_failure(error)
        if missing:
            self._have_collected(reply_to, missing)

    def _hand_out(self, answers: Mapping[str, dict[str, Any]]) -> set[str]:
        """Give answers to those who wait for them; whose they were."""
        for prediction_id, answer in answers.items():
            if pending := self._waiting.get(prediction_id):
                pending.answer = answer
                pending.news.set()
        return set(answers)

    def _have_collected(self, reply_to: str, ids: set[str]) -> None:
        with self._lock:
            self._late[reply_to] = ids
            if not self._collects:
                self._collects = True
                threading.Thread(target=self._collect, name="late answers", daemon=True).start()

    def _collect(self) -> None:
        """Hand out late answers as long as someone waits for one."""
        while late := self._still_awaited():
            try:
                self._hand_out(self._store.await_reply(late, _BATCH_SECONDS))
            except RedisError as error:
                redis_availability.record_failure(error)
                time.sleep(_BATCH_SECONDS)

    def _still_awaited(self) -> list[str]:
        with self._lock:
            waiting = {name for name, pending in self._waiting.items() if not pending.over}
            self._late = {reply_to: ids for reply_to, ids in self._late.items() if ids & waiting}
            self._collects = bool(self._late)
            return list(self._late)


def make_request(
    card: Card, records: Sequence[Mapping[str, Any]], threshold: float | None, several: bool = False
) -> dict[str, Any]:
    """What a worker needs to predict records, each ``{"values": …}`` or ``{"error": …}``."""
    return {
        "kind": "predict",
        "model": card.name,
        "version": card.version,
        "threshold": threshold,
        "several": several,
        "records": list(records),
    }
