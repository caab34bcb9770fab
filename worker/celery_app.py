"""The Celery application of the workers: its settings and its queues. ``python -m worker`` starts it with a role."""

from typing import Any

from celery import Celery
from celery.app.amqp import AMQP
from kombu.connection import Connection
from kombu.entity import Queue as KombuQueue

from jobs.messages import Queue, Task
from jobs.settings import Settings, get_settings
from jobs.store import keys
from jobs.store.celery_message import QUEUE_OF
from jobs.store.connection import tls_options

# Celery would wait longer each time, and find a store that was away for a minute only half a minute after its return.
_PATIENCE = {"interval_start": 0.5, "interval_step": 0.5, "interval_max": 1.0}


class _Connection(Connection):
    """A connection that is tried again every second."""

    def ensure_connection(self, *args: Any, **kwargs: Any) -> Connection:
        super().ensure_connection(*args, **_PATIENCE | kwargs)
        return self


class _Amqp(AMQP):  # type: ignore[misc] # Celery has no types
    Connection = _Connection


def create_celery(settings: Settings) -> Celery:
    """A Celery application with the settings that the promises rest on.

    Celery delivers at least once, or sometimes not at all; the store decides what is done (see ``jobs.store``). So
    results are ignored here, and a message may be lost or come twice.
    """
    app = Celery("scoreline", amqp=_Amqp)
    app.conf.update(
        broker_url=_broker_url(settings),
        # Celery itself would take any certificate. Without TLS it wants to hear that there is none.
        broker_use_ssl=tls_options(settings) or False,
        broker_transport_options=_transport_options(settings),
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=settings.store_timeout_seconds,
        # Undeclared: messages are put on the lists themselves, and kombu's bindings would be keys without a lifetime.
        task_queues=[KombuQueue(name.value, routing_key=name.value, no_declare=True) for name in Queue],
        task_default_queue=Queue.BULK.value,
        task_create_missing_queues=False,
        task_routes={task.value: {"queue": queue.value} for task, queue in QUEUE_OF.items()},
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_publish_retry=False,
        task_time_limit=settings.task_seconds,
        task_annotations={Task.PREDICT.value: {"time_limit": settings.prediction_timeout_seconds}},
        worker_prefetch_multiplier=1,
        # Celery sleeps all of it if a task is in hand; a chunk takes far less, and one that does not is sent again.
        worker_soft_shutdown_timeout=3,
        worker_enable_soft_shutdown_on_idle=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_enable_remote_control=False,
        enable_utc=True,
    )
    return app


def _broker_url(settings: Settings) -> str:
    url = settings.store_url
    if url.startswith("unix://"):
        return "redis+socket://" + url.removeprefix("unix://")
    # What the query says of TLS is in the options, which Celery would not join with it.
    return url.partition("?")[0] if tls_options(settings) else url


def _transport_options(settings: Settings) -> dict[str, object]:
    return {
        "global_keyprefix": keys.BROKER_PREFIX,
        # Without a second list of what was delivered: the store knows, and an acknowledgement that failed to reach that
        # list would keep its place in the prefetch count for ever, so that a worker in the end took nothing more.
        "ack_emulation": False,
        "socket_timeout": settings.store_timeout_seconds,
        "socket_connect_timeout": settings.store_timeout_seconds,
        "socket_keepalive": True,
        "health_check_interval": 25,
        "max_retries": 0,
    }


app = create_celery(get_settings())
app.conf.update(include=["worker.tasks"])
