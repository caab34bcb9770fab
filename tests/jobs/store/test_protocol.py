"""Versions of Scoreline with one store: those that do not go together are refused at the start, and named."""

from collections.abc import Iterator
from typing import Any

import pytest

from jobs.settings import Settings
from jobs.store import keys, protocol
from jobs.store.connection import connect
from jobs.store.heartbeat import WEB, Heartbeat, Node
from jobs.store.server_check import StoreCheck
from jobs.version import PROTOCOL, VERSION

OTHER = Node("box", 7, 1)


@pytest.fixture
def redis(server: Settings) -> Iterator[Any]:
    with connect(server) as redis:
        redis.flushall()
        yield redis
        redis.flushall()


def faults(redis: Any, server: Settings) -> list[str]:
    """What a process that starts now finds."""
    return StoreCheck(redis, server).faults()


def test_versions_with_one_protocol_use_the_store_together(redis: Any, server: Settings) -> None:
    Heartbeat(redis, WEB, OTHER).beat()
    assert (faults(redis, server), faults(redis, server)) == ([], [])
    assert int(redis.get(keys.PROTOCOL)) == PROTOCOL


def test_an_older_version_is_refused_by_a_store_that_a_newer_one_has_used(redis: Any, server: Settings) -> None:
    redis.set(keys.PROTOCOL, PROTOCOL + 1)
    [fault] = faults(redis, server)
    assert fault == (
        f"a newer version of Scoreline uses it (protocol {PROTOCOL + 1}; this one, {VERSION}, has {PROTOCOL}): "
        "install that version here, too"
    )
    assert int(redis.get(keys.PROTOCOL)) == PROTOCOL + 1


@pytest.mark.parametrize("role", ["bulk", WEB])
@pytest.mark.parametrize("numbered", [True, False], ids=["numbered", "from before there was a number"])
def test_a_newer_version_waits_until_the_older_one_has_ended(
    redis: Any, server: Settings, monkeypatch: pytest.MonkeyPatch, role: str, numbered: bool
) -> None:
    if numbered:
        assert faults(redis, server) == []
    older = Heartbeat(redis, role, OTHER)
    older.beat()
    monkeypatch.setattr(protocol, "PROTOCOL", PROTOCOL + 1)
    [fault] = faults(redis, server)
    stored = PROTOCOL if numbered else 1
    assert fault.startswith(f"an older version of Scoreline still uses it (protocol {stored}; ")
    assert fault.endswith("stop that first, on box")
    older.end()
    assert faults(redis, server) == []
    monkeypatch.undo()
    assert "a newer version" in faults(redis, server)[0]
