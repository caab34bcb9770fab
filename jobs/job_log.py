"""Log the start and the end of each job once, by the process that caused it."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import structlog

log = structlog.stdlib.get_logger(__name__)


def log_start(job_id: str) -> None:
    """Log that a worker has claimed the first chunk of a job."""
    log.info("job started", job_id=job_id)


@lru_cache(maxsize=1000)
def log_left(job_id: str) -> None:
    """Log that a newer version began a job, once rather than each time that a chunk of it comes along."""
    log.warning("job left to another version", job_id=job_id)


def log_sent_again(job_id: str, chunks: Iterable[int]) -> None:
    """Log which chunks are sent again, since their message or their worker was lost."""
    for chunk in chunks:
        log.warning("chunk sent again", job_id=job_id, chunk=chunk)


def log_end(job_id: str, ending: Sequence[Any] | None = None) -> None:
    """Log that a job ended, if it did; ``ending`` is what ``finish`` in ``common.lua`` returns."""
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
