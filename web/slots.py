"""Bounds on what may hold a thread for long, so that there is always one for what is quick."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from jobs.errors import JobsError


class Busy(JobsError):
    """Raised when as many requests of a kind are under way as one web process serves at once."""


class Slots:
    """A number of places; whoever gets none is told so at once."""

    def __init__(self, most: int, what: str) -> None:
        self._free = threading.Semaphore(most)
        self._what = what

    def take(self) -> None:
        """Take a place. Raises Busy."""
        if not self._free.acquire(blocking=False):
            raise Busy(f"too many {self._what} at once")

    def give_back(self) -> None:
        """Give a place back."""
        self._free.release()

    @contextmanager
    def held(self) -> Iterator[None]:
        """A place for a while. Raises Busy."""
        self.take()
        try:
            yield
        finally:
            self.give_back()


class Held:
    """Blocks of an answer that hold a place until the server closes them, whether or not any was sent."""

    def __init__(self, slots: Slots, blocks: Iterator[bytes]) -> None:
        slots.take()
        self._slots, self._blocks = slots, blocks
        self._closed = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        return next(self._blocks)

    def close(self) -> None:
        """The answer is over."""
        if not self._closed:
            self._closed = True
            self._slots.give_back()
            if close := getattr(self._blocks, "close", None):
                close()


@dataclass(frozen=True, slots=True)
class Places:
    """The places of one web process. Together they are fewer than its threads: the rest is for what is quick."""

    waiting: Slots
    records: Slots
    predictions: Slots
    uploads: Slots
    downloads: Slots

    @classmethod
    def among(cls, threads: int) -> "Places":
        """Half of the threads may wait for jobs, since that is what most clients do at once."""
        return cls(
            waiting=Slots(max(1, threads // 2), "followers of jobs"),
            records=Slots(max(1, threads // 16), "large requests"),
            predictions=Slots(max(1, threads // 8), "predictions"),
            uploads=Slots(max(1, threads // 8), "uploads"),
            downloads=Slots(max(1, threads // 8), "downloads"),
        )
