"""Errors of uploads and of the store, with the error codes of the API. Independent of HTTP."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


class JobsError(Exception):
    """Base class of this package's errors.

    ``loggable``: the first line of the message never contains a record's value, so it may be logged.
    """

    loggable: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Detail:
    """One fault of an upload or a record: a stable code, where it is, and what would be right."""

    code: str
    detail: str
    column: str | None = None
    row: int | None = None
    value: str | None = None
    did_you_mean: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the members that are set, for the ``errors`` of a problem document."""
        members = {name: getattr(self, name) for name in ("code", "column", "row", "value", "detail", "did_you_mean")}
        return {name: value for name, value in members.items() if value is not None}


class UploadRefused(JobsError):
    """Raised when an upload as a whole cannot become a job; ``code`` is one of the API's error codes.

    Its message may quote the file.
    """

    loggable = False

    def __init__(self, code: str, detail: str, errors: Sequence[Detail] = (), row: int | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.errors = tuple(errors) or (Detail(code, detail, row=row),)


class StoreFull(JobsError):
    """Raised when Redis is too full to take another upload."""


class UnusableCertificate(JobsError):
    """Raised when the web's certificate and key cannot be used."""


class StorageFull(StoreFull):
    """Raised when the object store has no room."""


class StorageUnavailable(JobsError):
    """Raised when the object store cannot be used."""


class UnsuitableStorage(StorageUnavailable):
    """Raised when the object store does not exist, refuses access, or is not the one that was used before."""


class DamagedBlob(JobsError):
    """Raised when bytes that were stored are gone or were altered."""


class SharingRefused(JobsError):
    """Raised when a shared version of a model is not what it should be, or is not trusted on this host."""


class NotShared(SharingRefused):
    """Raised when the store does not have a version of a model."""


class UnsuitableStore(JobsError):
    """Raised when the Redis or Valkey server would lose jobs, or cannot hold them."""


class UnknownMessage(JobsError):
    """Raised when another version of Scoreline has sent a message that this one does not understand."""


class TooMany(JobsError):
    """Base class of errors raised when a limit of the settings is reached; ``retry_after`` is in seconds."""

    def __init__(self, text: str, retry_after: int) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class TooManyJobs(TooMany):
    """Raised when there are ``max_unfinished_jobs`` unfinished jobs."""


class TooManyPredictions(TooMany):
    """Raised when ``max_waiting_predictions`` single predictions are waiting."""


class RateLimited(TooMany):
    """Raised when one user or address reaches a limit: ``quota`` in ``window`` seconds (0: at once).

    ``policy`` names the limit in the RateLimit headers.
    """

    def __init__(self, text: str, retry_after: int, policy: str, quota: int, window: int = 0) -> None:
        super().__init__(text, retry_after)
        self.policy, self.quota, self.window = policy, quota, window


class NotDurable(JobsError):
    """Raised when the store may not keep an upload: it has lost a part, or too few replicas have confirmed it."""


class UploadEnded(JobsError):
    """Raised when the job of an upload was canceled or failed before the upload was complete."""


class UploadForgotten(JobsError):
    """Raised when an upload stalled for so long that its first chunks expired."""
