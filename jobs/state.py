"""Job states, the legal transitions between them, and jobs as values. Pure: no input or output."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from jobs.csv.dialect import Dialect


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
    """A job as stored. Times are in seconds since the epoch, sizes in bytes.

    ``corrects`` is the id of the job whose rejected rows this one corrects, ``corrected_by`` are those of jobs that
    correct this one; either may have expired. The rows of a correcting job are those of the whole file.
    """

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
    corrects: str | None = None
    corrected_by: tuple[str, ...] = ()
    repaired: int = 0
    dialect: Dialect = field(default_factory=Dialect)
    codec: str = "utf-8"
    added_columns: tuple[tuple[str, bool], ...] = ()
    format: str = "csv"
    sheet: str | None = None
    drop_results: bool = False
    converting: bool = False
    conversion: float = 0.0
    converted: int = 0
    schema: str | None = None
    kinds: list[list[str]] | None = None
    problem: dict[str, Any] | None = None
    owner: Owner = NOBODY
    visibility: Visibility = Visibility.PRIVATE

    @property
    def is_converting(self) -> bool:
        """Whether the upload is still to be converted to CSV, or part of it is."""
        return self.converting and not self.state.ended

    @property
    def models(self) -> list[tuple[str, str]]:
        """Name and version of the model, and of the second one if the job compares two."""
        return [(self.model, self.version), *([self.compared] if self.compared else [])]

    @property
    def preamble(self) -> bytes:
        """The lines before the header, each with its line end."""
        # The header may occur in a line before it: "age" in the title "Average age".
        lines = self.header.split(b"\n", self.dialect.skipped_lines)
        return self.header[: len(self.header) - len(lines[-1])]

    @property
    def progress(self) -> float:
        """Fraction of the rows that are scored or rejected; 1 only once the job has succeeded.

        Of a file that is converted, the conversion is the first half: how many rows there are is not known before.
        """
        if self.state is JobState.SUCCEEDED:
            return 1.0
        scored = (self.scored + self.rejected) / self.total if self.total else 0.0
        if self.format != "csv":
            scored = (min(self.conversion, 1.0) + scored) / 2
        return min(round(scored, 4), _MAX_PROGRESS)

    @property
    def rows_per_second(self) -> float | None:
        """Rows scored or rejected per second, from the job's start to its last change.

        None for corrections, since most of the rows were done before.
        """
        done, end = self.scored + self.rejected, self.finished or self.changed
        if self.started is None or not done or end <= self.started or self.corrects:
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
