"""Waiting for jobs to change: one subscription per web process serves everybody who waits."""

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

# Whoever waits looks again after this time even without a message.
_MAX_SILENCE_SECONDS = 5.0


class JobNotifications:
    """Tells those who wait for a job when it has changed.

    ``places`` bounds how many of them there are; ``stopping`` is true once nobody should wait any more, since the
    process is about to end.
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
        """An event that is set whenever the job may have changed."""
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
        """The process is about to end: whoever waits goes home."""
        self.stopping = True
        self._wake_all()

    def _run(self) -> None:
        while True:
            try:
                with self._redis.pubsub(ignore_subscribe_messages=True) as pubsub:
                    pubsub.subscribe(keys.CHANGES)
                    redis_availability.record_success()
                    self._wake_all()
                    while True:
                        message = pubsub.get_message(timeout=1.0)
                        if message:
                            self._wake(message["data"].decode())
            except (RedisError, OSError) as error:
                redis_availability.record_failure(error)
            except Exception:
                # Whatever it was: nobody else would begin another subscription for those who wait.
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
    """The job as soon as it has ended, or has another revision than the given one, or the time is up.

    Where too many wait already, that is at once: the answer is true, only early.
    """
    if seconds <= 0:
        return store.get(job_id)
    try:
        with notifications.places.held():
            return _waited(notifications, store, job_id, revision, seconds)
    except Busy:
        return store.get(job_id)


def _waited(
    notifications: JobNotifications, store: JobStore, job_id: str, revision: int | None, seconds: float
) -> Job | None:
    deadline = time.monotonic() + seconds
    with notifications.listen(job_id) as changed:
        while True:
            changed.clear()
            job = store.get(job_id)
            left = deadline - time.monotonic()
            over = left <= 0 or notifications.stopping
            if job is None or job.state.ended or over or revision not in (None, job.revision):
                return job
            changed.wait(min(left, _MAX_SILENCE_SECONDS))
