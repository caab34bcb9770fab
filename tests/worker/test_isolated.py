"""Work in a process of its own: what it answers, and what happens when it dies of it."""

import itertools
import os
import signal
from collections.abc import Callable

import pytest

from worker.isolated import isolated

LARGE = b"x" * 1_000_000


def dies() -> bytes:
    os.kill(os.getpid(), signal.SIGKILL)
    return b"never"


def raises() -> bytes:
    raise ValueError("whatever a model may raise")


def never_ends() -> bytes:
    for _ in itertools.count():
        pass
    return b"never"


def test_the_answers_come_in_order_whatever_their_size() -> None:
    assert isolated([lambda: b"", lambda: LARGE, lambda: b"last"], 60) == [b"", LARGE, b"last"]
    assert isolated([], 60) == []


@pytest.mark.parametrize("fatal", [dies, raises, never_ends])
def test_what_was_done_before_the_end_is_kept(fatal: Callable[[], bytes]) -> None:
    assert isolated([lambda: b"one", lambda: LARGE, fatal, lambda: b"after"], 1) == [b"one", LARGE]
