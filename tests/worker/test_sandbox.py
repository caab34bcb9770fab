"""The sandbox: answers of forked processes, and what happens when they die."""

import itertools
import os
import signal
from collections.abc import Callable
from functools import partial

import pytest

from worker.sandbox import SandboxResult, TimeLeft, run_isolated

LARGE = b"x" * 1_000_000


def dies() -> bytes:
    os._exit(3)


def killed_by(number: signal.Signals) -> bytes:
    os.kill(os.getpid(), number)
    return b"never"


def raises() -> bytes:
    raise ValueError("whatever a model may raise")


def never_ends() -> bytes:
    for _ in itertools.count():
        pass
    return b"never"


def test_the_answers_come_in_order_whatever_their_size() -> None:
    assert run_isolated([lambda: b"", lambda: LARGE, lambda: b"last"], 60).answers == [b"", LARGE, b"last"]
    assert run_isolated([], 60) == SandboxResult([], killed=False)


@pytest.mark.parametrize("fatal", [dies, raises, never_ends])
def test_what_was_done_before_the_end_is_kept(fatal: Callable[[], bytes]) -> None:
    works = [lambda: b"one", lambda: LARGE, fatal, lambda: b"after"]
    assert run_isolated(works, 1) == SandboxResult([b"one", LARGE], killed=False)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGQUIT])
def test_a_kill_from_outside_is_reported_as_such(number: signal.Signals) -> None:
    works = [lambda: b"one", partial(killed_by, number), lambda: b"after"]
    assert run_isolated(works, 60) == SandboxResult([b"one"], killed=True)


def test_any_number_of_hanging_works_ends_within_the_time_limit() -> None:
    seconds = 100.0
    for _ in range(20):
        seconds -= TimeLeft(seconds, works=20).share()
    assert seconds > 0
    assert TimeLeft(0, works=1).share() > 0
    assert TimeLeft(100, works=1).share() > TimeLeft(100, works=20).share()
