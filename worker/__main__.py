"""Start a worker: ``python -m worker bulk`` or ``python -m worker interactive``."""

import argparse
import gc
import logging
import os
import threading
from collections.abc import Callable

import structlog
from celery.signals import (
    after_setup_task_logger,
    worker_before_create_process,
    worker_process_init,
    worker_process_shutdown,
    worker_ready,
    worker_shutting_down,
)

from jobs.fork_server.client import fork_server
from jobs.logs import configure_logging, describe
from jobs.memory import limit_memory
from jobs.messages import Queue
from jobs.models.registry import ModelRegistry
from jobs.models.watcher import keep_models_in_sync
from jobs.settings import Settings, get_settings
from jobs.store.connection import connect
from jobs.store.heartbeat import Heartbeat, Node
from jobs.store.load_failures import LoadFailures
from jobs.store.server_check import refuse_unsuitable_store
from jobs.store.storage_check import refuse_unsuitable_storage
from jobs.tracing import export_traces, flush_traces
from model.catalog import Catalog
from worker.celery_app import app
from worker.load_reports import LoadReports
from worker.models import import_explainers, prepare, share

log = structlog.stdlib.get_logger(__name__)

_CHECK_SECONDS = 300.0
# Pages and single predictions have priority: on a busy machine, bulk scoring yields.
_BULK_NICENESS = 5
# A prefetched chunk would wait behind another one; predictions take less time than fetching the next message.
_PREFETCH = {Queue.BULK: 1, Queue.INTERACTIVE: 4}


def main() -> None:
    """Load the default model once, before the worker forks, and serve one queue."""
    parser = argparse.ArgumentParser(prog="python -m worker", description=__doc__)
    parser.add_argument("queue", choices=[queue.value for queue in Queue])
    queue = Queue(parser.parse_args().queue)
    # On SIGTERM, Celery gives running tasks the soft shutdown time, then returns the rest to the queue.
    os.environ.setdefault("REMAP_SIGTERM", "SIGQUIT")
    settings = get_settings()
    configure_logging(settings, queue.value)
    after_setup_task_logger.connect(_propagate_celery_logs, weak=False)
    refuse_unsuitable_store(settings)
    refuse_unsuitable_storage(settings)
    prepare()
    processes = settings.bulk_processes if queue is Queue.BULK else settings.interactive_processes
    if queue is Queue.BULK:
        os.nice(_BULK_NICENESS)
        fork_server.start()  # for conversions
    worker_before_create_process.connect(lambda **_: import_explainers(), weak=False)
    worker_process_init.connect(lambda **_: _initialise_child(settings, queue), weak=False)
    worker_process_shutdown.connect(lambda **_: flush_traces(), weak=False)
    _keep_beating(queue, processes)
    app.start([
        "--quiet",
        "worker",
        f"--queues={queue.value}",
        f"--hostname={queue.value}@%h",
        f"--concurrency={processes}",
        f"--prefetch-multiplier={_PREFETCH[queue]}",
        f"--loglevel={settings.log_level}",
        # Workers learn nothing from one another: the store coordinates them.
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
    ])  # fmt: skip


def _initialise_child(settings: Settings, queue: Queue) -> None:
    """Limit the memory of a forked process, and exempt what is loaded from garbage collection."""
    export_traces(settings, queue.value)
    limit_memory(settings.worker_memory_mib)
    gc.freeze()


def _propagate_celery_logs(**_: object) -> None:
    """Celery gives these loggers handlers of their own regardless of its settings; use ours instead."""
    for name in ("multiprocessing", "celery.task"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True


def _keep_beating(queue: Queue, processes: int) -> None:
    stop, settings = threading.Event(), get_settings()
    redis, node = connect(settings, patient=True), Node.of_this_process(processes)
    reports, catalog = LoadReports(LoadFailures(redis), node), Catalog(settings.models_dir, settings.default_model)

    def check() -> None:
        shared = ModelRegistry(redis, settings).all().models.values()
        reports.check(catalog, {(model.name, version) for model in shared for version in model.versions})

    def synchronise() -> None:
        share()
        check()

    def begin(**_: object) -> None:
        beat = Heartbeat(redis, queue.value, node).keep_beating
        threading.Thread(target=beat, args=(stop,), name="heartbeat", daemon=True).start()
        # In a thread of their own: to check what files tell, all of them are read.
        if settings.redis_url is None:
            threading.Thread(target=_keep_checking, args=(check, stop), name="models", daemon=True).start()
        else:
            keep_models_in_sync(settings, stop, synchronise)

    worker_ready.connect(begin, weak=False)
    worker_shutting_down.connect(lambda **_: stop.set(), weak=False)


def _keep_checking(check: Callable[[], None], stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            check()
        except Exception as error:  # noqa: BLE001 - what cannot be checked is found out when somebody asks for it
            log.warning("models not checked", error=describe(error))
        stop.wait(_CHECK_SECONDS)


if __name__ == "__main__":
    main()
