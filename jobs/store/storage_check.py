"""Check that the object store is the one that this Redis refers to: ``python -m jobs.store.storage_check``.

The first process leaves a mark there, and Redis remembers its name. Hosts that were given different buckets, or a
folder that is not mounted, would otherwise lose each other's chunks; and a Redis that is empty by mistake, or another
service with the same bucket, would have its objects swept as orphans.
"""

import secrets
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

import structlog
from redis import Redis
from redis.exceptions import RedisError

from jobs.blobs.address import MARK_FOLDER
from jobs.errors import DamagedBlob, StorageUnavailable, UnsuitableStorage
from jobs.settings import Settings, get_settings
from jobs.store import keys
from jobs.store.connection import connect
from jobs.store.payloads import Payloads

log = structlog.stdlib.get_logger(__name__)

_TRIES, _PAUSE_SECONDS = 4, 0.5
# A process of its own: the object store must not be used in one that will fork.
_COMMAND = (sys.executable, "-m", "jobs.store.storage_check")


class StorageCheck:
    """Checks the object store until it was found suitable once; without one, there is nothing to check."""

    def __init__(self, redis: Redis, payloads: Payloads) -> None:
        self._redis: Any = redis
        self._payloads = payloads
        self._suitable = not payloads.external

    def require(self) -> None:
        """Check the object store.

        Raises:
            UnsuitableStorage: it can never be used, or is not the one that was used before.
            StorageUnavailable, StorageFull: it cannot be used now.
        """
        if self._suitable:
            return
        blobs = self._payloads.blobs
        name = MARK_FOLDER + (self._known_mark() or self._leave_mark())
        try:
            blobs.get(name)
        except DamagedBlob as error:
            text = f"{self._payloads.address} is not the storage that this Redis refers to: all hosts need the same one"
            raise UnsuitableStorage(text) from error
        blobs.put(name, b"")  # it may be read-only
        self._redis.expire(keys.STORAGE, keys.STORAGE_SECONDS)
        self._suitable = True

    def _known_mark(self) -> str | None:
        """Return the name of the mark that Redis remembers; None if neither Redis nor the storage has one."""
        for _ in range(_TRIES):
            known = self._redis.get(keys.STORAGE)
            if known is not None:
                return str(known.decode())
            marks = list(self._payloads.blobs.keys_in(MARK_FOLDER))
            if not marks:
                return None
            time.sleep(_PAUSE_SECONDS)  # another process may have left it just now
        text = (
            f"{self._payloads.address} holds the jobs of another Redis: give each a folder of its own; if that Redis "
            f"is gone for good, delete {marks[0]} there"
        )
        raise UnsuitableStorage(text)

    def _leave_mark(self) -> str:
        """Leave a mark; return the name of the one that counts, if several processes do so at once."""
        mark = secrets.token_hex(8)
        self._payloads.blobs.put(MARK_FOLDER + mark, b"")
        self._redis.set(keys.STORAGE, mark, nx=True, ex=keys.STORAGE_SECONDS)
        known = str(self._redis.get(keys.STORAGE).decode())
        if known != mark:  # another process was quicker
            self._payloads.blobs.delete([MARK_FOLDER + mark])
        return known


def storage_fault() -> str | None:
    """Return why the object store of the settings can never be used, found in a process of its own; else None."""
    finished = subprocess.run(_COMMAND, capture_output=True, text=True, check=False)  # noqa: S603 - our own module
    if not finished.returncode:
        return None
    return (finished.stderr.strip().splitlines() or ["the object store cannot be checked"])[-1]


def refuse_unsuitable_storage(settings: Settings) -> None:
    """Check the object store before a process starts to use it. One that does not answer yet passes.

    Raises:
        SystemExit: with status 1, after logging the reason.
    """
    if settings.storage_url is not None and (fault := storage_fault()):
        log.critical("cannot start", error=fault)
        raise SystemExit(1)


def main() -> int:
    """Check; exit with 1, after one line, if the object store can never be used."""
    settings = get_settings()
    with suppress(RedisError), connect(settings) as redis:
        try:
            StorageCheck(redis, Payloads(settings)).require()
        except UnsuitableStorage as error:
            sys.stderr.write(f"{error}\n")
            return 1
        except StorageUnavailable as error:
            sys.stderr.write(f"not checked: {error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
