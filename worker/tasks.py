"""The tasks: what Celery delivers. Each asks the store first, and does nothing where nothing is left to do."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from celery import Task as CeleryTask
from redis.exceptions import RedisError

from jobs.messages import Predict, ScoreChunk, Task
from jobs.predictions import PredictionStore
from jobs.queue import TaskSender
from jobs.settings import get_settings
from jobs.store import ClaimedChunk, JobStore, ScoredChunk, connect
from model.errors import ModelError
from worker.celery_app import app
from worker.models import scorer
from worker.parse import Layout
from worker.predict import answer_all
from worker.score_chunk import Caution, score_chunk

log = logging.getLogger(__name__)


@cache
def _store() -> JobStore:
    return JobStore(connect(get_settings(), patient=True), get_settings())


@cache
def _predictions() -> PredictionStore:
    return PredictionStore(connect(get_settings(), patient=True), get_settings())


@app.task(name=Task.SCORE_CHUNK.value, bind=True)
def score_chunk_task(self: CeleryTask, **arguments: Any) -> None:
    """Score one chunk of a job, unless that is done or in other hands."""
    message, owner = ScoreChunk.decode(arguments), str(self.request.id)
    claimed = _store().claim(message.job_id, message.chunk, owner)
    if claimed is None:
        return
    if claimed.attempt > get_settings().max_attempts + 1:
        # Not even rejecting its rows works: the fault is not in a row.
        _store().fail(message.job_id, f"chunk {message.chunk} could not be scored in {claimed.attempt - 1} attempts")
        return
    try:
        with _lease_kept(message, owner):
            scored = _score(claimed)
    except ModelError as error:
        log.warning("job %s: chunk %d, attempt %d: %s", message.job_id, message.chunk, claimed.attempt, error)
        if _store().release(message.job_id, message.chunk, owner):
            TaskSender(app).score_chunks(message.job_id, [message.chunk])
        return
    sent = _store().record(message.job_id, message.chunk, scored)
    TaskSender(app).score_chunks(message.job_id, sent)


def _score(claimed: ClaimedChunk) -> ScoredChunk:
    most = get_settings().max_attempts
    caution = Caution(apart=claimed.attempt > 1, not_at_all=claimed.attempt > most)
    layout = Layout(claimed.delimiter, claimed.width, claimed.columns)
    return score_chunk(claimed.chunk, layout, scorer(claimed.model, claimed.version), claimed.threshold, caution)


@contextmanager
def _lease_kept(message: ScoreChunk, owner: str) -> Iterator[None]:
    """Renew the lease three times in its length while the chunk is being scored."""
    over = threading.Event()

    def renew() -> None:
        try:
            while not over.wait(get_settings().lease_seconds / 3):
                if not _store().renew(message.job_id, message.chunk, owner):
                    return
        except RedisError as error:
            log.warning("job %s: the lease of chunk %d may run out: %s", message.job_id, message.chunk, error)

    keeper = threading.Thread(target=renew, name="lease", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        over.set()


@app.task(name=Task.PREDICT.value)
def predict_task(**arguments: Any) -> None:
    """Answer single predictions and previews that still wait."""
    message = Predict.decode(arguments)
    waiting = _predictions().take(message.ids)
    if waiting:
        _predictions().finish(answer_all(waiting, get_settings().max_attempts), message.reply_to)
