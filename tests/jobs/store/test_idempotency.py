"""Idempotency keys on a real server: of the same upload sent twice there is one job, whoever dies in between."""

import pytest

from jobs.settings import Settings
from jobs.store.heartbeat import Heartbeat
from jobs.store.idempotency import FirstUpload, IdempotencyKey, StillUploading
from jobs.store.job_store import JobStore
from tests.jobs.store.conftest import upload


def test_an_idempotency_key_is_known_from_the_moment_its_job_is_whole(store: JobStore, settings: Settings) -> None:
    idempotency = IdempotencyKey(store.redis, settings, "key", "a web process")
    assert idempotency.begin() is None
    with pytest.raises(StillUploading):
        IdempotencyKey(store.redis, settings, "key", "a web process").begin()
    job_id = upload(store, 1, seal=False)
    store.seal(job_id, idempotency.key, total=1, fingerprint="print")
    assert IdempotencyKey(store.redis, settings, "key", "a web process").begin() == FirstUpload(job_id, "print")
    idempotency.give_up()
    assert IdempotencyKey(store.redis, settings, "key", "a web process").begin() == FirstUpload(job_id, "print")
    assert store.redis.ttl(idempotency.key) > 3600


def test_a_question_for_an_idempotency_key_asked_twice_is_the_first_upload_both_times(
    store: JobStore, settings: Settings
) -> None:
    """As when the answer to the first was lost on its way, and the client asked again."""
    idempotency = IdempotencyKey(store.redis, settings, "key", "a web process")
    assert [idempotency.begin(), idempotency.begin()] == [None, None]
    with pytest.raises(StillUploading):
        IdempotencyKey(store.redis, settings, "key", "a web process").begin()


def test_a_web_that_died_keeps_no_key(store: JobStore, settings: Settings) -> None:
    idempotency = IdempotencyKey(store.redis, settings, "key", "a web process")
    idempotency.begin()
    assert 0 < store.redis.ttl(idempotency.key) <= settings.upload_idle_seconds
    IdempotencyKey(store.redis, settings, "key", "a web process").give_up()
    assert store.redis.exists(idempotency.key)
    idempotency.give_up()
    assert not store.redis.exists(idempotency.key)


def test_the_key_of_an_upload_whose_process_has_died_is_free(store: JobStore, settings: Settings) -> None:
    IdempotencyKey(store.redis, settings, "key", "a web process").begin()
    second = IdempotencyKey(store.redis, settings, "key", "another")
    with pytest.raises(StillUploading):
        second.begin()
    Heartbeat(store.redis, "web", "a web process").end()
    assert second.begin() is None
    with pytest.raises(StillUploading):
        IdempotencyKey(store.redis, settings, "key", "a web process").begin()
