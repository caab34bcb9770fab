"""Idempotency keys on a real server: an upload that is sent twice becomes one job, whatever dies in between."""

import pytest

from jobs.settings import Settings
from jobs.store.idempotency import HOLD_SECONDS, FirstUpload, IdempotencyKey, StillUploading
from jobs.store.job_store import JobStore
from tests.jobs.store.conftest import upload
from tests.stack import wait_until


def test_an_idempotency_key_leads_to_its_job_as_soon_as_that_is_complete(store: JobStore, settings: Settings) -> None:
    idempotency = IdempotencyKey(store.redis, settings, "key")
    assert idempotency.begin() is None
    with pytest.raises(StillUploading):
        IdempotencyKey(store.redis, settings, "key").begin()
    job_id = upload(store, 1, seal=False)
    store.seal(job_id, idempotency.key, total=1, fingerprint="print")
    assert IdempotencyKey(store.redis, settings, "key").begin() == FirstUpload(job_id, "print")
    idempotency.give_up()
    assert IdempotencyKey(store.redis, settings, "key").begin() == FirstUpload(job_id, "print")
    assert store.redis.ttl(idempotency.key) > 3600


def test_repeating_the_begin_of_an_upload_keeps_the_idempotency_key(store: JobStore, settings: Settings) -> None:
    """As when the reply was lost on the way and the client repeats the command."""
    idempotency = IdempotencyKey(store.redis, settings, "key")
    assert [idempotency.begin(), idempotency.begin()] == [None, None]
    with pytest.raises(StillUploading):
        IdempotencyKey(store.redis, settings, "key").begin()


def test_only_the_upload_that_holds_a_key_can_free_it(store: JobStore, settings: Settings) -> None:
    idempotency = IdempotencyKey(store.redis, settings, "key")
    idempotency.begin()
    IdempotencyKey(store.redis, settings, "key").give_up()
    assert store.redis.exists(idempotency.key)
    idempotency.give_up()
    assert not store.redis.exists(idempotency.key)


def test_a_key_that_is_not_renewed_is_soon_free(store: JobStore, settings: Settings) -> None:
    """As after the process of an upload has died, or could not reach the store to free the key."""
    first, second, third = (IdempotencyKey(store.redis, settings, "key") for _ in range(3))
    first.begin()
    with pytest.raises(StillUploading):
        second.begin()
    assert 0 < store.redis.pttl(first.key) <= HOLD_SECONDS * 1000
    store.redis.delete(first.key)  # as the server does then
    assert second.begin() is None
    with pytest.raises(StillUploading):
        third.begin()


def test_a_key_is_renewed_while_its_upload_progresses_but_not_for_ever(store: JobStore, settings: Settings) -> None:
    quick = settings.model_copy(update={"upload_idle_seconds": 1})
    moving, standing = (IdempotencyKey(store.redis, quick, key) for key in ("moving", "standing"))

    def is_renewed(key: IdempotencyKey) -> bool:
        store.redis.hset(key.key, "token", key._token)
        store.redis.expire(key.key, 100)
        key.renew()
        return int(store.redis.ttl(key.key)) < 100

    def moves() -> bool:
        moving.touch()
        return is_renewed(moving)

    wait_until(lambda: moves() and not is_renewed(standing))
    wait_until(lambda: not moves())
