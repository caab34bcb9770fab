"""The states of a job and the moves between them. Pure: no input or output."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any


class JobState(StrEnum):
    """States of a job, as the contract names them."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def ended(self) -> bool:
        """Whether no move leads out of this state."""
        return not LEGAL_MOVES[self]


LEGAL_MOVES: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.CANCELED}),
    JobState.RUNNING: frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED}),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELED: frozenset(),
}

# Shown progress stays below 1 until the job has succeeded.
_MAX_PROGRESS = 0.9999


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the store holds it. Times are in seconds since the epoch, sizes in bytes."""

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

    @property
    def models(self) -> list[tuple[str, str]]:
        """Name and version of the model, and of the second one if two are compared."""
        return [(self.model, self.version), *([self.compared] if self.compared else [])]

    @property
    def progress(self) -> float:
        """Share of the rows that are scored or rejected, from 0 to 1; 1 only once the job has succeeded."""
        if self.state is JobState.SUCCEEDED:
            return 1.0
        done = self.scored + self.rejected
        return min(round(done / self.total, 4), _MAX_PROGRESS) if self.total else 0.0

    @property
    def rows_per_second(self) -> float | None:
        """Rows scored or rejected a second, from the job's start to its last change."""
        done, end = self.scored + self.rejected, self.finished or self.changed
        if self.started is None or not done or end <= self.started:
            return None
        return round(done / (end - self.started), 1)

    @property
    def eta_seconds(self) -> float | None:
        """Seconds that the rest takes at the speed so far; None unless the job is running."""
        if self.state is not JobState.RUNNING or self.total is None or not self.rows_per_second:
            return None
        return round((self.total - self.scored - self.rejected) / self.rows_per_second, 1)


def timestamp(seconds: float | None) -> str | None:
    """RFC 3339 in UTC, with milliseconds; None stays None."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def as_dict(job: Job, queue_position: int | None) -> dict[str, Any]:
    """The job as the contract shows it, but for its links and its error, which belong to HTTP."""
    return {
        "id": job.id,
        "state": job.state.value,
        "model": {"name": job.model, "version": job.version},
        **({"models": [{"name": name, "version": version} for name, version in job.models]} if job.compared else {}),
        "filename": job.filename,
        "bytes": job.size,
        "encoding": job.encoding,
        "delimiter": job.delimiter,
        "threshold": job.threshold,
        "explain": job.explain,
        "rows": {"total": job.total, "scored": job.scored, "rejected": job.rejected, "warned": job.warned},
        "progress": job.progress,
        "rows_per_second": job.rows_per_second,
        "eta_seconds": job.eta_seconds,
        "queue_position": queue_position,
        "created_at": timestamp(job.created),
        "started_at": timestamp(job.started),
        "finished_at": timestamp(job.finished),
        "expires_at": timestamp(job.expires),
    }


def number(raw: bytes | None) -> float | None:
    """A number as the store holds it; None where there is none."""
    return float(raw) if raw else None


def named_version(raw: bytes | None) -> tuple[str, str] | None:
    """Name and version of a model as the store holds them, ``name@version``; None where there is none."""
    if not raw:
        return None
    name, _, version = raw.decode().partition("@")
    return name, version


def job_of(job_id: str, raw: Mapping[bytes, bytes]) -> Job:
    """The job with these fields, as the store holds them."""
    text = {name.decode(): value.decode() for name, value in raw.items()}
    return Job(
        id=job_id,
        state=JobState(text["state"]),
        model=text["model"],
        version=text["version"],
        filename=text["filename"],
        encoding=text["encoding"],
        delimiter=text["delimiter"],
        line_end=text["line_end"],
        threshold=number(raw.get(b"threshold")),
        explain=int(raw.get(b"explain", 0)) or None,
        warnings=raw.get(b"warnings") == b"1",
        header=raw[b"header"],
        input_header=raw[b"input_header"],
        size=int(text["size"]),
        total=int(text["total"]) if "total" in text else None,
        scored=int(text["scored"]),
        rejected=int(text["rejected"]),
        warned=int(text.get("warned", 0)),
        chunks=int(text["chunks"]),
        done=int(text["done"]),
        revision=int(text["revision"]),
        created=float(text["created"]),
        started=number(raw.get(b"started")),
        finished=number(raw.get(b"finished")),
        expires=float(text["expires"]),
        changed=float(text["changed"]),
        sealed=text["sealed"] == "1",
        error=text.get("error"),
        compared=named_version(raw.get(b"compared")),
    )
