"""Waiting for jobs to change. One Redis subscription per web process serves all waiters."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from redis import Redis
from redis.exceptions import RedisError

from jobs.availability import redis_availability
from jobs.state import Job
from jobs.store import keys
from jobs.store.job_store import JobStore
from web.server.limits import Busy, ConcurrencyLimit

log = structlog.stdlib.get_logger(__name__)

# Waiters check again after this time even without a message.
_MAX_SILENCE_SECONDS = 5.0


class JobNotifications:
    """Wakes waiters when their job changes.

    ``places`` limits the number of waiters. ``stopping`` is true once the process shuts down.
    """

    def __init__(self, redis: Redis, places: ConcurrencyLimit) -> None:
        self._redis = redis
        self.places = places
        self.stopping = False
        self._lock = threading.Lock()
        self._listeners: dict[str, set[threading.Event]] = {}
        self._thread: threading.Thread | None = None

    @contextmanager
    def listen(self, job_id: str) -> Iterator[threading.Event]:
        """Yield an event that is set whenever the job may have changed."""
        event = threading.Event()
        with self._lock:
            self._listeners.setdefault(job_id, set()).add(event)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="notifications", daemon=True)
                self._thread.start()
        try:
            yield event
        finally:
            with self._lock:
                self._listeners[job_id].discard(event)
                if not self._listeners[job_id]:
                    del self._listeners[job_id]

    def stop(self) -> None:
        """Wake every waiter on shutdown."""
        self.stopping = True
        self._wake_all()

    def _run(self) -> None:
        while True:
            try:
                with self._redis.pubsub(ignore_subscribe_messages=True) as pubsub:
                    pubsub.subscribe(keys.CHANGES)
                    redis_availability.record_success()
                    # Changes before the subscription went unheard.
                    self._wake_all()
                    while True:
                        message = pubsub.get_message(timeout=1.0)
                        if message:
                            self._wake(message["data"].decode())
            except (RedisError, OSError) as error:
                redis_availability.record_failure(error)
            except Exception:
                # Whatever the error: without this thread, no waiter would be woken again.
                log.exception("subscription failed")
            self._wake_all()
            time.sleep(0.5)

    def _wake(self, job_id: str) -> None:
        with self._lock:
            for event in self._listeners.get(job_id, ()):
                event.set()

    def _wake_all(self) -> None:
        with self._lock:
            for events in self._listeners.values():
                for event in events:
                    event.set()


def wait_for_change(
    notifications: JobNotifications, store: JobStore, job_id: str, revision: int | None, seconds: float
) -> Job | None:
    """Return the job once it has ended, differs from ``revision``, or ``seconds`` have passed.

    Return it at once if there are too many waiters: the answer is correct, only early.
    """
    if seconds <= 0:
        return store.get(job_id)
    try:
        with notifications.places.held():
            return _wait(notifications, store, job_id, revision, seconds)
    except Busy:
        return store.get(job_id)


def _wait(
    notifications: JobNotifications, store: JobStore, job_id: str, revision: int | None, seconds: float
) -> Job | None:
    deadline = time.monotonic() + seconds
    with notifications.listen(job_id) as changed:
        while True:
            # Before reading the job: a change from here on sets the event again.
            changed.clear()
            job = store.get(job_id)
            left = deadline - time.monotonic()
            over = left <= 0 or notifications.stopping
            if job is None or job.state.ended or over or revision not in (None, job.revision):
                return job
            changed.wait(min(left, _MAX_SILENCE_SECONDS))
