"""Idempotency keys: the same upload sent twice becomes one job."""

import secrets
import time
from dataclasses import dataclass

from redis import Redis

from jobs.errors import JobsError
from jobs.settings import Settings
from jobs.store import keys
from jobs.store.scripts import register_script

# How long a key is held without being renewed: a few times as long as it takes to renew it.
HOLD_SECONDS = 10
# An upload holds its key for that many times as long as it may stand still.
_MAX_HELD_IDLE_TIMES = 5


class StillUploading(JobsError):
    """Raised when the first upload under an idempotency key has not come to its end."""


@dataclass(frozen=True, slots=True)
class FirstUpload:
    """The job that an idempotency key stands for, and the fingerprint of its body and parameters."""

    job_id: str
    fingerprint: str


class Overtaken(JobsError):
    """Raised when an upload has come whole, but another one under its idempotency key was whole before.

    ``first`` is that one, ``fingerprint`` that of the upload which came too late.
    """

    def __init__(self, first: FirstUpload, fingerprint: str) -> None:
        super().__init__("another upload with this idempotency key was whole before")
        self.first = first
        self.fingerprint = fingerprint


class IdempotencyKey:
    """One upload under an idempotency key. Every method but ``touch`` is one round trip.

    Keys are for everybody who knows them, so that they should be hard to guess. The process that receives the upload
    holds its key by renewing it, so that a key is free soon after its process has died. An upload that moves keeps it
    for so long that nobody who sends at a usual speed loses it; then another may begin under the key, and the one that
    is complete first has it.
    """

    def __init__(self, redis: Redis, settings: Settings, key: str) -> None:
        self.key = keys.idempotency(key)
        self._token = secrets.token_hex(16)
        self._idle_seconds = settings.upload_idle_seconds
        self._began = self._moved = time.monotonic()
        self._begin = register_script(redis, "begin_upload")
        self._update = register_script(redis, "update_idempotency")

    def begin(self) -> FirstUpload | None:
        """Take the key for this upload, or return the first one that had it, now a job.

        Raises:
            StillUploading: when the first is not there yet.
        """
        found = self._begin(keys=[self.key], args=[self._token, HOLD_SECONDS, keys.job("")])
        answer = [raw.decode() for raw in found]
        if answer == ["uploading"]:
            raise StillUploading("the first upload with this idempotency key is still under way")
        return None if answer == ["new"] else FirstUpload(*answer)

    def touch(self) -> None:
        """Note that the upload still comes in."""
        self._moved = time.monotonic()

    def renew(self) -> None:
        """Hold the key for the next ``HOLD_SECONDS``, unless the upload stands still or takes far too long."""
        now = time.monotonic()
        if now - self._moved < self._idle_seconds and now - self._began < _MAX_HELD_IDLE_TIMES * self._idle_seconds:
            self._update(keys=[self.key], args=[self._token, HOLD_SECONDS])

    def give_up(self) -> None:
        """Free the key: the upload was refused."""
        self._update(keys=[self.key], args=[self._token, 0])
