"""Run work that may crash or hang in a forked process."""

import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn

_SIZE_BYTES = 8
# One piece of work may take this fraction of the time left, so that the time is kept however many of them hang.
_MAX_SHARES = 6
_MIN_SECONDS = 0.05
# Signals sent from outside, by a person or the system.
_EXTERNAL_SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGQUIT, signal.SIGINT, signal.SIGHUP)
# Work whose process is killed may not be at fault: the system may be short of memory. It is tried this often.
MAX_KILLS = 3
# Lost leases after which a chunk or request is scored in a sandbox, and after which it is given up.
SUSPICIOUS_LOSSES, MAX_LOSSES = 2, 20


@dataclass(frozen=True, slots=True)
class SandboxResult:
    """Answers up to the first piece of work without one, and whether its process was killed from outside."""

    answers: list[bytes]
    killed: bool


class TimeLeft:
    """Divides a time limit among pieces of work, some of which may hang."""

    def __init__(self, seconds: float, works: int) -> None:
        self._until = time.monotonic() + seconds
        self._shares = min(works + 1, _MAX_SHARES)

    def share(self) -> float:
        """Return the time limit of the next piece of work, in seconds."""
        return max(_MIN_SECONDS, (self._until - time.monotonic()) / self._shares)


def run_isolated(works: Iterable[Callable[[], bytes]], seconds: float) -> SandboxResult:
    """Run each piece of work in a fork of this process; return the answers up to the first crash or timeout.

    Raises:
        OSError: the system could not start a process.
    """
    read_end, write_end = os.pipe()
    try:
        process = os.fork()
    except OSError:
        os.close(read_end)
        os.close(write_end)
        raise
    if not process:
        _run_and_exit(works, write_end, seconds)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        answers = _read(pipe)
    _, status = os.waitpid(process, 0)
    return SandboxResult(answers, os.WIFSIGNALED(status) and os.WTERMSIG(status) in _EXTERNAL_SIGNALS)


def _run_and_exit(works: Iterable[Callable[[], bytes]], write_end: int, seconds: float) -> NoReturn:
    """Never return: what this process inherited is not its own to clean up."""
    try:
        # With the default action, the kernel ends the process even if it hangs in C code or its parent is gone.
        for number in (signal.SIGALRM, *_EXTERNAL_SIGNALS[1:]):
            signal.signal(number, signal.SIG_DFL)
        _prefer_as_oom_victim()
        with os.fdopen(write_end, "wb") as pipe:
            for work in works:
                signal.setitimer(signal.ITIMER_REAL, seconds)
                answer = work()
                pipe.write(len(answer).to_bytes(_SIZE_BYTES, "little") + answer)
                pipe.flush()
    finally:
        os._exit(0)


def _prefer_as_oom_victim() -> None:
    """Have the kernel kill this process first when memory runs out, not its parent (Linux only)."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _read(pipe: IO[bytes]) -> list[bytes]:
    """Read the answers that are complete."""
    answers = []
    while len(header := pipe.read(_SIZE_BYTES)) == _SIZE_BYTES:
        size = int.from_bytes(header, "little")
        answer = pipe.read(size)
        if len(answer) == size:
            answers.append(answer)
    return answers
