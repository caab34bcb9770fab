"""Bounds on what may hold a thread for long, so that there is always one for what is quick."""

import ipaddress
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from jobs.errors import JobsError


class Busy(JobsError):
    """Raised when as many requests of a kind are under way as one web process serves at once."""


class ConcurrencyLimit:
    """A number of places, of which one client may have all or only some; whoever gets none is told so at once.

    A client is an address on the network: of IPv6 a network of 64 bits, since that is what a customer has.
    """

    def __init__(self, most: int, what: str, max_of_one: int | None = None) -> None:
        self._most, self._most_of_one, self._what = most, max_of_one or most, what
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, address: str = "") -> None:
        """Take a place for the client at this address. Raises Busy."""
        client = _client(address)
        with self._lock:
            if self._taken.total() >= self._most or self._taken[client] >= self._most_of_one:
                raise Busy(f"too many {self._what} at once")
            self._taken[client] += 1

    def give_back(self, address: str = "") -> None:
        """Give a place back."""
        client = _client(address)
        with self._lock:
            self._taken[client] -= 1
            if not self._taken[client]:
                del self._taken[client]

    @contextmanager
    def held(self, address: str = "") -> Iterator[None]:
        """A place for a while. Raises Busy."""
        self.take(address)
        try:
            yield
        finally:
            self.give_back(address)


def _client(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:  # of a socket that has none
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or int(parsed) >> 64)


class LimitedResponseBody:
    """Blocks of an answer that hold a place until the server closes them, whether or not any was sent."""

    def __init__(self, slots: ConcurrencyLimit, blocks: Iterator[bytes]) -> None:
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
class ConcurrencyLimits:
    """The places of one web process. Together they are fewer than its threads: the rest is for what is quick."""

    waiting: ConcurrencyLimit
    records: ConcurrencyLimit
    predictions: ConcurrencyLimit
    uploads: ConcurrencyLimit
    downloads: ConcurrencyLimit

    @classmethod
    def among(cls, threads: int) -> "ConcurrencyLimits":
        """Half of the threads may wait for jobs, since that is what most clients do at once.

        Who sends slowly can hold a place for minutes, so that one client gets half of those at most.
        """
        return cls(
            waiting=ConcurrencyLimit(max(1, threads // 2), "followers of jobs"),
            records=ConcurrencyLimit(max(1, threads // 16), "large requests", max(1, threads // 32)),
            predictions=ConcurrencyLimit(max(1, threads // 8), "predictions"),
            uploads=ConcurrencyLimit(max(1, threads // 8), "uploads", max(1, threads // 16)),
            downloads=ConcurrencyLimit(max(1, threads // 8), "downloads"),
        )
