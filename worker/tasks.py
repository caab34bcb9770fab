"""The Celery tasks. Each asks the store first and does nothing if the work is done."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache, partial
from typing import Any, TypeVar

import structlog
from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery import Task as CeleryTask
from celery.signals import task_failure, worker_before_create_process, worker_process_init
from redis import Redis
from redis.exceptions import RedisError

from jobs import tracing
from jobs.availability import redis_availability
from jobs.errors import DamagedBlob, StorageFull, StorageUnavailable, StoreFull, UnknownMessage, UploadRefused
from jobs.formats.process import ReaderKilled
from jobs.logs import describe
from jobs.messages import Predict, ScoreChunk, Task
from jobs.settings import get_settings
from jobs.store.chunks import ClaimedChunk, ScoredChunk
from jobs.store.connection import connect
from jobs.store.conversion_store import ConversionLost
from jobs.store.job_store import JobStore
from jobs.store.load_failures import LoadFailures
from jobs.store.prediction_store import PredictionStore, WaitingPrediction
from jobs.store.task_sender import TaskSender
from model.errors import BrokenModel, ScoringFailed, UnknownModel
from worker.celery_app import app
from worker.conversion import Conversion, problem_of
from worker.load_reports import LoadReports, worker_of_child
from worker.models import card, scorer
from worker.sandbox import MAX_LOSSES, SUSPICIOUS_LOSSES
from worker.scoring.corrections import merge
from worker.scoring.parse import Layout
from worker.scoring.score_chunk import reject_chunk, score_chunk
from worker.scoring.single import BROKEN_MODEL, Answer, answer_all
from worker.spans import chunk_span, span_predictions

log = structlog.stdlib.get_logger(__name__)

Loaded = TypeVar("Loaded")

# Fraction of an attempt's time limit for sandboxed work, so that it ends before Celery kills the process.
_SANDBOX_TIME_RATIO = 0.9
# The longest wait for the report of a dead process before the next process is forked, while the store is away.
_MAX_REPORT_SECONDS = 1.0
# Characters of a host's reason in the error of a job.
_MAX_REASON = 300
# Signals by which a process crashes on its own. Any other end may have come from outside: a person, a reboot, or a
# system short of memory. A chunk that ends its process in another way is noticed once it has been lost a few times.
_CRASH_SIGNALS = ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT", "SIGSYS", "SIGTRAP", "SIGXCPU")
_reports: list[threading.Thread] = []


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


@cache
def _reports_of_loads() -> LoadReports:
    return LoadReports(LoadFailures(_redis()), worker_of_child())


@worker_process_init.connect
def _drop_inherited_clients(**_: Any) -> None:
    """Let a new process connect anew, rather than use a client of the main process.

    A thread of the main process may have held the client's lock at the fork. Here, nothing would ever release it.
    """
    for made in (_redis, _store, _predictions, _sender, _reports_of_loads):
        made.cache_clear()


@app.task(name=Task.SCORE_CHUNK.value, bind=True, reject_on_worker_lost=False)
def score_chunk_task(self: CeleryTask, **arguments: Any) -> None:
    """Score one chunk of a job, unless it is done or leased to another task."""
    message = _decoded(self, arguments)
    claimed = _claim(self, message) if message else None
    if message is None or claimed is None:
        return
    if claimed.lost > MAX_LOSSES:
        _give_up(message, claimed)
        return
    try:
        with chunk_span("score chunk", message, claimed), _lease_renewed(message, claimed.owner):
            scored = _score(claimed)
    except (UnknownModel, BrokenModel) as error:
        log.exception("model cannot be loaded", **_log_context(message, claimed))
        reason = " ".join(str(error).split())[:_MAX_REASON]
        _store().cannot_load(message.job_id, message.chunk, claimed.owner, worker_of_child(), reason)
    except OSError:
        raise  # the system lacks resources, which is not the chunk's fault; it is sent again when its lease ends
    except Exception as error:
        log.warning("chunk attempt failed", **_log_context(message, claimed), exc_info=error)
        _retry(message, claimed)
        if not isinstance(error, ScoringFailed):
            raise
    else:
        if scored.scoring_failed:
            log.warning("poison: rows rejected", **_log_context(message, claimed), rows=scored.scoring_failed)
        _record(message, claimed, scored)


def _decoded(task: CeleryTask, arguments: dict[str, Any]) -> ScoreChunk | None:
    """Return the message of a task; None, after handing its chunk back, if another version has sent it."""
    tracing.follow(task.request.get(tracing.HEADER))
    try:
        return ScoreChunk.decode(arguments, _protocol(task))
    except UnknownMessage as error:
        job_id, chunk = arguments.get("job_id"), arguments.get("chunk")
        log.warning("message left to another version", task=task.name, error=str(error))
        if isinstance(job_id, str) and isinstance(chunk, int):
            _store().hand_back(job_id, chunk)  # of any other chunk, the reconciler sends another message in time
        return None


def _claim(task: CeleryTask, message: ScoreChunk) -> ClaimedChunk | None:
    """Lease a chunk as ``ChunkStore.claim`` does; what follows belongs to the trace of the message, or of the job."""
    claimed = _store().claim(message.job_id, message.chunk, str(task.request.id))
    if claimed and not tracing.traceparent():
        tracing.follow(claimed.traceparent)
    return claimed


def _protocol(task: CeleryTask) -> int:
    """Return the protocol of the version that has sent the task; there was no number before the first."""
    number = task.request.get("protocol")
    return number if isinstance(number, int) else 1


def _record(message: ScoreChunk, claimed: ClaimedChunk, scored: ScoredChunk) -> None:
    """Record a result. While the object store does not take it, the chunk waits, and is scored again."""
    try:
        # Writing to an object store may take longer than a lease.
        with _lease_renewed(message, claimed.owner) if _store().payloads.external else nullcontext():
            # Unless the chunk has a result already. The reply names the chunks whose turn it is.
            sent = _store().record(message.job_id, message.chunk, scored, claimed)
    except (StorageFull, StorageUnavailable):
        _store().postpone(message.job_id, message.chunk, claimed.owner)
    else:
        _sender().score_chunks(message.job_id, sent)


def _log_context(message: ScoreChunk, claimed: ClaimedChunk) -> dict[str, Any]:
    """Return the log context of a chunk."""
    return {"job_id": message.job_id, "chunk": message.chunk, "attempt": claimed.attempt}


def _give_up(message: ScoreChunk, claimed: ClaimedChunk) -> None:
    """Fail a job whose chunk is lost again and again. The machine may be at fault, so no row is rejected."""
    what = f"chunk {message.chunk} was lost {claimed.lost} times with the process that scored it"
    _store().fail(message.job_id, f"{what}: workers are killed, are short of memory, or lose the store")


def _retry(message: ScoreChunk, claimed: ClaimedChunk) -> None:
    """Send the chunk for another attempt, or fail the job if not even rejecting its rows succeeded."""
    if claimed.attempt > get_settings().max_attempts:
        _store().fail(message.job_id, f"chunk {message.chunk} could not be scored in {claimed.attempt} attempts")
    elif _store().release(message.job_id, message.chunk, claimed.owner):
        _sender().score_chunks(message.job_id, [message.chunk])


def _score(claimed: ClaimedChunk) -> ScoredChunk:
    """Score a chunk: first as a whole, then by bisection, then in a sandbox; finally reject what is left of it.

    Of corrections, only the corrected rows are scored and put into the chunk that they replace.
    """
    settings, attempt = get_settings(), claimed.attempt
    layout = Layout(
        claimed.delimiter,
        claimed.width,
        claimed.columns,
        claimed.added,
        claimed.explain or 0,
        claimed.warnings,
        claimed.dialect,
        claimed.input_header,
        claimed.of_json,
    )
    if attempt > settings.max_attempts:
        rejected = reject_chunk(claimed.chunk, layout)
        return merge(claimed.replaced, rejected, layout) if claimed.replaced else rejected
    models = [_loaded(scorer, name, version) for name, version in claimed.models]
    is_suspicious = attempt > 2 or claimed.lost >= SUSPICIOUS_LOSSES
    seconds = settings.task_seconds * _SANDBOX_TIME_RATIO if is_suspicious else None
    scored = score_chunk(claimed.chunk, layout, models, claimed.threshold, attempt > 1, seconds)
    return merge(claimed.replaced, scored, layout, models) if claimed.replaced else scored


def _loaded(load: Callable[[str, str], Loaded], name: str, version: str) -> Loaded:
    """Return a version, or the card of one; tell others whether it can be loaded here."""
    try:
        loaded = load(name, version)
    except (UnknownModel, BrokenModel) as error:
        _reports_of_loads().failed(name, version, str(error))
        raise
    _reports_of_loads().succeeded(name, version)
    return loaded


@app.task(name=Task.CONVERT.value, bind=True, reject_on_worker_lost=False)
def convert_task(self: CeleryTask, **arguments: Any) -> None:
    """Convert the file of a job to CSV, unless that is done or leased to another task."""
    message = _decoded(self, arguments)
    claimed = _claim(self, message) if message else None
    job = _store().get(message.job_id) if message else None
    if message is None or claimed is None or job is None:
        return
    if claimed.lost > MAX_LOSSES or claimed.attempt > get_settings().max_attempts:
        _give_up_conversion(job.id, claimed)
        return
    try:
        with chunk_span("convert file", message, claimed), _lease_renewed(message, claimed.owner):
            if claimed.lost:
                _store().check_memory()  # before the file is read once more
            cards = [_loaded(card, name, version) for name, version in job.models]
            Conversion(_store(), _sender(), get_settings(), job, claimed.owner).run(claimed.chunk.rows, cards)
    except (UnknownModel, BrokenModel) as error:
        reason = " ".join(str(error).split())[:_MAX_REASON]
        _store().cannot_load(message.job_id, message.chunk, claimed.owner, worker_of_child(), reason)
    except UploadRefused as refused:
        log.info("file refused", job_id=job.id, code=refused.code)
        _store().fail(job.id, refused.detail, problem_of(refused))
    except StorageUnavailable:
        _store().postpone(message.job_id, message.chunk, claimed.owner)
    except DamagedBlob as error:
        _store().fail(job.id, f"the file is lost: {error}")
    except StoreFull:
        log.warning("conversion waits for room", job_id=job.id)  # it goes on when its lease has run out
    except ConversionLost:
        return
    except ReaderKilled as error:
        _retry_conversion(message, claimed, error)
    except (OSError, RedisError):
        raise  # not the file's fault; it is converted again when the lease ends
    except Exception as error:
        _retry_conversion(message, claimed, error)
        raise


def _give_up_conversion(job_id: str, claimed: ClaimedChunk) -> None:
    """Fail a job whose file could not be converted because the store stayed full, or because processes ended."""
    try:
        _store().check_memory()
    except StoreFull as error:
        _store().fail(job_id, str(error), problem_of(UploadRefused("store_full", str(error))))
        return
    attempts = claimed.lost + claimed.attempt - 1
    _store().fail(job_id, f"the file could not be converted: {attempts} attempts ended with their process")


def _retry_conversion(message: ScoreChunk, claimed: ClaimedChunk, error: Exception) -> None:
    log.warning("conversion attempt failed", **_log_context(message, claimed), exc_info=error)
    if _store().release(message.job_id, message.chunk, claimed.owner):
        _sender().score_chunks(message.job_id, [message.chunk])


@contextmanager
def _lease_renewed(message: ScoreChunk, owner: str) -> Iterator[None]:
    """Renew the lease, three times per lease period, while the chunk is being scored."""
    stop = threading.Event()

    def renew() -> None:
        while not stop.wait(get_settings().lease_seconds / 3):
            try:
                if not _store().renew(message.job_id, message.chunk, owner):
                    return
            except RedisError as error:
                log.warning("lease may run out", job_id=message.job_id, chunk=message.chunk, error=describe(error))

    renewer = threading.Thread(target=renew, name="lease", daemon=True)
    renewer.start()
    try:
        yield
    finally:
        stop.set()


@app.task(name=Task.PREDICT.value, bind=True, reject_on_worker_lost=False)
def predict_task(self: CeleryTask, **arguments: Any) -> None:
    """Answer requests for predictions and previews that still wait."""
    tracing.follow(self.request.get(tracing.HEADER))
    try:
        message = Predict.decode(arguments, _protocol(self))
    except UnknownMessage as error:
        # The requests wait in the store, from where the reconciler sends them again.
        log.warning("message left to another version", task=self.name, error=str(error))
        return
    waiting = _predictions().waiting(message)
    if waiting:
        settings = get_settings()
        seconds = settings.prediction_timeout_seconds * _SANDBOX_TIME_RATIO
        began, began_at = time.monotonic(), tracing.now()
        answers = answer_all(waiting, settings.max_attempts, seconds)
        _predictions().finish(answers, time.monotonic() - began)
        _report_loads(answers)
        if tracing.is_exported():
            span_predictions(answers, began_at)


def _report_loads(answers: Sequence[tuple[WaitingPrediction, Answer]]) -> None:
    """Tell others which versions could be loaded here, and which not."""
    for waiting, answer in answers:
        name, version = str(waiting.request.get("model")), str(waiting.request.get("version"))
        errors = [item["error"] for item in answer.get("items", ()) if "error" in item]
        reason = next((error["detail"] for error in errors if error.get("code") == BROKEN_MODEL), None)
        if reason is not None:
            _reports_of_loads().failed(name, version, reason)
        elif not errors and "items" in answer:
            _reports_of_loads().succeeded(name, version)


@task_failure.connect
def _handle_dead_process(
    sender: CeleryTask, task_id: str, exception: BaseException, kwargs: dict[str, Any], **_: Any
) -> None:
    """Release what a process was working on when it died or was killed for exceeding the time limit.

    Runs in the worker's main process, which must not block while the store is away; hence the thread.
    """
    if not isinstance(exception, (WorkerLostError, TimeLimitExceeded)):
        return
    failed = isinstance(exception, TimeLimitExceeded) or any(name in str(exception) for name in _CRASH_SIGNALS)
    try:
        if sender.name == Task.PREDICT.value:
            release = partial(_retry_one_by_one, Predict.decode(kwargs), failed)
        else:
            release = partial(_report_death, ScoreChunk.decode(kwargs), task_id, failed)
    except UnknownMessage:
        return  # nothing was leased for it
    report = threading.Thread(target=_ignore_outage, args=(release,), name="dead process", daemon=True)
    _reports[:] = [*(other for other in _reports if other.is_alive()), report]
    report.start()


@worker_before_create_process.connect
def _finish_reports(**_: Any) -> None:
    """Let reports of dead processes end before the next process is forked.

    A process is forked right after one has died. It would inherit the locks that the report's thread holds just then,
    such as that of a module which is being imported, and wait for them forever.
    """
    for report in _reports:
        report.join(_MAX_REPORT_SECONDS)


def _ignore_outage(release: Callable[[], None]) -> None:
    """Call ``release``; while the store is away, the reconciler acts once leases and holds have run out."""
    try:
        release()
    except RedisError as error:
        redis_availability.record_failure(error)


def _report_death(message: ScoreChunk, task_id: str, failed: bool) -> None:
    if _store().report_death(message.job_id, message.chunk, task_id, failed):
        log.warning("chunk attempt died", job_id=message.job_id, chunk=message.chunk, by_itself=failed)
        _sender().score_chunks(message.job_id, [message.chunk])


def _retry_one_by_one(message: Predict, failed: bool) -> None:
    """Send each request alone: one of them may be what crashed or blocked the process."""
    waiting = _predictions().release(message.ids, failed)
    _sender().predict(Predict((prediction_id,)) for prediction_id in waiting)
