"""Starts a worker: ``python -m worker bulk`` or ``python -m worker interactive``."""

import argparse
import gc
import logging
import os
import threading

from celery.signals import after_setup_task_logger, worker_process_init, worker_ready, worker_shutting_down

from jobs.logs import configure_logging
from jobs.messages import Queue
from jobs.settings import get_settings
from jobs.store.connection import connect
from jobs.store.heartbeat import Heartbeat, Node
from jobs.store.server_check import refuse_unsuitable_store
from worker.celery_app import app
from worker.memory import limit_memory
from worker.models import scorer

# People wait for pages and single predictions: where a machine is short of time, the bulk of the work stands back.
_BULK_NICENESS = 5
# A chunk taken early would wait behind another; a few predictions are over before the next message could be asked for.
_PREFETCH = {Queue.BULK: 1, Queue.INTERACTIVE: 4}


def main() -> None:
    """Load the default model once, before the processes fork, and serve one queue."""
    parser = argparse.ArgumentParser(prog="python -m worker", description=__doc__)
    parser.add_argument("queue", choices=[queue.value for queue in Queue])
    queue = Queue(parser.parse_args().queue)
    # SIGTERM finishes what is in hand for up to the soft shutdown time, then hands back the rest.
    os.environ.setdefault("REMAP_SIGTERM", "SIGQUIT")
    settings = get_settings()
    configure_logging(settings, queue.value)
    after_setup_task_logger.connect(_hand_lines_on, weak=False)
    refuse_unsuitable_store(settings)
    scorer()
    processes = settings.bulk_processes if queue is Queue.BULK else settings.interactive_processes
    if queue is Queue.BULK:
        os.nice(_BULK_NICENESS)
    worker_process_init.connect(lambda **_: _initialise_child(settings.worker_memory_mib), weak=False)
    _keep_beating(queue, processes)
    app.start([
        "--quiet",
        "worker",
        f"--queues={queue.value}",
        f"--hostname={queue.value}@%h",
        f"--concurrency={processes}",
        f"--prefetch-multiplier={_PREFETCH[queue]}",
        f"--loglevel={settings.log_level}",
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
    ])  # fmt: skip


def _initialise_child(memory_mib: int) -> None:
    """Begin a forked process: its memory has a limit, and what was loaded for good is no garbage to look for."""
    limit_memory(memory_mib)
    gc.freeze()


def _hand_lines_on(**_: object) -> None:
    """Celery gives these loggers handlers of their own, whatever it is told: ours takes their lines instead."""
    for name in ("multiprocessing", "celery.task"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True


def _keep_beating(queue: Queue, processes: int) -> None:
    over = threading.Event()

    def show() -> None:
        heartbeat = Heartbeat(connect(get_settings(), patient=True), queue.value, Node.of_this_process(processes))
        heartbeat.keep_beating(over)

    def begin(**_: object) -> None:
        threading.Thread(target=show, name="heartbeat of life", daemon=True).start()

    worker_ready.connect(begin, weak=False)
    worker_shutting_down.connect(lambda **_: over.set(), weak=False)


if __name__ == "__main__":
    main()
