"""Client for single predictions: batches the concurrent requests of this process into one task."""

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
from jobs.tracing import HEADER, traceparent
from model.card import Card
from web.server.limits import ConcurrencyLimit

# A batch that takes longer no longer blocks the next one; a collector thread waits for it.
_BATCH_SECONDS = 0.1


@dataclass(slots=True, eq=False)
class _Pending:
    """A request in progress; ``news`` is set on an answer, an error, or when it becomes the leader."""

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
    """Sends requests to the workers and hands their answers to the waiting threads.

    The first thread becomes the leader: it sends its own request and waits for the answer. Requests that arrive
    meanwhile form the next batch, which one of them leads as soon as the previous batch is answered. So there is no
    batching delay, one task for any number of concurrent requests, and no thread switch between a request and its
    answer. Late answers are collected by a separate thread, so that the next batch need not wait.
    """

    def __init__(self, store: PredictionStore, patience: float, places: ConcurrencyLimit) -> None:
        self._store = store
        self._patience = patience
        self._places = places
        self._process, self._batches = new_id(), itertools.count()
        self._lock = threading.Condition()
        self._has_leader = False
        self._next_batch: list[_Pending] = []
        self._waiting: dict[str, _Pending] = {}
        # Ids of the batches that the collector waits for, by reply list.
        self._late: dict[str, set[str]] = {}
        self._is_collecting = False

    def ask(self, request: Mapping[str, Any], seconds: float) -> tuple[str, dict[str, Any] | None]:
        """Send a request; return its id and the answer, or None if there is none after ``seconds``.

        The request is durable when this returns: its answer can be fetched by id later.

        Raises:
            RedisError: the store does not answer in time.
            TooManyPredictions, Busy: too many requests wait in the store, or in this process.
        """
        with self._places.held():
            return self._ask(request, seconds)

    def _ask(self, request: Mapping[str, Any], seconds: float) -> tuple[str, dict[str, Any] | None]:
        began, pending = time.monotonic(), _Pending(request, seconds)
        self._join(pending)
        try:
            while True:
                # Cleared before the check: a change after it sets ``news`` again and ends the wait.
                pending.news.clear()
                if pending.over:
                    break
                if self._becomes_leader(pending):
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
            self._next_batch.append(pending)
            self._waiting[pending.id] = pending
            if not self._has_leader:
                self._has_leader = pending.leads = True

    def _becomes_leader(self, pending: _Pending) -> bool:
        with self._lock:
            leads, pending.leads = pending.leads, False
            return leads

    def _appoint_next_leader(self) -> None:
        """Make the first request of the next batch the leader. The caller holds the lock."""
        self._has_leader = bool(self._next_batch)
        if self._has_leader:
            self._next_batch[0].leads = True
            self._next_batch[0].news.set()

    def _discard(self, pending: _Pending) -> None:
        with self._lock:
            self._waiting.pop(pending.id, None)
            if pending in self._next_batch:
                self._next_batch.remove(pending)
            if pending.leads:
                self._appoint_next_leader()

    def _lead(self, leader: _Pending) -> None:
        """Send the batch, wait briefly for its answers, then appoint the leader of the next one."""
        with self._lock:
            batch, self._next_batch = self._next_batch, []
        reply_to = f"{self._process}:{next(self._batches)}"
        try:
            if self._send(batch, reply_to):
                self._await(batch, reply_to, min(_BATCH_SECONDS, leader.seconds))
        finally:
            with self._lock:
                self._appoint_next_leader()

    def _send(self, batch: Sequence[_Pending], reply_to: str) -> bool:
        try:
            self._store.submit({pending.id: {**pending.request, "reply_to": reply_to} for pending in batch})
        except Exception as error:  # noqa: BLE001 - every waiting thread must get the error
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
            self._collect_later(reply_to, missing)

    def _hand_out(self, answers: Mapping[str, dict[str, Any]]) -> set[str]:
        """Hand answers to the waiting threads; return the ids."""
        for prediction_id, answer in answers.items():
            if pending := self._waiting.get(prediction_id):
                pending.answer = answer
                pending.news.set()
        return set(answers)

    def _collect_later(self, reply_to: str, ids: set[str]) -> None:
        with self._lock:
            self._late[reply_to] = ids
            if not self._is_collecting:
                self._is_collecting = True
                threading.Thread(target=self._collect, name="late answers", daemon=True).start()

    def _collect(self) -> None:
        """Hand out late answers while a thread waits for one."""
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
            self._is_collecting = bool(self._late)
            return list(self._late)


def make_request(
    card: Card,
    records: Sequence[Mapping[str, Any]],
    threshold: float | None,
    several: bool = False,
    transient: bool = False,
    owner: str = "",
) -> dict[str, Any]:
    """Return a request to predict records, each ``{"values": …}`` or ``{"error": …}``.

    ``owner`` is a user's id. A transient request is not kept in the history.
    """
    request: dict[str, Any] = {
        "kind": "predict",
        "model": card.name,
        "version": card.version,
        "threshold": threshold,
        "several": several,
        "records": list(records),
    }
    if transient:
        request["transient"] = True
    if owner:
        request["owner"] = owner
    if parent := traceparent():
        request[HEADER] = parent
    return request
