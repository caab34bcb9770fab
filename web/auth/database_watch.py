"""Watches how the database answers, so that requests do not wait for one that hangs."""

import threading
from collections.abc import Callable
from time import monotonic
from typing import TypeVar

import structlog

from database.errors import DatabaseError

log = structlog.stdlib.get_logger(__name__)

_Found = TypeVar("_Found")
# A question that takes longer makes others look for an answer elsewhere, unless one was answered meanwhile.
_SLOW_SECONDS = 1.0
# After an outage, the database is asked this often, in the background.
_PAUSE_SECONDS = 1.0


class DatabaseWatch:
    """Asks the database, and knows whether it answers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: dict[object, float] = {}
        self._answered = self._ask_again = 0.0
        self._is_asking = False
        self.is_away = False

    @property
    def seems_away(self) -> bool:
        """Whether it is away, or a question has been waiting for long and none was answered meanwhile."""
        now = monotonic()
        with self._lock:
            first = min(self._asked.values(), default=now)
            return self.is_away or min(now - first, now - self._answered) > _SLOW_SECONDS

    def ask(self, find: Callable[[], _Found]) -> _Found:
        """Return what ``find`` reads from the database; raise ``DatabaseError`` as it does."""
        question = object()
        with self._lock:
            self._asked[question] = monotonic()
        try:
            found = find()
        except DatabaseError as error:
            log.warning("database unavailable", reason=str(error))
            with self._lock:
                self.is_away, self._ask_again = True, monotonic() + _PAUSE_SECONDS
            raise
        finally:
            with self._lock:
                del self._asked[question]
        with self._lock:
            self.is_away, self._answered = False, monotonic()
        return found

    def ask_aside(self, find: Callable[[], object]) -> None:
        """Ask in the background, at most once at a time and in a while, to see whether the database is back."""
        with self._lock:
            if self._is_asking or monotonic() < self._ask_again:
                return
            self._is_asking = True
        threading.Thread(target=self._ask_aside, args=(find,), name="database", daemon=True).start()

    def _ask_aside(self, find: Callable[[], object]) -> None:
        try:
            self.ask(find)
        except DatabaseError:
            pass  # it is noted
        finally:
            with self._lock:
                self._is_asking = False
