"""Work that may take its process down, done in a process that nobody misses."""

import os
import signal
from collections.abc import Callable, Iterable
from typing import IO, NoReturn

_SIZE_BYTES = 8


def isolated(works: Iterable[Callable[[], bytes]], seconds: float) -> list[bytes]:
    """What each work answers, from a fork of this process, up to the first that takes it down or takes longer."""
    read_end, write_end = os.pipe()
    process = os.fork()
    if not process:
        _work_and_end(works, write_end, seconds)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        answers = _read(pipe)
    os.waitpid(process, 0)
    return answers


def _work_and_end(works: Iterable[Callable[[], bytes]], write_end: int, seconds: float) -> NoReturn:
    """Never goes back: what this process inherited is not its own to clean up."""
    try:
        # The kernel ends it, whatever holds it up, and even if whoever waits for it has gone.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        with os.fdopen(write_end, "wb") as pipe:
            for work in works:
                signal.setitimer(signal.ITIMER_REAL, seconds)
                answer = work()
                pipe.write(len(answer).to_bytes(_SIZE_BYTES, "little") + answer)
                pipe.flush()
    finally:
        os._exit(0)


def _read(pipe: IO[bytes]) -> list[bytes]:
    """The answers that came whole."""
    answers = []
    while len(head := pipe.read(_SIZE_BYTES)) == _SIZE_BYTES:
        size = int.from_bytes(head, "little")
        answer = pipe.read(size)
        if len(answer) == size:
            answers.append(answer)
    return answers
