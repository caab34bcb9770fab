"""Waiting for jobs to change: waiters are woken even if the subscription fails."""

import pytest

from jobs.settings import Settings
from jobs.store import keys
from jobs.store.connection import connect
from web.jobs.notifications import JobNotifications
from web.server.limits import ConcurrencyLimit


@pytest.fixture
def notifications(server: Settings) -> JobNotifications:
    return JobNotifications(connect(server), ConcurrencyLimit(10, "followers of jobs"))


def test_a_message_that_is_no_job_does_not_end_the_watch(notifications: JobNotifications, server: Settings) -> None:
    with connect(server) as redis, notifications.listen("job") as changed:
        assert changed.wait(30), "woken once, when the subscription has begun"
        redis.publish(keys.CHANGES, b"\xff")
        changed.clear()
        redis.publish(keys.CHANGES, "job")
        assert changed.wait(30)
