"""The Celery application of the workers. ``python -m worker`` starts it for one queue."""

from typing import Any
from urllib.parse import quote

from celery import Celery
from celery.app.amqp import AMQP
from celery.bootsteps import StartStopStep
from kombu.connection import Connection
from kombu.entity import Queue as KombuQueue

from jobs.messages import Queue, Task
from jobs.settings import Settings, get_settings
from jobs.store import keys
from jobs.store.address import StoreAddress, Topology
from jobs.store.celery_message import QUEUE_OF
from jobs.store.connection import node_options, tls_options

# Celery's backoff grows without bound: after an outage of a minute it would reconnect half a minute late.
_RETRY_POLICY = {"interval_start": 0.5, "interval_step": 0.5, "interval_max": 1.0}
_REPLACE_SECONDS = 0.5

_TRANSPORTS = {
    Topology.SENTINEL: "worker.broker_transport:SentinelTransport",
    Topology.CLUSTER: "worker.broker_transport:ClusterTransport",
}

# A conversion goes through a whole file, which makes many chunks.
_CONVERSION_CHUNKS = 12


class _Connection(Connection):
    """A connection that retries every second."""

    def ensure_connection(self, *args: Any, **kwargs: Any) -> Connection:
        super().ensure_connection(*args, **_RETRY_POLICY | kwargs)
        return self


class _Amqp(AMQP):  # type: ignore[misc] # Celery has no types
    Connection = _Connection


class _ReplaceDeadProcesses(StartStopStep):  # type: ignore[misc] # Celery has no types
    """Replaces dead processes twice a second.

    Celery looks for them when the files of one are closed. On a busy machine, that one may not count as dead yet, and
    Celery looks again only after 5 s: meanwhile, nobody works.
    """

    requires = ("celery.worker.components:Hub", "celery.worker.components:Pool")

    def register_with_event_loop(self, worker: Any, hub: Any) -> None:
        """Set the timer; called at the start, and after the broker's connection was lost, which ends timers."""
        hub.call_repeatedly(_REPLACE_SECONDS, worker.pool.maintain_pool)


def create_celery(settings: Settings) -> Celery:
    """Create the Celery application.

    Celery delivers a message at least once, or in rare cases not at all. The store decides what is done
    (``jobs.store``), so Celery's results are ignored, and lost or duplicate messages are harmless.
    """
    app = Celery("scoreline", amqp=_Amqp)
    app.steps["worker"].add(_ReplaceDeadProcesses)
    app.conf.update(
        broker_url=_broker_url(settings),
        broker_transport=_TRANSPORTS.get(StoreAddress.parse(settings.store_url).topology),
        # Celery's default accepts any certificate. False means no TLS.
        broker_use_ssl=tls_options(settings) or False,
        broker_transport_options=_transport_options(settings),
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=settings.store_timeout_seconds,
        # Not declared: messages go directly to the lists, and kombu's bindings would be keys without a lifetime.
        task_queues=[KombuQueue(name.value, routing_key=name.value, no_declare=True) for name in Queue],
        task_default_queue=Queue.BULK.value,
        task_create_missing_queues=False,
        task_routes={task.value: {"queue": queue.value} for task, queue in QUEUE_OF.items()},
        task_serializer="json",
        # Never pickle: whoever writes to the store could run programs here.
        accept_content=["json"],
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_publish_retry=False,
        task_time_limit=settings.task_seconds,
        task_annotations={
            Task.PREDICT.value: {"time_limit": settings.prediction_timeout_seconds},
            Task.CONVERT.value: {"time_limit": _CONVERSION_CHUNKS * settings.task_seconds},
        },
        worker_prefetch_multiplier=1,
        # Celery sleeps for the whole timeout if a task is running. A chunk takes far less; others are sent again.
        worker_soft_shutdown_timeout=3,
        worker_enable_soft_shutdown_on_idle=False,
        # A task goes on without its message: it holds a lease, and its result is recorded once.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_enable_remote_control=False,
        enable_utc=True,
    )
    return app


def _broker_url(settings: Settings) -> str:
    address = StoreAddress.parse(settings.store_url)
    if address.topology is not Topology.SERVER:
        login = f"{quote(address.username, '')}:{quote(address.password, '')}@" if address.password else ""
        hosts = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in address.nodes)
        return ";".join(f"{address.topology.value}://{login}{host}/{address.database}" for host in hosts)
    url = address.url
    if url.startswith("unix://"):
        return "redis+socket://" + url.removeprefix("unix://")
    # TLS options in the query are part of `broker_use_ssl`, which Celery does not merge with the URL.
    return url.partition("?")[0] if address.tls else url


def _transport_options(settings: Settings) -> dict[str, object]:
    address = StoreAddress.parse(settings.store_url)
    several: dict[str, object] = {}
    if address.topology is Topology.SENTINEL:
        several = {"master_name": address.service, "sentinel_kwargs": node_options(settings)}
    elif address.topology is Topology.CLUSTER:
        several = {"cluster_nodes": address.nodes, "node_options": node_options(settings)}
    return several | {
        "global_keyprefix": keys.BROKER_PREFIX,
        # No list of unacknowledged messages: the store tracks delivery, and an acknowledgement that failed to reach
        # that list would occupy the prefetch count for ever, until the worker took no more messages.
        "ack_emulation": False,
        "socket_timeout": settings.store_timeout_seconds,
        "socket_connect_timeout": settings.store_timeout_seconds,
        "socket_keepalive": True,
        "health_check_interval": 25,
        "max_retries": 0,
    }


app = create_celery(get_settings())
app.conf.update(include=["worker.tasks"])
