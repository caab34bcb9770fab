"""The sign of life of a web process, from the first time on that something in the store depends on it."""

import secrets
import threading

from redis import Redis

from jobs.store.heartbeat import WEB, Heartbeat, Node


class ProcessHeartbeat:
    """Says every second that this process lives; what it has in hand is given up when it does not."""

    def __init__(self, redis: Redis) -> None:
        # In a container that was started again, the process after this one has the same host and id.
        self._name = f"{Node.of_this_process()} {secrets.token_hex(8)}"
        self._heartbeat = Heartbeat(redis, WEB, self._name)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def begin(self) -> str:
        """Go on until the process ends; return the name under which it is alive from now on."""
        with self._lock:
            if self._thread is None:
                never = threading.Event()
                self._thread = threading.Thread(
                    target=self._heartbeat.keep_beating, args=(never,), name="heartbeat", daemon=True
                )
                self._thread.start()
        return self._name
