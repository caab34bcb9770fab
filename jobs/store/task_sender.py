"""Sending tasks to the workers. ``celery_message`` says why not through Celery's ``send_task``."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import structlog
from redis import Redis
from redis.exceptions import RedisError

from jobs.logs import describe
from jobs.messages import CONVERSION, Predict, ScoreChunk, Task
from jobs.settings import Settings
from jobs.store import keys
from jobs.store.celery_message import QUEUE_OF, encode
from jobs.store.scripts import register_script

log = structlog.stdlib.get_logger(__name__)


class TaskSender:
    """Sends tasks by name. A task that cannot be sent is left to the reconciler, since the store knows of it."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._send_script = register_script(redis, "send")
        self._seconds = settings.retention_seconds

    def score_chunks(self, job_id: str, chunks: Iterable[int]) -> None:
        """Send a task for each of these chunks of a job, and for its conversion; one round trip for each kind."""
        self.score([ScoreChunk(job_id, chunk) for chunk in chunks])

    def score(self, messages: Sequence[ScoreChunk]) -> None:
        """Send a task for each of these chunks, whatever their jobs; round trips as in ``score_chunks``."""
        for task, wanted in ((Task.SCORE_CHUNK, False), (Task.CONVERT, True)):
            self._send(task, [one.encode() for one in messages if (one.chunk == CONVERSION) == wanted])

    def predict(self, messages: Iterable[Predict]) -> None:
        """Send tasks for single predictions, in one round trip."""
        self._send(Task.PREDICT, [message.encode() for message in messages])

    def _send(self, task: Task, all_arguments: Sequence[Mapping[str, Any]]) -> None:
        if not all_arguments:
            return
        queue = keys.queue(QUEUE_OF[task])
        try:
            self._send_script(
                keys=[queue], args=[self._seconds, *(encode(task, arguments) for arguments in all_arguments)]
            )
        except RedisError as error:
            log.warning(
                "tasks not sent, left to the reconciler",
                task=task.value,
                tasks=len(all_arguments),
                error=describe(error),
            )
