"""The reconciler: sends again what is neither done nor in anyone's hands. ``python -m worker.reconcile`` runs it."""

import signal
import threading
from functools import partial

import structlog
from redis.exceptions import RedisError

from jobs.availability import store_availability
from jobs.logs import configure_logging
from jobs.messages import Predict
from jobs.settings import get_settings
from jobs.store.connection import connect
from jobs.store.heartbeat import Node, SignOfLife
from jobs.store.job_store import JobStore
from jobs.store.prediction_store import PredictionStore
from jobs.store.server_check import refuse_unsuitable_store
from jobs.store.task_sender import TaskSender

log = structlog.stdlib.get_logger(__name__)

EVERY_SECONDS = 1.0


def reconcile(store: JobStore, predictions: PredictionStore, sender: TaskSender) -> int:
    """One round; answers how many tasks were sent again."""
    chunks = list(store.overdue())
    for job_id, chunk in chunks:
        log.warning("chunk sent again", job_id=job_id, chunk=chunk)
        sender.score_chunks(job_id, [chunk])
    ids = predictions.overdue()
    if ids:
        log.warning("predictions sent again", predictions=len(ids))
    sender.predict(Predict((prediction_id,)) for prediction_id in ids)
    return len(chunks) + len(ids)


def run(stop: threading.Event) -> None:
    """Reconcile every second until told to stop; without the server, wait for it."""
    settings = get_settings()
    redis = connect(settings)
    store, predictions = JobStore(redis, settings), PredictionStore(redis, settings)
    sender, sign = TaskSender(redis, settings), SignOfLife(redis, "reconciler", Node.of_this_process())
    while not stop.wait(EVERY_SECONDS):
        try:
            if store.is_turn_to_reconcile(sign.node):
                reconcile(store, predictions, sender)
            sign.show()
            store_availability.found()
        except RedisError as error:
            store_availability.lost(error)


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    configure_logging(get_settings(), "reconciler")
    refuse_unsuitable_store(get_settings())
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, partial(_stop, stop))
    run(stop)


def _stop(stop: threading.Event, *_: object) -> None:
    stop.set()


if __name__ == "__main__":
    main()
