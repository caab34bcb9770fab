"""Wait for room in a store that is full for a moment."""

import time
from collections.abc import Callable
from typing import TypeVar

import structlog
from redis.exceptions import OutOfMemoryError

from jobs.errors import StoreFull

log = structlog.stdlib.get_logger(__name__)

T = TypeVar("T")

_PAUSE_SECONDS = 0.5


def wait_for_room(store: Callable[[], T], seconds: float, keep_alive: Callable[[], None] = lambda: None) -> T:
    """Call ``store`` until there is room for what it stores, and return its result.

    Meanwhile, nothing is read from the client, which waits in turn. ``keep_alive`` is called between two attempts.

    Raises:
        StoreFull, OutOfMemoryError: there was no room for so many seconds.
    """
    began = time.monotonic()
    while True:
        try:
            stored = store()
        except (StoreFull, OutOfMemoryError):
            if time.monotonic() - began > seconds:
                raise
            keep_alive()
            time.sleep(min(_PAUSE_SECONDS, seconds))
        else:
            if (waited := time.monotonic() - began) > _PAUSE_SECONDS:
                log.info("waited for room in the store", seconds=round(waited, 1))
            return stored
