"""Real processes, each ended when its test is over, and conditions to wait for."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 30.0

Start = Callable[..., subprocess.Popen[str]]


def wait_for(condition: Callable[[], bool]) -> None:
    """Look again and again until the condition holds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


def lives(pid: int) -> bool:
    """Whether the process is there; one that has ended and waits to be reaped is not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def numbers(path: Path) -> list[int]:
    """The process ids that a command has noted in a file, whole lines only."""
    text = path.read_text() if path.exists() else ""
    return [int(line) for line in text[: text.rfind("\n") + 1].split()]


def environment(data: Path, port: int = 1, **others: str) -> dict[str, str]:
    """This process's environment without Scoreline's settings, and with those of a test."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SCORELINE_")}
    return {**inherited, "HOST": "127.0.0.1", "PORT": str(port), "SCORELINE_DATA_DIR": str(data), **others}


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts ``python ARGUMENTS`` in the checkout, its output in pipes, and stops it after the test."""
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=PATIENCE_SECONDS)
        if process.poll() is None:
            process.kill()
            process.communicate()
