"""Idempotency keys: an upload that is sent twice becomes one job."""

import secrets
import time
from dataclasses import dataclass

from redis import Redis

from jobs.errors import JobsError
from jobs.settings import Settings
from jobs.store import keys
from jobs.store.scripts import register_script

# How long a key is held without renewal: several renewal intervals (see web.held_keys).
HOLD_SECONDS = 10
# An upload holds its key for at most this multiple of the time that it may stall.
_MAX_HOLD_FACTOR = 5


class StillUploading(JobsError):
    """Raised while the first upload under an idempotency key is still in progress."""


@dataclass(frozen=True, slots=True)
class FirstUpload:
    """The job that belongs to an idempotency key, and the fingerprint of its body and parameters."""

    job_id: str
    fingerprint: str


class Overtaken(JobsError):
    """Raised when an upload is complete, but another one under its idempotency key was complete before.

    ``first`` is that other one; ``fingerprint`` belongs to the upload that came second.
    """

    def __init__(self, first: FirstUpload, fingerprint: str) -> None:
        super().__init__("another upload with this idempotency key was complete before")
        self.first = first
        self.fingerprint = fingerprint


class IdempotencyKey:
    """One upload under an idempotency key. Each method but ``touch`` is one round trip.

    A key belongs to its owner; without owners, whoever knows a key can use it, so keys should be hard to guess. The
    process that receives the upload holds the key by renewing it; if the process dies, the key is free soon after. An
    upload that makes progress holds its key for much longer than a usual upload takes. After that, another upload may
    begin under the key, and the first to be complete gets it.
    """

    def __init__(self, redis: Redis, settings: Settings, key: str, owner: str = "") -> None:
        self.key = keys.idempotency(key, owner)
        self._token = secrets.token_hex(16)
        self._idle_seconds = settings.upload_idle_seconds
        self._began = self._last_progress = time.monotonic()
        self._begin = register_script(redis, "begin_upload")
        self._update = register_script(redis, "update_idempotency")

    def begin(self) -> FirstUpload | None:
        """Take the key for this upload, or return the job of an earlier upload under it.

        Raises:
            StillUploading: another upload holds the key.
        """
        reply = self._begin(keys=[self.key], args=[self._token, HOLD_SECONDS, keys.job("")])
        answer = [raw.decode() for raw in reply]
        if answer == ["uploading"]:
            raise StillUploading("the first upload with this idempotency key is still under way")
        return None if answer == ["new"] else FirstUpload(*answer)

    def touch(self) -> None:
        """Note that the upload makes progress."""
        self._last_progress = time.monotonic()

    def renew(self) -> None:
        """Hold the key for the next ``HOLD_SECONDS``, unless the upload has stalled or takes far too long."""
        now = time.monotonic()
        if now - self._last_progress < self._idle_seconds and now - self._began < _MAX_HOLD_FACTOR * self._idle_seconds:
            self._update(keys=[self.key], args=[self._token, HOLD_SECONDS])

    def give_up(self) -> None:
        """Free the key, after the upload was refused."""
        self._update(keys=[self.key], args=[self._token, 0])
