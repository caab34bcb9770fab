"""Waiting for jobs to change. One Redis subscription per web process serves all waiters."""

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import structlog
from redis import Redis
from redis.client import PubSub
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

    The process subscribes to the channels of the jobs that somebody follows here, and to one of its own. Only the
    thread that reads uses the subscription: who begins to follow a job wakes it through the channel of the process.
    ``places`` limits the number of waiters. ``stopping`` is true once the process shuts down.
    """

    def __init__(self, redis: Redis, places: ConcurrencyLimit) -> None:
        self._redis = redis
        self.places = places
        self.stopping = False
        self._own_channel = keys.changes(secrets.token_hex(16))
        self._lock = threading.Lock()
        self._listeners: dict[str, set[threading.Event]] = {}
        self._outdated = False
        self._thread: threading.Thread | None = None

    @contextmanager
    def listen(self, job_id: str) -> Iterator[threading.Event]:
        """Yield an event that is set whenever the job may have changed, and once when the subscription has begun."""
        event, channel = threading.Event(), keys.changes(job_id)
        with self._lock:
            is_first = channel not in self._listeners
            self._listeners.setdefault(channel, set()).add(event)
            self._outdated |= is_first
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="notifications", daemon=True)
                self._thread.start()
        if is_first:
            with suppress(RedisError):  # the reader looks again after a second, and subscribes anew after an outage
                self._redis.publish(self._own_channel, "")
        try:
            yield event
        finally:
            with self._lock:
                self._listeners[channel].discard(event)
                if not self._listeners[channel]:
                    del self._listeners[channel]
                    self._outdated = True

    def stop(self) -> None:
        """Wake every waiter on shutdown."""
        self.stopping = True
        self._wake_all()

    def _run(self) -> None:
        while True:
            try:
                with self._redis.pubsub() as pubsub:
                    self._read(pubsub)
            except (RedisError, OSError) as error:
                redis_availability.record_failure(error)
            except Exception:
                # Whatever the error: without this thread, no waiter would be woken again.
                log.exception("subscription failed")
            self._wake_all()
            time.sleep(0.5)

    def _read(self, pubsub: PubSub) -> None:
        """Subscribe to what is followed and wake waiters, until the connection fails."""
        pubsub.subscribe(self._own_channel)
        redis_availability.record_success()
        followed: set[str] = set()
        self._outdated = True
        while True:
            if self._outdated:
                followed = self._update(pubsub, followed)
            message: dict[str, Any] | None = pubsub.get_message(timeout=1.0)
            # A subscription that begins, also after the connection was lost, may have missed a change.
            if message and message["type"] in ("message", "subscribe"):
                self._wake(message["channel"].decode())

    def _update(self, pubsub: PubSub, followed: set[str]) -> set[str]:
        """Subscribe to the channels that are followed by now, and to no others; return them."""
        with self._lock:
            self._outdated = False
            wanted = set(self._listeners)
        if begun := wanted - followed:
            pubsub.subscribe(*begun)
        if ended := followed - wanted:
            pubsub.unsubscribe(*ended)
        return wanted

    def _wake(self, channel: str) -> None:
        with self._lock:
            for event in self._listeners.get(channel, ()):
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
