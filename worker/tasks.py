"""The tasks: what Celery delivers. Each asks the store first, and does nothing where nothing is left to do."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import structlog
from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery import Task as CeleryTask
from celery.signals import task_failure
from redis import Redis
from redis.exceptions import RedisError

from jobs.availability import redis_availability
from jobs.logs import describe
from jobs.messages import Predict, ScoreChunk, Task
from jobs.settings import get_settings
from jobs.store.chunks import ClaimedChunk, ScoredChunk
from jobs.store.connection import connect
from jobs.store.heartbeat import Node
from jobs.store.job_store import JobStore
from jobs.store.prediction_store import PredictionStore
from jobs.store.task_sender import TaskSender
from model.errors import BrokenModel, ScoringFailed, UnknownModel
from worker.celery_app import app
from worker.models import scorer
from worker.scoring.parse import Layout
from worker.scoring.score_chunk import reject_chunk, score_chunk
from worker.scoring.single import answer_all

log = structlog.stdlib.get_logger(__name__)

# What an attempt in processes of their own takes of its time, so that it is over before it is ended from outside.
_SHARE_OF_AN_ATTEMPT = 0.9
# A chunk whose holds were lost that often is scored in such processes, and is given up in the end.
_SUSPICIOUS_LOSSES, _MAX_LOSSES = 2, 20
# What the error of a job says of a host.
_MAX_REASON = 300
# How a process ends by its own doing. Any other end may have come from outside: by hand, with the machine, or by a
# system short of memory. What a chunk does in other ways shows when it has been lost a few times.
_OWN_ENDS = ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT", "SIGSYS", "SIGTRAP", "SIGXCPU")


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


@app.task(name=Task.SCORE_CHUNK.value, bind=True, reject_on_worker_lost=False)
def score_chunk_task(self: CeleryTask, **arguments: Any) -> None:
    """Score one chunk of a job, unless that is done or in other hands."""
    message = ScoreChunk.decode(arguments)
    claimed = _store().claim(message.job_id, message.chunk, str(self.request.id))
    if claimed is None:
        return
    if claimed.lost > _MAX_LOSSES:
        _give_up(message, claimed)
        return
    try:
        with _lease_kept(message, claimed.owner):
            scored = _score(claimed)
    except (UnknownModel, BrokenModel) as error:
        log.exception("model cannot be loaded", **_log_context(message, claimed))
        reason = " ".join(str(error).split())[:_MAX_REASON]
        _store().cannot_load(message.job_id, message.chunk, claimed.owner, _worker(), reason)
    except OSError:
        raise  # what the system did not give says nothing of the chunk, which is sent again when its lease is over
    except Exception as error:
        log.warning("chunk attempt failed", **_log_context(message, claimed), exc_info=error)
        _retry(message, claimed)
        if not isinstance(error, ScoringFailed):
            raise
    else:
        if scored.scoring_failed:
            log.warning("poison: rows rejected", **_log_context(message, claimed), rows=scored.scoring_failed)
        sent = _store().record(message.job_id, message.chunk, scored)
        _sender().score_chunks(message.job_id, sent)


def _worker() -> Node:
    """The worker that this process belongs to."""
    return Node(socket.gethostname(), os.getppid(), 1)


def _log_context(message: ScoreChunk, claimed: ClaimedChunk) -> dict[str, Any]:
    """What a line of the log says of a chunk."""
    return {"job_id": message.job_id, "chunk": message.chunk, "attempt": claimed.attempt}


def _give_up(message: ScoreChunk, claimed: ClaimedChunk) -> None:
    """End a job of which a chunk is lost again and again: that may be the machine's fault, so no row is blamed."""
    what = f"chunk {message.chunk} was lost {claimed.lost} times with the process that scored it"
    _store().fail(message.job_id, f"{what}: workers are killed, are short of memory, or lose the store")


def _retry(message: ScoreChunk, claimed: ClaimedChunk) -> None:
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
    is_suspicious = attempt > 2 or claimed.lost >= _SUSPICIOUS_LOSSES
    seconds = settings.task_seconds * _SHARE_OF_AN_ATTEMPT if is_suspicious else None
    return score_chunk(claimed.chunk, layout, models, claimed.threshold, attempt > 1, seconds)


@contextmanager
def _lease_kept(message: ScoreChunk, owner: str) -> Iterator[None]:
    """Renew the lease three times in its length while the chunk is being scored."""
    over = threading.Event()

    def renew() -> None:
        while not over.wait(get_settings().lease_seconds / 3):
            try:
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
        seconds = settings.prediction_timeout_seconds * _SHARE_OF_AN_ATTEMPT
        _predictions().finish(answer_all(waiting, settings.max_attempts, seconds))


@task_failure.connect
def _see_to_what_it_had(
    sender: CeleryTask, task_id: str, exception: BaseException, kwargs: dict[str, Any], **_: Any
) -> None:
    """A process has died of a task, or was ended since it took too long: what it had in hand goes on without it.

    This runs in the worker's main process, which must not wait for a store that is away.
    """
    if not isinstance(exception, (WorkerLostError, TimeLimitExceeded)):
        return
    failed = isinstance(exception, TimeLimitExceeded) or any(name in str(exception) for name in _OWN_ENDS)
    if sender.name == Task.PREDICT.value:
        act = partial(_ask_again_one_by_one, Predict.decode(kwargs), failed)
    else:
        act = partial(_report_death, ScoreChunk.decode(kwargs), task_id, failed)
    threading.Thread(target=_unless_away, args=(act,), name="after a death", daemon=True).start()


def _unless_away(act: Callable[[], None]) -> None:
    """Without the store, the reconciler sees to it when leases and holds are over."""
    try:
        act()
    except RedisError as error:
        redis_availability.record_failure(error)


def _report_death(message: ScoreChunk, task_id: str, failed: bool) -> None:
    if _store().report_death(message.job_id, message.chunk, task_id, failed):
        log.warning("chunk attempt died", job_id=message.job_id, chunk=message.chunk, by_itself=failed)
        _sender().score_chunks(message.job_id, [message.chunk])


def _ask_again_one_by_one(message: Predict, failed: bool) -> None:
    """One of them may be what the process died of, or hangs on: each is tried again alone."""
    waiting = _predictions().release(message.ids, failed)
    _sender().predict(Predict((prediction_id,)) for prediction_id in waiting)
