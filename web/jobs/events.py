"""The event stream of a job."""

import time
from collections.abc import Callable, Iterator

from jobs.state import Job
from jobs.store.job_store import JobStore
from web.jobs.notifications import JobNotifications
from web.jobs.schemas import JobDocument
from web.responses import encode_json

# At most five events per second, and a comment to keep an idle connection open.
_MIN_PAUSE_SECONDS = 0.2
_COMMENT_SECONDS = 15.0
_MAX_SILENCE_SECONDS = 5.0


def job_events(
    store: JobStore,
    notifications: JobNotifications,
    job_id: str,
    show: Callable[[Job], JobDocument],
    last_id: str | None,
) -> Iterator[bytes]:
    """Yield server-sent events of a job: now, on each change, and when it ends.

    ``last_id`` is the last revision that a reconnecting client has seen; it is not sent again.
    """
    last_sent = time.monotonic()
    with notifications.listen(job_id) as changed:
        while True:
            # Before reading the job, so that a change from here on is not slept through.
            changed.clear()
            job = store.get(job_id)
            if job is None:
                return
            if str(job.revision) != last_id:
                last_id, last_sent = str(job.revision), time.monotonic()
                yield b"id: %d\nevent: job\ndata: %s\n\n" % (job.revision, encode_json(show(job)))
            elif time.monotonic() - last_sent > _COMMENT_SECONDS:
                last_sent = time.monotonic()
                yield b": still here\n\n"
            if job.state.ended or notifications.stopping:
                return
            time.sleep(_MIN_PAUSE_SECONDS)
            # Not longer, since a message may be lost.
            changed.wait(_MAX_SILENCE_SECONDS)
