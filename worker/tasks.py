"""The tasks: what Celery delivers. Each asks the store first, and does nothing where nothing is left to do."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import structlog
from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery import Task as CeleryTask
from celery.signals import task_failure
from redis import Redis
from redis.exceptions import RedisError

from jobs.chunks import ClaimedChunk, ScoredChunk
from jobs.connection import connect
from jobs.logs import describe
from jobs.messages import Predict, ScoreChunk, Task
from jobs.predictions import PredictionStore
from jobs.queue import TaskSender
from jobs.settings import get_settings
from jobs.store import JobStore
from model.errors import BrokenModel, ScoringFailed, UnknownModel
from worker.celery_app import app
from worker.models import scorer
from worker.parse import Layout
from worker.predict import answer_all
from worker.score_chunk import reject_chunk, score_chunk

log = structlog.stdlib.get_logger(__name__)

# What a row that never ends may take of an attempt; it is waited for twice, with its part and alone.
_SHARE_OF_A_PART = 1 / 4


@cache
def _redis() -> Redis:
    return connect(get_settings(), patient=True)


@cache
def _store() -> JobStore:
    return JobStore(_redis(), get_settings())


@cache
def _predictions() -> PredictionStore:
    return PredictionStore(_redis(), get_settings())


@cache
def _sender() -> TaskSender:
    return TaskSender(_redis(), get_settings())


@app.task(name=Task.SCORE_CHUNK.value, bind=True)
def score_chunk_task(self: CeleryTask, **arguments: Any) -> None:
    """Score one chunk of a job, unless that is done or in other hands."""
    message = ScoreChunk.decode(arguments)
    claimed = _store().claim(message.job_id, message.chunk, str(self.request.id))
    if claimed is None:
        return
    try:
        with _lease_kept(message, claimed.owner):
            scored = _score(claimed)
    except (UnknownModel, BrokenModel) as error:
        why = str(error).partition("\n")[0]  # of our own, about files; where it was raised says nothing
        log.error("model cannot be loaded", **_told(message, claimed), error=why)  # noqa: TRY400
        _store().fail(message.job_id, f"the model cannot be used: {error}")
    except Exception as error:
        log.warning("chunk attempt failed", **_told(message, claimed), exc_info=error)
        _give_back(message, claimed)
        if not isinstance(error, ScoringFailed):
            raise
    else:
        if scored.scoring_failed:
            log.warning("poison: rows rejected", **_told(message, claimed), rows=scored.scoring_failed)
        sent = _store().record(message.job_id, message.chunk, scored)
        _sender().score_chunks(message.job_id, sent)


def _told(message: ScoreChunk, claimed: ClaimedChunk) -> dict[str, Any]:
    """What a line of the log says of a chunk."""
    return {"job_id": message.job_id, "chunk": message.chunk, "attempt": claimed.attempt}


def _give_back(message: ScoreChunk, claimed: ClaimedChunk) -> None:
    """Have the chunk scored again; what cannot even be rejected after all attempts ends the job."""
    if claimed.attempt > get_settings().max_attempts:
        _store().fail(message.job_id, f"chunk {message.chunk} could not be scored in {claimed.attempt} attempts")
    elif _store().release(message.job_id, message.chunk, claimed.owner):
        _sender().score_chunks(message.job_id, [message.chunk])


def _score(claimed: ClaimedChunk) -> ScoredChunk:
    """Score a chunk as a whole at first, then by parts, then by parts in processes of their own, then not at all."""
    settings, attempt = get_settings(), claimed.attempt
    layout = Layout(
        claimed.delimiter, claimed.width, claimed.columns, claimed.added, claimed.explain or 0, claimed.warnings
    )
    if attempt > settings.max_attempts:
        return reject_chunk(claimed.chunk, layout)
    models = [scorer(name, version) for name, version in claimed.models]
    seconds = settings.task_seconds * _SHARE_OF_A_PART if attempt > 2 else None
    return score_chunk(claimed.chunk, layout, models, claimed.threshold, attempt > 1, seconds)


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
            log.warning("lease may run out", job_id=message.job_id, chunk=message.chunk, error=describe(error))

    keeper = threading.Thread(target=renew, name="lease", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        over.set()


@app.task(name=Task.PREDICT.value, reject_on_worker_lost=False)
def predict_task(**arguments: Any) -> None:
    """Answer single predictions and previews that still wait."""
    waiting = _predictions().waiting(Predict.decode(arguments))
    if waiting:
        settings = get_settings()
        _predictions().finish(answer_all(waiting, settings.max_attempts, settings.predict_seconds))


@task_failure.connect
def _ask_again_one_by_one(sender: CeleryTask, exception: BaseException, kwargs: dict[str, Any], **_: Any) -> None:
    """One of them may be what the process died of, or hangs on: each is tried again alone, and counted."""
    if sender.name == Task.PREDICT.value and isinstance(exception, (WorkerLostError, TimeLimitExceeded)):
        ids = Predict.decode(kwargs).ids
        with suppress(RedisError):  # then they are asked for again when their time in hand is over
            _predictions().let_go(ids)
        _sender().predict(Predict((prediction_id,)) for prediction_id in ids)
