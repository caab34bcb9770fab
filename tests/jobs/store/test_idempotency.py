"""Idempotency keys on a real server: of the same upload sent twice there is one job, whoever dies in between."""

import pytest

from jobs.settings import Settings
from jobs.store.idempotency import FirstUpload, IdempotencyKey, StillUploading
from jobs.store.job_store import JobStore
from tests.jobs.store.conftest import upload
from tests.stack import wait_until


def test_an_idempotency_key_is_known_from_the_moment_its_job_is_whole(store: JobStore, settings: Settings) -> None:
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


def test_a_question_for_an_idempotency_key_asked_twice_is_the_first_upload_both_times(
    store: JobStore, settings: Settings
) -> None:
    """As when the answer to the first was lost on its way, and the client asked again."""
    idempotency = IdempotencyKey(store.redis, settings, "key")
    assert [idempotency.begin(), idempotency.begin()] == [None, None]
    with pytest.raises(StillUploading):
        IdempotencyKey(store.redis, settings, "key").begin()


def test_a_key_is_given_up_by_the_upload_that_holds_it_alone(store: JobStore, settings: Settings) -> None:
    idempotency = IdempotencyKey(store.redis, settings, "key")
    idempotency.begin()
    IdempotencyKey(store.redis, settings, "key").give_up()
    assert store.redis.exists(idempotency.key)
    idempotency.give_up()
    assert not store.redis.exists(idempotency.key)


def test_a_key_that_nobody_renews_is_free_soon(
    store: JobStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of an upload whose process has died, or could not reach the store when it gave the upload up."""
    monkeypatch.setattr("jobs.store.idempotency.HOLD_SECONDS", 1)
    IdempotencyKey(store.redis, settings, "key").begin()
    second = IdempotencyKey(store.redis, settings, "key")

    def begun() -> bool:
        try:
            return second.begin() is None
        except StillUploading:
            return False

    assert not begun()
    wait_until(begun)
    with pytest.raises(StillUploading):
        IdempotencyKey(store.redis, settings, "key").begin()


def test_a_key_is_renewed_while_its_upload_moves_but_not_for_ever(store: JobStore, settings: Settings) -> None:
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
