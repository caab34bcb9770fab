"""The reconciler: sends again what is neither done nor leased. Run as ``python -m worker.reconcile``."""

import signal
import threading
import time
from functools import partial

import structlog
from redis.exceptions import RedisError

from jobs.availability import redis_availability, storage_availability
from jobs.errors import SharingRefused, StorageUnavailable
from jobs.logs import configure_logging, describe
from jobs.messages import Predict
from jobs.models.sweeper import ModelSweeper
from jobs.settings import Settings, get_settings
from jobs.store import keys
from jobs.store.connection import connect
from jobs.store.heartbeat import Heartbeat, Node
from jobs.store.job_store import JobStore
from jobs.store.prediction_store import PredictionStore
from jobs.store.server_check import refuse_unsuitable_store
from jobs.store.storage_check import refuse_unsuitable_storage
from jobs.store.sweeper import Sweeper
from jobs.store.task_sender import TaskSender

log = structlog.stdlib.get_logger(__name__)

INTERVAL_SECONDS = 1.0
SWEEP_SECONDS = 60.0


def reconcile(store: JobStore, predictions: PredictionStore, sender: TaskSender) -> int:
    """Run one round; return the number of tasks sent."""
    chunks = store.overdue()
    sender.score(chunks)
    ids = predictions.overdue()
    if ids:
        log.warning("predictions sent again", predictions=len(ids))
    sender.predict(Predict((prediction_id,)) for prediction_id in ids)
    return len(chunks) + len(ids)


def run(stop: threading.Event) -> None:
    """Reconcile every second until ``stop`` is set, through outages of the store."""
    settings = get_settings()
    redis = connect(settings)
    store, predictions = JobStore(redis, settings), PredictionStore(redis, settings)
    sender, heartbeat = TaskSender(redis, settings), Heartbeat(redis, "reconciler", Node.of_this_process())
    beat_again = 0.0
    is_turn = threading.Event()
    threading.Thread(target=_keep_sweeping, args=(settings, stop, is_turn), name="sweeper", daemon=True).start()
    while not stop.wait(INTERVAL_SECONDS):
        try:
            # Of several reconcilers, one at a time works; the others are ready to take over.
            if store.is_turn_to_reconcile(heartbeat.node):
                reconcile(store, predictions, sender)
                is_turn.set()
            else:
                is_turn.clear()
            if time.monotonic() > beat_again:
                heartbeat.beat()
                beat_again = time.monotonic() + keys.HEARTBEAT_SECONDS
            redis_availability.record_success()
        except RedisError as error:
            redis_availability.record_failure(error)


def _keep_sweeping(settings: Settings, stop: threading.Event, is_turn: threading.Event) -> None:
    """Sweep the storage now and then while it is the turn of this process, in a thread: it may take a while."""
    redis = connect(settings)
    sweepers = (Sweeper(redis, settings), ModelSweeper(redis, settings))
    while not stop.wait(SWEEP_SECONDS):
        if is_turn.is_set():
            try:
                for sweeper in sweepers:
                    sweeper.sweep()
                storage_availability.record_success()
            except StorageUnavailable as error:
                storage_availability.record_failure(error)
            except RedisError as error:
                redis_availability.record_failure(error)
            except (SharingRefused, ValueError) as error:  # what the store says of a model cannot be read
                log.warning("models not swept", error=describe(error))


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    configure_logging(get_settings(), "reconciler")
    refuse_unsuitable_store(get_settings())
    refuse_unsuitable_storage(get_settings())
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, partial(_stop, stop))
    run(stop)


def _stop(stop: threading.Event, *_: object) -> None:
    stop.set()


if __name__ == "__main__":
    main()
