"""Single predictions: validated here, scored by an interactive worker; requests of one process travel together."""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from jobs.predictions import PredictionStore, new_id
from model.card import Card

log = logging.getLogger(__name__)

# A batch not back by then no longer holds up the next one.
_PATIENCE_SECONDS = 0.1


@dataclass(slots=True)
class Pending:
    """A request on its way: ``stored`` is done once Redis has it, ``result`` once a worker has answered."""

    request: dict[str, Any]
    id: str = field(default_factory=new_id)
    stored: "Future[None]" = field(default_factory=Future)
    result: "Future[dict[str, Any]]" = field(default_factory=Future)


class PredictionClient:
    """Sends requests to the workers and hands their answers to whoever waits.

    While one batch is under way, requests gather for the next, which leaves the moment the last one is back: no
    waiting window, and one task however many ask at once.
    """

    def __init__(self, store: PredictionStore, patience: float) -> None:
        self._store = store
        self._patience = patience
        self._process = new_id()
        self._news = threading.Condition()
        self._gathered: list[Pending] = []
        self._waiting: dict[str, Pending] = {}
        self._under_way: set[str] = set()
        self._started = False

    def submit(self, request: dict[str, Any]) -> Pending:
        """Have a request sent; ``wait`` tells how that went."""
        pending = Pending({**request, "reply_to": self._process})
        with self._news:
            self._start()
            self._gathered.append(pending)
            self._waiting[pending.id] = pending
            self._news.notify_all()
        return pending

    def wait(self, pending: Pending, seconds: float) -> dict[str, Any] | None:
        """The worker's answer, or None if it has not come by then: it is durable, and can be fetched by id.

        Raises:
            RedisError: when the store does not answer in time.
        """
        until = time.monotonic() + seconds
        try:
            if seconds and (answer := _within(pending.result, min(seconds, self._patience))):
                return answer
            self._ensure_stored(pending)
            return _within(pending.result, until - time.monotonic()) if seconds else None
        finally:
            self._forget(pending)

    def _ensure_stored(self, pending: Pending) -> None:
        try:
            pending.stored.result(timeout=self._patience)
        except FutureTimeoutError:
            raise RedisTimeoutError("the store does not answer") from None

    def _forget(self, pending: Pending) -> None:
        with self._news:
            self._waiting.pop(pending.id, None)
            if pending in self._gathered:
                self._gathered.remove(pending)

    def _start(self) -> None:
        if not self._started:
            self._started = True
            for target in (self._send_batches, self._take_answers):
                threading.Thread(target=target, name=target.__name__, daemon=True).start()

    def _send_batches(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._gathered)
                self._news.wait_for(lambda: not self._under_way, timeout=_PATIENCE_SECONDS)
                batch, self._gathered = self._gathered, []
                self._under_way = {pending.id for pending in batch}
            self._send(batch)

    def _send(self, batch: Sequence[Pending]) -> None:
        try:
            self._store.submit({pending.id: pending.request for pending in batch})
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait must learn of it
            with self._news:
                self._under_way = set()
                for pending in batch:
                    self._waiting.pop(pending.id, None)
                    pending.stored.set_exception(error)
                    pending.result.set_exception(error)
            return
        for pending in batch:
            pending.stored.set_result(None)

    def _take_answers(self) -> None:
        while True:
            try:
                answers = self._store.await_reply(self._process, 1.0)
            except RedisError as error:
                log.warning("the store does not answer: %s", error)
                time.sleep(0.5)
                continue
            self._hand_out(answers)

    def _hand_out(self, answers: Mapping[str, dict[str, Any]]) -> None:
        with self._news:
            self._under_way -= answers.keys()
            if not self._under_way:
                self._news.notify_all()
            found = [(self._waiting.get(name), answer) for name, answer in answers.items()]
        for pending, answer in found:
            if pending and not pending.result.done():
                pending.result.set_result(answer)


def _within(future: "Future[dict[str, Any]]", seconds: float) -> dict[str, Any] | None:
    try:
        return future.result(timeout=max(0.0, seconds))
    except FutureTimeoutError:
        return None


def make_request(
    card: Card, records: Sequence[Mapping[str, Any]], threshold: float | None, several: bool = False
) -> dict[str, Any]:
    """What a worker needs to predict records, each ``{"values": …}`` or ``{"error": …}``."""
    negative = next(name for name in card.classes if name != card.positive_class)
    return {
        "kind": "predict",
        "model": card.name,
        "version": card.version,
        "classes": [negative, card.positive_class],
        "threshold": card.threshold if threshold is None else threshold,
        "several": several,
        "records": list(records),
    }
