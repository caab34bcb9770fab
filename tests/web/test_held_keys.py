"""Idempotency keys are held for as long as their uploads take, whatever goes wrong on the way."""

from contextlib import ExitStack
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from jobs.settings import Settings
from jobs.store.connection import connect
from jobs.store.idempotency import IdempotencyKey
from tests.stack import wait_until
from web.held_keys import HeldKeys


class FailingKey(IdempotencyKey):
    """A key that cannot be renewed."""

    error: Exception
    renewals = 0

    def renew(self) -> None:
        self.renewals += 1
        raise self.error


@pytest.mark.parametrize("error", [RedisConnectionError("the store is away"), ValueError("not foreseen")])
def test_after_an_error_keys_are_renewed_again(
    server: Settings, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr("web.held_keys._RENEW_SECONDS", 0.01)
    redis: Any = connect(server)
    failing, sound = FailingKey(redis, server, "failing"), IdempotencyKey(redis, server, "sound")
    failing.error = error
    held = HeldKeys()
    with ExitStack() as uploads:
        uploads.enter_context(held.held(failing))
        wait_until(lambda: failing.renewals > 1)
        sound.begin()
        redis.persist(sound.key)
        uploads.enter_context(held.held(sound))
        wait_until(lambda: redis.ttl(sound.key) > 0)
    sound.give_up()
    redis.close()
