"""An outage of the store is logged once, however many commands fail meanwhile."""

from redis.exceptions import TimeoutError as RedisTimeoutError
from structlog.testing import capture_logs

from jobs.availability import StoreAvailability


def test_an_outage_and_its_end_are_logged_once_each() -> None:
    store, error = StoreAvailability(), RedisTimeoutError("Timeout reading from socket")
    with capture_logs() as lines:
        store.record_success()
        for _ in range(3):
            store.record_failure(error)
        for _ in range(2):
            store.record_success()
        store.record_failure(error)
    away, back, again = lines
    assert [line["event"] for line in lines] == [
        "the store does not answer", "the store answers again", "the store does not answer",
    ]  # fmt: skip
    assert away["error"] == again["error"] == "TimeoutError: Timeout reading from socket"
    assert back["seconds"] >= 0
