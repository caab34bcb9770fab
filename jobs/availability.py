"""What the log says of the store: once that it does not answer, and once that it answers again."""

import threading
import time

import structlog

from jobs.logs import describe

log = structlog.stdlib.get_logger(__name__)


class StoreAvailability:
    """Whether the store answered when this process last asked; for all threads of the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._away_since: float | None = None

    def record_failure(self, error: Exception) -> None:
        """It did not answer."""
        with self._lock:
            first = self._away_since is None
            if first:
                self._away_since = time.monotonic()
        if first:
            log.warning("the store does not answer", error=describe(error))

    def record_success(self) -> None:
        """It answered; costs next to nothing where that is no news."""
        if self._away_since is None:
            return
        with self._lock:
            since, self._away_since = self._away_since, None
        if since is not None:
            log.warning("the store answers again", seconds=round(time.monotonic() - since, 1))


redis_availability = StoreAvailability()
