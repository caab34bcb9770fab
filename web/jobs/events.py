"""A job as it happens: the stream of its events."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from jobs.state import Job
from jobs.store.job_store import JobStore
from web.jobs.notifications import JobNotifications

# At most five events a second, and a sign of life where nothing happens.
_MIN_PAUSE_SECONDS = 0.2
_COMMENT_SECONDS = 15.0
_LOOK_SECONDS = 5.0


def job_events(
    store: JobStore,
    notifications: JobNotifications,
    job_id: str,
    show: Callable[[Job], dict[str, Any]],
    last_id: str | None,
) -> Iterator[bytes]:
    """Server-sent events of a job: now, at each change, and last when it ends.

    ``last_id`` is the revision that the client saw before it lost the connection; it is not sent again.
    """
    last_sent = time.monotonic()
    with notifications.listen(job_id) as changed:
        while True:
            changed.clear()
            job = store.get(job_id)
            if job is None:
                return
            if str(job.revision) != last_id:
                last_id, last_sent = str(job.revision), time.monotonic()
                yield b"id: %d\nevent: job\ndata: %s\n\n" % (job.revision, orjson.dumps(show(job)))
            elif time.monotonic() - last_sent > _COMMENT_SECONDS:
                last_sent = time.monotonic()
                yield b": still here\n\n"
            if job.state.ended or notifications.stopping:
                return
            time.sleep(_MIN_PAUSE_SECONDS)
            changed.wait(_LOOK_SECONDS)
