"""What Celery alone loses on the same kills: ``python -m tests.chaos.celery_alone``.

A plain application: late acknowledgements, redelivery when a worker is lost, on the same server with the same
append-only file; tasks that note their number. No store that decides, and nobody who sends again.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import psutil
from celery import Celery
from kombu.exceptions import OperationalError
from redis import Redis
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.retry import Retry

from tests.stack import ROOT, wait_until

_DONE, _FOLDER = "done", "CHAOS_FOLDER"
_VISIBILITY_SECONDS = 60


def _socket(folder: str | Path) -> str:
    return str(Path(folder) / "valkey.sock")


app = Celery("alone", broker=f"redis+socket://{_socket(os.environ.get(_FOLDER, '.'))}")
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={"visibility_timeout": _VISIBILITY_SECONDS},
)


def _redis(folder: str | Path) -> Redis:
    return Redis(unix_socket_path=_socket(folder), retry=Retry(ConstantBackoff(0.1), 300, (RedisConnectionError,)))


@app.task(name="note")
def note(number: int) -> None:
    """Work for a moment, then note that it was done."""
    time.sleep(0.02)
    _redis(os.environ[_FOLDER]).rpush(_DONE, number)


class Alone:
    """A plain Celery worker and its broker, each started again when it dies."""

    def __init__(self, folder: Path) -> None:
        self._environment = {**os.environ, _FOLDER: str(folder), "SCORELINE_DATA_DIR": str(folder)}
        self._log = (folder / "log").open("ab")
        self.store = self._keep(sys.executable, "-m", "ops.embedded")
        wait_until(Path(_socket(folder)).exists)
        command = ["-m", "celery", "-A", "tests.chaos.celery_alone", "worker", "--concurrency=2", "--without-mingle"]
        self.worker = self._keep(sys.executable, *command)

    def _keep(self, *command: str) -> psutil.Process:
        keeper = [sys.executable, "-m", "tests.supervise", *command]
        started = subprocess.Popen(keeper, cwd=ROOT, env=self._environment, stdout=self._log, stderr=self._log)
        return psutil.Process(started.pid)

    def kill(self, random: Random) -> None:
        """Kill a child of the worker, the worker, or the broker, as often as a chaos run does."""
        target = random.choices(["child", "worker", "store"], [5, 3, 4])[0]
        random.choice(wait_until(lambda: self._find(target))).send_signal(signal.SIGKILL)

    def _find(self, target: str) -> list[psutil.Process]:
        """What was killed a moment ago may not be back yet."""
        with suppress(psutil.Error):
            if target == "store":
                return [p for p in self.store.children() if p.name() == "valkey-server"]
            workers = [p for p in self.worker.children() if "celery" in " ".join(p.cmdline())]
            return workers if target == "worker" else [child for parent in workers for child in parent.children()]
        return []

    def stop(self) -> None:
        for process in (self.worker, self.store):
            process.terminate()
            process.wait(30)


def measure(folder: Path, seed: int, kills: int, tasks: int, patience: float) -> dict[str, Any]:
    """Send tasks while processes are killed; what was noted in the end, and how often."""
    os.environ[_FOLDER] = str(folder)
    app.conf.broker_url = f"redis+socket://{_socket(folder)}"
    random, alone = Random(seed), Alone(folder)
    redis: Any = _redis(folder)
    sent = 0
    try:
        for kill in range(kills):
            while sent < tasks * (kill + 1) // kills:
                sent += _send(sent)
            time.sleep(random.uniform(0.5, 3))
            alone.kill(random)
        _wait_until_still(redis, patience)
        found = Counter(map(int, redis.lrange(_DONE, 0, -1)))
    finally:
        alone.stop()
    return {
        "seed": seed,
        "kills": kills,
        "tasks": sent,
        "missing": sum(1 for number in range(sent) if number not in found),
        "done_more_than_once": sum(1 for count in found.values() if count > 1),
    }


def _send(number: int) -> int:
    """Send one task; 1 if the broker has confirmed it."""
    try:
        note.apply_async((number,), retry=False)
    except (OperationalError, RedisError, OSError):  # the broker is away: not confirmed, so tried again
        time.sleep(0.1)
        return 0
    return 1


def _wait_until_still(redis: Any, patience: float) -> None:
    """Wait until nothing has been noted for so long, which is more than the visibility timeout and its checks."""
    count, since = -1, time.monotonic()
    while time.monotonic() - since < patience:
        now = redis.llen(_DONE)
        if now != count:
            count, since = now, time.monotonic()
        time.sleep(1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=72)
    parser.add_argument("--tasks", type=int, default=12_000)
    parser.add_argument("--patience", type=float, default=240)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        figures = measure(Path(directory), options.seed, options.kills, options.tasks, options.patience)
    print(json.dumps(figures))
