"""Keep the models of this host like those of all others: a thread of web processes, workers and the recorder."""

import threading
from collections.abc import Callable

import structlog
from redis.exceptions import RedisError

from jobs.availability import redis_availability, storage_availability
from jobs.errors import StorageUnavailable, StoreFull
from jobs.logs import describe
from jobs.models.registry import ModelRegistry
from jobs.models.sharing import ModelSharing
from jobs.settings import Settings
from jobs.store.connection import connect

log = structlog.stdlib.get_logger(__name__)

POLL_SECONDS = 2.0
# Models that were made here are published even if nothing changed elsewhere.
_MAX_SECONDS = 300.0


def keep_models_in_sync(
    settings: Settings, stop: threading.Event, synchronise: Callable[[], object] | None = None
) -> None:
    """Start the thread if there may be other hosts.

    ``synchronise`` is given where this process will fork, and where it publishes nothing.
    """
    if settings.redis_url is not None:
        threading.Thread(target=_run, args=(settings, stop, synchronise), name="models", daemon=True).start()


def _run(settings: Settings, stop: threading.Event, synchronise: Callable[[], object] | None) -> None:
    redis = connect(settings)
    registry = ModelRegistry(redis, settings)
    synchronise = synchronise or ModelSharing.of(redis, settings).synchronise
    known, since, last_error = -1, 0.0, ""
    while True:
        try:
            revision = registry.revision()
            if revision != known or since >= _MAX_SECONDS:
                synchronise()
                known, since, last_error = revision, 0.0, ""
            redis_availability.record_success()
        except RedisError as error:
            redis_availability.record_failure(error)
        except (StorageUnavailable, StoreFull) as error:
            storage_availability.record_failure(error)
        except Exception as error:  # noqa: BLE001 - the models here stay as they are
            if describe(error) != last_error:
                last_error = describe(error)
                log.warning("models not synchronised", error=last_error)
        since += POLL_SECONDS
        if stop.wait(POLL_SECONDS):
            return
