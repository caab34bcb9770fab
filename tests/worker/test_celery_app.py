"""The workers' broker connection during an outage of the store, and their processes after a death."""

from types import SimpleNamespace

import pytest
from kombu.asynchronous import Hub
from kombu.asynchronous.timer import Timer

from jobs.settings import Settings
from tests.stack import free_port, wait_until
from worker.celery_app import create_celery


class Enough(Exception):
    """Raised by the test when it has seen what it wanted."""


def test_a_worker_reconnects_every_second_however_long_the_store_is_away() -> None:
    waits: list[float] = []

    def note(_: Exception, seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 4:
            raise Enough

    app = create_celery(Settings(redis_url=f"redis://127.0.0.1:{free_port()}/0"))
    with pytest.raises(Enough), app.connection_for_read() as connection:
        connection.ensure_connection(note)
    assert max(waits) <= 1


def test_a_worker_looks_for_dead_processes_more_than_once_a_second() -> None:
    """Celery looks when the files of one are closed, when it may still count as alive, and then every 5 s."""
    looks: list[str] = []
    worker = SimpleNamespace(pool=SimpleNamespace(maintain_pool=lambda: looks.append("look")))
    hub = Hub(timer=Timer())
    (step,) = create_celery(Settings(redis_url="redis://127.0.0.1/0")).steps["worker"]
    step(worker).register_with_event_loop(worker, hub)
    for number in (1, 2):
        seconds_to_next = hub.fire_timers()
        assert seconds_to_next < 1
        wait_until(lambda number=number: hub.fire_timers() and len(looks) == number)
