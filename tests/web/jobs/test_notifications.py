"""Waiting for jobs to change: a process hears of the jobs that are followed in it, even if the subscription fails."""

from collections.abc import Iterator
from typing import Any

import pytest

from jobs.settings import Settings
from jobs.store import keys
from jobs.store.connection import connect
from tests.stack import wait_until
from web.jobs.notifications import JobNotifications
from web.server.limits import ConcurrencyLimit


@pytest.fixture
def redis(server: Settings) -> Iterator[Any]:
    with connect(server) as redis:
        yield redis


@pytest.fixture
def notifications(server: Settings) -> JobNotifications:
    return JobNotifications(connect(server), ConcurrencyLimit(10, "followers of jobs"))


def followers(redis: Any, job_id: str) -> int:
    """How many processes hear of a job."""
    return int(redis.pubsub_numsub(keys.changes(job_id))[0][1])


def test_a_waiter_is_woken_by_changes_of_its_job_only(notifications: JobNotifications, redis: Any) -> None:
    with notifications.listen("one") as one, notifications.listen("two") as two:
        assert one.wait(30), "woken once, when the subscription has begun"
        assert two.wait(30)
        one.clear()
        two.clear()
        redis.publish(keys.changes("two"), b"\xff")
        assert two.wait(30)
        assert not one.is_set()


def test_only_who_follows_a_job_hears_of_it(notifications: JobNotifications, redis: Any, server: Settings) -> None:
    other = JobNotifications(connect(server), ConcurrencyLimit(10, "followers of jobs"))
    with other.listen("another"), notifications.listen("job"), notifications.listen("job"):
        wait_until(lambda: (followers(redis, "job"), followers(redis, "another")) == (1, 1))
    wait_until(lambda: followers(redis, "job") == 0)


def test_who_follows_hears_of_the_job_again_after_the_connection_was_lost(
    notifications: JobNotifications, redis: Any
) -> None:
    with notifications.listen("job") as changed:
        wait_until(lambda: followers(redis, "job") == 1)
        redis.client_kill_filter(_type="pubsub", skipme=True)
        wait_until(lambda: followers(redis, "job") == 1)
        assert changed.wait(30), "what was missed is looked up"
        changed.clear()
        redis.publish(keys.changes("job"), "")
        assert changed.wait(30)
