"""Job states, the legal transitions between them, and jobs as values. Pure: no input or output."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum


class JobState(StrEnum):
    """The states of a job, as the API names them."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def ended(self) -> bool:
        """Whether this state is final."""
        return not LEGAL_MOVES[self]


LEGAL_MOVES: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.CANCELED}),
    JobState.RUNNING: frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED}),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELED: frozenset(),
}


class Visibility(StrEnum):
    """Who sees a job besides its owner and administrators."""

    PRIVATE = "private"
    TEAM = "team"


@dataclass(frozen=True, slots=True)
class Owner:
    """Who a job belongs to: the id of the user, empty for nobody, and the name to show."""

    id: str = ""
    name: str = ""


NOBODY = Owner()

# Progress reaches 1 only when the job has succeeded.
_MAX_PROGRESS = 0.9999


@dataclass(frozen=True, slots=True)
class Job:
    """A job as stored. Times are in seconds since the epoch, sizes in bytes."""

    id: str
    state: JobState
    model: str
    version: str
    filename: str
    encoding: str
    delimiter: str
    line_end: str
    threshold: float | None
    explain: int | None
    warnings: bool
    header: bytes
    input_header: bytes
    size: int
    total: int | None
    scored: int
    rejected: int
    warned: int
    chunks: int
    done: int
    revision: int
    created: float
    started: float | None
    finished: float | None
    expires: float
    changed: float
    sealed: bool
    error: str | None
    compared: tuple[str, str] | None = None
    owner: Owner = NOBODY
    visibility: Visibility = Visibility.PRIVATE

    @property
    def models(self) -> list[tuple[str, str]]:
        """Name and version of the model, and of the second one if the job compares two."""
        return [(self.model, self.version), *([self.compared] if self.compared else [])]

    @property
    def progress(self) -> float:
        """Fraction of the rows that are scored or rejected; 1 only once the job has succeeded."""
        if self.state is JobState.SUCCEEDED:
            return 1.0
        done = self.scored + self.rejected
        return min(round(done / self.total, 4), _MAX_PROGRESS) if self.total else 0.0

    @property
    def rows_per_second(self) -> float | None:
        """Rows scored or rejected per second, from the job's start to its last change."""
        done, end = self.scored + self.rejected, self.finished or self.changed
        if self.started is None or not done or end <= self.started:
            return None
        return round(done / (end - self.started), 1)

    @property
    def duration(self) -> float | None:
        """Seconds from the job's start to its end, or to its last change; None if it has not started."""
        return None if self.started is None else max(0.0, (self.finished or self.changed) - self.started)

    @property
    def eta_seconds(self) -> float | None:
        """Estimated seconds left at the current throughput; None unless the job is running."""
        if self.state is not JobState.RUNNING or self.total is None or not self.rows_per_second:
            return None
        return round((self.total - self.scored - self.rejected) / self.rows_per_second, 1)


def timestamp(seconds: float | None) -> str | None:
    """Format a time as RFC 3339 in UTC with milliseconds; None stays None."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
