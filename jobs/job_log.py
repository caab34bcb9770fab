"""What the log says of jobs: that one starts, and how it ended, each once, by the process whose step that was."""

from collections.abc import Sequence
from typing import Any

import structlog

log = structlog.stdlib.get_logger(__name__)


def log_start(job_id: str) -> None:
    """The first chunk of a job is in a worker's hands."""
    log.info("job started", job_id=job_id)


def log_end(job_id: str, ending: Sequence[Any] | None = None) -> None:
    """A job ended, if it did; ``ending`` is what ``common.lua`` answers then."""
    if ending:
        state, scored, rejected, milliseconds = ending
        log.info(
            "job ended",
            job_id=job_id,
            state=state.decode(),
            scored=int(scored),
            rejected=int(rejected),
            seconds=milliseconds / 1000,
        )
