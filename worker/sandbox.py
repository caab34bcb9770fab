"""Work that may take its process down, done in a process that nobody misses."""

import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn

_SIZE_BYTES = 8
# Of the time that is left for many works, one may take a sixth: however many never end, all are over in time.
_MAX_SHARES = 6
_LEAST_SECONDS = 0.05
# Signals that come from outside, from a person or from the system.
_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGQUIT, signal.SIGINT, signal.SIGHUP)
# A work that is killed may be innocent: the system was short of memory, or somebody pressed the wrong button.
MAX_KILLS = 3


@dataclass(frozen=True, slots=True)
class Isolated:
    """The answers up to the first work that had none, and whether its process was killed from outside."""

    answers: list[bytes]
    killed: bool


class TimeLeft:
    """The seconds that are left for several works, of which some may never end."""

    def __init__(self, seconds: float, works: int) -> None:
        self._until = time.monotonic() + seconds
        self._shares = min(works + 1, _MAX_SHARES)

    def share(self) -> float:
        """What the next work may take, in seconds."""
        return max(_LEAST_SECONDS, (self._until - time.monotonic()) / self._shares)


def isolated(works: Iterable[Callable[[], bytes]], seconds: float) -> Isolated:
    """What each work answers, from a fork of this process, up to the first that takes it down or takes longer.

    Raises:
        OSError: the system has no process to give.
    """
    read_end, write_end = os.pipe()
    try:
        process = os.fork()
    except OSError:
        os.close(read_end)
        os.close(write_end)
        raise
    if not process:
        _work_and_end(works, write_end, seconds)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        answers = _read(pipe)
    _, status = os.waitpid(process, 0)
    return Isolated(answers, os.WIFSIGNALED(status) and os.WTERMSIG(status) in _OUTSIDE)


def _work_and_end(works: Iterable[Callable[[], bytes]], write_end: int, seconds: float) -> NoReturn:
    """Never goes back: what this process inherited is not its own to clean up."""
    try:
        # The kernel ends it, whatever holds it up, and even if whoever waits for it has gone.
        for number in (signal.SIGALRM, *_OUTSIDE[1:]):
            signal.signal(number, signal.SIG_DFL)
        _be_the_first_to_go()
        with os.fdopen(write_end, "wb") as pipe:
            for work in works:
                signal.setitimer(signal.ITIMER_REAL, seconds)
                answer = work()
                pipe.write(len(answer).to_bytes(_SIZE_BYTES, "little") + answer)
                pipe.flush()
    finally:
        os._exit(0)


def _be_the_first_to_go() -> None:
    """Where memory runs out, the system takes this process and not the one that waits for it (Linux only)."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _read(pipe: IO[bytes]) -> list[bytes]:
    """The answers that came whole."""
    answers = []
    while len(head := pipe.read(_SIZE_BYTES)) == _SIZE_BYTES:
        size = int.from_bytes(head, "little")
        answer = pipe.read(size)
        if len(answer) == size:
            answers.append(answer)
    return answers
