"""Holds the idempotency keys of the uploads that this process receives until they have ended."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from redis.exceptions import RedisError

from jobs.availability import redis_availability
from jobs.store.idempotency import HOLD_SECONDS, IdempotencyKey

log = structlog.stdlib.get_logger(__name__)

_RENEW_SECONDS = HOLD_SECONDS / 5


class HeldKeys:
    """Renews the keys of all uploads in progress, in one thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: set[IdempotencyKey] = set()
        self._thread: threading.Thread | None = None

    @contextmanager
    def held(self, key: IdempotencyKey) -> Iterator[None]:
        """Hold a key within the context."""
        with self._lock:
            self._keys.add(key)
            if self._thread is None:
                self._thread = threading.Thread(target=self._renew_all, name="idempotency keys", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._keys.discard(key)

    def _renew_all(self) -> None:
        while True:
            time.sleep(_RENEW_SECONDS)
            with self._lock:
                held = list(self._keys)
            for key in held:
                try:
                    key.renew()
                except RedisError as error:
                    redis_availability.record_failure(error)
                except Exception:
                    # The thread must survive: nothing else renews the keys of this process.
                    log.exception("idempotency key not renewed")
