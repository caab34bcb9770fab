"""Starting servers and stopping them, each on a free port of the loopback address, with its log in ``.bench/run``."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from redis import Redis

from bench.environments import clean_variables
from bench.places import MODELS, PEERS, ROOT, RUN
from bench.progress import say
from jobs.settings import Settings
from model.catalog import Catalog
from model.census.train import ensure_trained

READY_SECONDS = 120.0
_STOP_SECONDS = 25.0
_SETTLE_SECONDS = 30.0
_LOG_BYTES = 1500
# A process per core, each with one thread for its mathematics, as the product's have it.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_NO_TELEMETRY = {"DO_NOT_TRACK": "1", "BENTOML_DO_NOT_TRACK": "True", "MLFLOW_DISABLE_TELEMETRY": "true"}


class CannotServe(Exception):
    """Raised when a server does not start, with the end of its log."""


@dataclass(slots=True)
class Server:
    """A server that runs."""

    name: str
    port: int
    process: subprocess.Popen[bytes]

    def post(self, path: str, document: Any) -> Any:
        """The answer to a JSON document."""
        body = json.dumps(document).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)

    def processes(self) -> list[psutil.Process]:
        """Its processes, the one that was started first."""
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]


# What a process of Scoreline is, by a part of its command line; the first that fits.
_ROLES = (
    ("valkey-server", "server"),
    ("ops.embedded", "server"),
    ("gunicorn", "web"),
    ("worker.reconcile", "reconciler"),
    ("worker.recording", "recorder"),
    ("worker interactive", "interactive worker"),
    ("worker bulk", "bulk worker"),
    ("interactive@", "interactive worker"),
    ("bulk@", "bulk worker"),
)


@dataclass(slots=True)
class Scoreline(Server):
    """Scoreline with all its processes, as ``make run`` starts it."""

    folder: Path = field(default_factory=Path)

    def roles(self) -> list[tuple[str, psutil.Process]]:
        """Its processes, each with its part in the whole."""
        found = []
        for process in self.processes():
            with suppress(psutil.Error):
                found.append((_role(process), process))
        return found

    def redis(self) -> Redis:
        """A connection to the embedded server."""
        return Redis.from_url(Settings(data_dir=self.folder).store_url, socket_timeout=30)

    def settle(self) -> None:
        """Wait until what the last job left to be done in the background is done, so that it slows no other run."""
        deadline = time.monotonic() + _SETTLE_SECONDS
        with self.redis() as redis:
            while time.monotonic() < deadline:
                state: dict[str, Any] = redis.info("persistence")
                if not state["aof_rewrite_in_progress"] and not state.get("aof_rewrite_scheduled"):
                    break
                time.sleep(0.1)
        os.sync()


def _role(process: psutil.Process) -> str:
    line = " ".join(process.cmdline())
    return next((role for part, role in _ROLES if part in line), "launcher")


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def artifact() -> Path:
    """The file of the model that all contenders use, trained if it is not there yet."""
    MODELS.mkdir(parents=True, exist_ok=True)
    ensure_trained(MODELS)
    return Catalog(MODELS, "income").artifact_path()


@contextmanager
def scoreline(name: str = "scoreline", root: Path = ROOT, **settings: str) -> Iterator[Scoreline]:
    """Scoreline with an empty store; `settings` are variables such as SCORELINE_BULK_PROCESSES.

    ``root`` is the folder of its code; that of another revision trains models of its own.
    """
    folder = RUN / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if root == ROOT:
        artifact()
        (folder / "models").symlink_to(MODELS)
    port = free_port()
    variables = clean_variables(
        PORT=str(port), HOST="127.0.0.1", SCORELINE_DATA_DIR=str(folder), SCORELINE_LOG_LEVEL="WARNING", **settings
    )
    with _running(name, [sys.executable, "-m", "ops.launch"], port, "/readyz", root, variables) as process:
        yield Scoreline(name, port, process, folder)


@contextmanager
def peer(name: str, command: Sequence[str], port: int, health: str, cwd: Path, **variables: str) -> Iterator[Server]:
    """A server of others, with the model's artifact and what all of them share within reach."""
    everything = peer_variables(**ONE_THREAD, **variables)
    with _running(name, command, port, health, cwd, everything) as process:
        yield Server(name, port, process)


def peer_variables(**variables: str) -> dict[str, str]:
    """The variables with which a peer's code runs."""
    own = {"PYTHONPATH": str(PEERS / "shared"), "BENCH_ARTIFACT": str(artifact())}
    return clean_variables(**_NO_TELEMETRY, **own, **variables)


@contextmanager
def _running(
    name: str, command: Sequence[str], port: int, health: str, cwd: Path, variables: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    RUN.mkdir(parents=True, exist_ok=True)
    log = RUN / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=cwd, env=variables, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    try:
        _await(name, process, f"http://127.0.0.1:{port}{health}", log)
        yield process
    finally:
        _stop(name, process)


def _await(name: str, process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        if process.poll() is not None or time.monotonic() > deadline:
            tail = log.read_bytes()[-_LOG_BYTES:].decode("utf-8", "replace").strip()
            state = f"ended with status {process.returncode}" if process.poll() is not None else "is not ready"
            raise CannotServe(f"{name} {state}: {tail}")
        with suppress(OSError, urllib.error.URLError), urllib.request.urlopen(url, timeout=5) as response:
            if response.status == 200:
                return
        time.sleep(0.1)


def _stop(name: str, process: subprocess.Popen[bytes]) -> None:
    """Stop a server and every process that it has started."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.Error:
        family = []
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        say(f"{name} does not stop by itself and is killed")
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(_STOP_SECONDS)
    for left in psutil.wait_procs(family, timeout=5)[1]:
        with suppress(psutil.Error):
            left.kill()
