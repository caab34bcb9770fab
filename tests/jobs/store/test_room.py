"""An upload waits while the store is full, and is refused only where that lasts."""

import pytest
from redis.exceptions import OutOfMemoryError

from jobs.errors import StorageFull, StoreFull
from jobs.messages import InputChunk
from jobs.store.job_store import JobStore
from jobs.store.room import wait_for_room
from tests.jobs.store.conftest import NEW, found


@pytest.mark.parametrize("full", [StoreFull, StorageFull, OutOfMemoryError])
def test_what_finds_room_after_a_while_is_stored_once(full: type[Exception]) -> None:
    answers = [full("full"), full("full"), [7]]
    kept_alive = []

    def store() -> list[int]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert wait_for_room(store, 60, lambda: kept_alive.append(1)) == [7]
    assert (answers, len(kept_alive)) == ([], 2)


def test_a_store_that_stays_full_refuses_in_the_end() -> None:
    def store() -> None:
        raise StoreFull("full")

    with pytest.raises(StoreFull):
        wait_for_room(store, 0.01)


def test_an_upload_goes_on_once_others_have_made_room(store: JobStore) -> None:
    store.begin(NEW)
    store.append(NEW.id, 0, InputChunk(1, 1, b"1,2\n"))
    store.redis.config_set("maxmemory", store.redis.info("memory")["used_memory"])

    def append() -> list[int]:
        store.check_memory()
        return store.append(NEW.id, 1, InputChunk(2, 1, b"3,4\n"))

    try:
        with pytest.raises(StoreFull):
            append()
        wait_for_room(append, 60, lambda: store.redis.config_set("maxmemory", 0))
    finally:
        store.redis.config_set("maxmemory", 0)
    store.seal(NEW.id, total=2)
    assert found(store, NEW.id).chunks == 2


def test_other_errors_are_not_waited_for() -> None:
    calls = []

    def store() -> None:
        calls.append(1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        wait_for_room(store, 60)
    assert calls == [1]
