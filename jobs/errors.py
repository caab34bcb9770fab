"""What can be wrong with an upload or with the store, in the words of the contract. Knows no HTTP."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


class JobsError(Exception):
    """Base of the errors of this package.

    ``loggable`` says that the first line of its text never holds a record's value, so that it may go into the log.
    """

    loggable: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Detail:
    """One of several things that are wrong: a stable code, where, and what would be right."""

    code: str
    detail: str
    column: str | None = None
    row: int | None = None
    value: str | None = None
    did_you_mean: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Members that are present, for a problem document's ``errors``."""
        members = {name: getattr(self, name) for name in ("code", "column", "row", "value", "detail", "did_you_mean")}
        return {name: value for name, value in members.items() if value is not None}


class UploadRefused(JobsError):
    """Raised when an upload as a whole cannot become a job; ``code`` is a stable word of the contract.

    Its text may repeat what the file holds.
    """

    loggable = False

    def __init__(self, code: str, detail: str, errors: Sequence[Detail] = (), row: int | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.errors = tuple(errors) or (Detail(code, detail, row=row),)


class StoreFull(JobsError):
    """Raised when Redis is too full to take another upload."""


class UnsuitableStore(JobsError):
    """Raised when the Redis or Valkey server would lose jobs, or cannot hold them."""


class TooMany(JobsError):
    """Base of what is raised when as much waits as the settings allow; ``retry_after`` is in seconds."""

    def __init__(self, text: str, retry_after: int) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class TooManyJobs(TooMany):
    """Raised when as many unfinished jobs as the settings allow are already there."""


class TooManyPredictions(TooMany):
    """Raised when as many single predictions as the settings allow wait already."""


class UploadEnded(JobsError):
    """Raised when the job of an upload was canceled or failed before all of the upload had come."""


class UploadForgotten(JobsError):
    """Raised when an upload stood still for so long that its first chunks expired."""
