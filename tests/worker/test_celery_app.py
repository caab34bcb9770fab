"""The workers' broker connection during an outage of the store."""

import pytest

from jobs.settings import Settings
from tests.stack import free_port
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
