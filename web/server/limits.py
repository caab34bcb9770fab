"""Limits on requests that occupy a thread for long, so that threads remain for quick ones."""

import ipaddress
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

from jobs.errors import JobsError

_MAX_EXPORTS = 4
_MAX_LARGE_CORRECTIONS = 2


class Busy(JobsError):
    """Raised when one web process handles the maximum number of requests of a kind."""


class ConcurrencyLimit:
    """A non-blocking semaphore with an optional limit per client.

    A client is an IP address; of IPv6 a /64 network, which is what one customer gets.
    """

    def __init__(self, limit: int, what: str, limit_per_client: int | None = None) -> None:
        self._limit, self._limit_per_client, self._what = limit, limit_per_client or limit, what
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    def acquire(self, address: str = "") -> None:
        """Acquire a place for the client with this address; raise ``Busy`` if there is none."""
        client = client_of(address)
        with self._lock:
            if self._taken.total() >= self._limit or self._taken[client] >= self._limit_per_client:
                raise Busy(f"too many {self._what} at once")
            self._taken[client] += 1

    def release(self, address: str = "") -> None:
        """Release a place."""
        client = client_of(address)
        with self._lock:
            self._taken[client] -= 1
            if not self._taken[client]:
                del self._taken[client]

    @contextmanager
    def held(self, address: str = "") -> Iterator[None]:
        """Hold a place within the context; raise ``Busy`` if there is none."""
        self.acquire(address)
        try:
            yield
        finally:
            self.release(address)


@lru_cache(maxsize=1024)
def client_of(address: str) -> str:
    """Return the client of an address: of IPv6 the /64 network."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:  # a Unix socket has none
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or int(parsed) >> 64)


class LimitedResponseBody:
    """A response body that holds a place until the server closes it, whether or not anything was sent."""

    def __init__(self, limit: ConcurrencyLimit, blocks: Iterator[bytes], address: str = "") -> None:
        limit.acquire(address)
        self._limit, self._blocks, self._address = limit, blocks, address
        self._closed = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        return next(self._blocks)

    def close(self) -> None:
        """Release the place."""
        if not self._closed:
            self._closed = True
            self._limit.release(self._address)
            if close := getattr(self._blocks, "close", None):
                close()


@dataclass(frozen=True, slots=True)
class ConcurrencyLimits:
    """The limits of one web process. Their sum is less than its threads: the rest is for quick requests."""

    waiting: ConcurrencyLimit
    records: ConcurrencyLimit
    predictions: ConcurrencyLimit
    uploads: ConcurrencyLimit
    downloads: ConcurrencyLimit
    exports: ConcurrencyLimit
    corrections: ConcurrencyLimit

    @classmethod
    def among(cls, threads: int) -> "ConcurrencyLimits":
        """Divide the threads: half for waiting for jobs, which is what most concurrent clients do.

        Who sends or reads slowly can occupy a place for minutes, so one client gets at most half of the places for
        bodies, for downloads and for what takes much time or memory.
        """
        return cls(
            waiting=ConcurrencyLimit(max(1, threads // 2), "followers of jobs"),
            records=ConcurrencyLimit(max(1, threads // 16), "large requests", max(1, threads // 32)),
            predictions=ConcurrencyLimit(max(1, threads // 8), "predictions"),
            uploads=ConcurrencyLimit(max(1, threads // 8), "uploads", max(1, threads // 16)),
            downloads=ConcurrencyLimit(max(1, threads // 8), "downloads", max(1, threads // 16)),
            # Each is a process that computes.
            exports=ConcurrencyLimit(_MAX_EXPORTS, "exports", _MAX_EXPORTS // 2),
            # Each takes some hundred MiB, and computes while others wait for the interpreter.
            corrections=ConcurrencyLimit(_MAX_LARGE_CORRECTIONS, "large corrections", _MAX_LARGE_CORRECTIONS // 2),
        )
