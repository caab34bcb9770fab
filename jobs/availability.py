"""Log once when a store stops answering, and once when it answers again."""

import threading
import time

import structlog

from jobs.logs import describe

log = structlog.stdlib.get_logger(__name__)


class StoreAvailability:
    """Tracks whether a store answered this process's last command. Thread-safe."""

    def __init__(self, name: str = "the store") -> None:
        self._name = name
        self._lock = threading.Lock()
        self._away_since: float | None = None

    def record_failure(self, error: Exception) -> None:
        """Note that the store did not answer; log the first failure."""
        with self._lock:
            is_first = self._away_since is None
            if is_first:
                self._away_since = time.monotonic()
        if is_first:
            log.warning(f"{self._name} does not answer", error=describe(error))

    def record_success(self) -> None:
        """Note that the store answered; log it after a failure. Cheap otherwise, for the hot path."""
        if self._away_since is None:
            return
        with self._lock:
            since, self._away_since = self._away_since, None
        if since is not None:
            log.warning(f"{self._name} answers again", seconds=round(time.monotonic() - since, 1))


redis_availability = StoreAvailability()
storage_availability = StoreAvailability("the object store")
