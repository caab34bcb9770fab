"""Idempotency keys: the same upload sent twice becomes one job."""

import secrets
import time
from dataclasses import dataclass

from redis import Redis

from jobs.errors import JobsError
from jobs.settings import Settings
from jobs.store import keys
from jobs.store.heartbeat import WEB
from jobs.store.scripts import register_script

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
    """One upload under an idempotency key. Every method is one round trip.

    Keys are for everybody who knows them, so that they should be hard to guess. An upload that moves holds its key for
    so long that nobody who sends at a usual speed loses it; then another may begin under the key, and the one that is
    whole first has it. An upload ends with the `process` that receives it, whose sign of life keeps the key.
    """

    def __init__(self, redis: Redis, settings: Settings, key: str, process: str) -> None:
        self.key = keys.idempotency(key)
        self._process = process
        self._token = secrets.token_hex(16)
        self._seconds = settings.upload_idle_seconds
        self._until = time.monotonic() + _MAX_HELD_IDLE_TIMES * settings.upload_idle_seconds
        self._begin = register_script(redis, "begin_upload")
        self._end = register_script(redis, "update_idempotency")

    def begin(self) -> FirstUpload | None:
        """Take the key for this upload, or answer the first one that had it, now a job.

        Raises:
            StillUploading: when the first is not there yet.
        """
        arguments = (self._token, self._seconds, keys.job(""), self._process, keys.ALIVE_SECONDS)
        found = self._begin(keys=[self.key, keys.alive(WEB)], args=arguments)
        answer = [raw.decode() for raw in found]
        if answer == ["uploading"]:
            raise StillUploading("the first upload with this idempotency key is still under way")
        return None if answer == ["new"] else FirstUpload(*answer)

    def touch(self) -> None:
        """The upload still comes in: it keeps the key, within reason."""
        if time.monotonic() < self._until:
            self._end(keys=[self.key], args=[self._token, self._seconds])

    def give_up(self) -> None:
        """The upload was refused: the key is free again."""
        self._end(keys=[self.key], args=[self._token, 0])
