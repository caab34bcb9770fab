"""Passwords: which are accepted, how they are hashed (Argon2id) and verified."""

import threading
from functools import cached_property

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from web.server.limits import Busy

MIN_LENGTH, MAX_LENGTH = 12, 1000
# What OWASP recommends as a minimum; a hash takes about 30 ms and 19 MiB.
_MEMORY_KIB, _ITERATIONS, _LANES = 19_456, 2, 1
_AT_ONCE, _WAIT_SECONDS = 4, 5


def fault_of(password: str, email: str) -> str | None:
    """Return why a new password is not accepted, or None. Length matters more than what it is made of."""
    if len(password) < MIN_LENGTH:
        return f"Use at least {MIN_LENGTH} characters; several words make a good password."
    if len(password) > MAX_LENGTH:
        return f"Use at most {MAX_LENGTH} characters."
    if password.casefold().strip() == email.casefold().strip() or len(set(password)) < MIN_LENGTH // 3:
        return "This password is too easy to guess."
    return None


class Passwords:
    """Hashes and verifies passwords, a few at once: each hash takes memory and processor time."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(_ITERATIONS, _MEMORY_KIB, _LANES)
        self._places = threading.BoundedSemaphore(_AT_ONCE)

    def hash(self, password: str) -> str:
        """Return the hash to store."""
        with _Place(self._places):
            return self._hasher.hash(password)

    def verify(self, stored: str | None, password: str) -> bool:
        """Return whether a password is the stored one. Without a stored one, takes as long and is never right."""
        with _Place(self._places):
            try:
                # No stored password is longer; the rest of a huge one is not worth hashing.
                return self._hasher.verify(stored or self._nobodys, password[:MAX_LENGTH]) and stored is not None
            except (Argon2Error, InvalidHashError):
                return False

    def is_outdated(self, stored: str) -> bool:
        """Return whether a hash was made with other parameters."""
        return self._hasher.check_needs_rehash(stored)

    @cached_property
    def _nobodys(self) -> str:
        return self._hasher.hash("the password of nobody")


class _Place:
    """Waits for a place; raises ``Busy`` if there is none for long."""

    def __init__(self, places: threading.BoundedSemaphore) -> None:
        self._places = places

    def __enter__(self) -> None:
        if not self._places.acquire(timeout=_WAIT_SECONDS):
            raise Busy("too many people are signing in at once")

    def __exit__(self, *_error: object) -> None:
        self._places.release()
