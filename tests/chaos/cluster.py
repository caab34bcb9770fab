"""The cluster that is put to the test: all of Scoreline, with its store and its clients behind proxies."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from redis import Redis
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from database.database import Database
from tests.chaos.injected_faults import InjectedFaults
from tests.postgresql import PostgreSQL, programs
from tests.stack import ROOT, Stack, free_port, running_stack, wait_until, workers_of

BULK, INTERACTIVE, RECONCILER = ("-m worker bulk",), ("-m worker interactive",), ("-m worker.reconcile",)
RECORDER = ("-m worker.recording.recorder",)
WEB = ("gunicorn", "web.wsgi")


class Cluster:
    """A running service and the ways in which it can be harmed. Use it as a context manager."""

    def __init__(
        self, folder: Path, models: Path, injected: InjectedFaults | None, settings: Mapping[str, str]
    ) -> None:
        self.folder, self._models, self.injected = folder, models, injected
        self._with_faults = injected.environment if injected else {}
        self._settings = dict(settings)
        self._data = folder / "store"
        self.port, self.store_port, web_port = free_port(), free_port(), free_port()
        self._web_port = web_port
        self._helpers: list[subprocess.Popen[bytes]] = []
        self._running = ExitStack()
        self.stack: Stack

    def __enter__(self) -> "Cluster":
        self._data.mkdir(parents=True)
        self._start_database()
        self._http_proxy = self._helper("tests.chaos.proxy", str(self.port), str(self._web_port))
        self._store_proxy = self._helper("tests.chaos.proxy", str(self.store_port), str(self._socket))
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()
        for helper in self._helpers:
            helper.terminate()
        for helper in self._helpers:
            helper.wait(timeout=30)
        if self._postgresql is not None:
            self._postgresql.remove()

    @property
    def url(self) -> str:
        """Where clients find the service: at the proxy."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def _socket(self) -> Path:
        return self._data / "valkey.sock"

    def redis(self) -> Redis:
        """A client of the store that nothing stands in front of."""
        retry = Retry(ConstantBackoff(0.2), 100, (RedisConnectionError, OSError))
        return Redis(unix_socket_path=str(self._socket), socket_timeout=40, retry=retry)

    def database(self) -> Database:
        """The database that the history is in."""
        return Database(self._database_url)

    # Processes

    def _start_database(self) -> None:
        """PostgreSQL, or a SQLite file where its programs are not installed."""
        self._postgresql = PostgreSQL.in_new_folder() if programs() else None
        self._database_url = f"sqlite:///{self.folder / 'scoreline.db'}"
        if self._postgresql is not None:
            self._postgresql.start()
            self._database_url = self._postgresql.new_database()

    def _helper(self, module: str, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        with (self.folder / "helpers.log").open("ab") as log:
            command = [sys.executable, "-m", module, *arguments]
            helper = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment}, stdout=log, stderr=log)
        self._helpers.append(helper)
        return helper

    def _start(self) -> None:
        environment = {"SCORELINE_DATA_DIR": str(self._data), **self._with_faults, **self._settings}
        self._keeper = self._helper("tests.supervise", sys.executable, "-m", "ops.embedded", **environment)
        self._running.callback(self._stop_store)
        wait_until(self._listens)
        settings = {**self._settings, **self._with_faults, "SCORELINE_DATABASE_URL": self._database_url}
        url = f"redis://127.0.0.1:{self.store_port}/0"
        self.stack = self._running.enter_context(
            running_stack(
                self.folder / "web", self._models, PORT=str(self._web_port), SCORELINE_REDIS_URL=url, **settings
            )
        )

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe, suppress(OSError):
            probe.connect(str(self._socket))
            return True
        return False

    def _stop_store(self) -> None:
        self._keeper.terminate()
        self._keeper.wait(timeout=30)
        self._helpers.remove(self._keeper)

    def parents(self, words: Iterable[str]) -> list[psutil.Process]:
        """The processes of a kind that are not the child of another one of the kind."""
        found = self.stack.processes(*words)
        return [process for process in found if process.ppid() not in {other.pid for other in found}]

    def children(self, words: Iterable[str]) -> list[psutil.Process]:
        """The processes of a kind that a parent of that kind has forked."""
        return [child for parent in self.parents(words) for child in workers_of(parent)]

    def server(self) -> list[psutil.Process]:
        """The process of the store, if it runs just now."""
        below = psutil.Process(self._keeper.pid).children(recursive=True)
        return [process for process in below if process.name() == "valkey-server"]

    # Harm

    def restart(self, kill: bool) -> None:
        """End everything, with or without a warning, and start it again."""
        if kill:
            _kill(
                [
                    *psutil.Process(self.stack.launcher.pid).children(recursive=True),
                    psutil.Process(self.stack.launcher.pid),
                    *psutil.Process(self._keeper.pid).children(recursive=True),
                    psutil.Process(self._keeper.pid),
                ]
            )
        self._running.close()
        self._running = ExitStack()
        self._start()

    def reset_connections(self, of_the_store: bool) -> None:
        """Break off the clients' connections, or those to the store."""
        (self._store_proxy if of_the_store else self._http_proxy).send_signal(signal.SIGUSR1)

    @contextmanager
    def full_disk(self, spare: int) -> Any:
        """The store's disk takes only so many bytes more of the append-only file, and nothing of a new one."""
        keeper, files = psutil.Process(self._keeper.pid), self._data.glob("valkey/appendonlydir/*.incr.aof")
        size = max((file.stat().st_size for file in files), default=0) + spare
        _limit([keeper, *self.server()], size)
        try:
            yield
        finally:
            _limit([keeper, *self.server()], psutil.RLIM_INFINITY)

    @contextmanager
    def database_away(self) -> Any:
        """The database server is killed and not started again for a while, or its file is locked by somebody else."""
        if self._postgresql is not None:
            self._postgresql.kill()
            try:
                yield
            finally:
                self._postgresql.start()
        else:
            with closing(sqlite3.connect(self.folder / "scoreline.db", isolation_level=None, timeout=60)) as other:
                other.execute("BEGIN EXCLUSIVE")
                yield

    @contextmanager
    def full_memory(self) -> Any:
        """The store has as much memory as it uses."""
        redis: Any = self.redis()
        before = redis.config_get("maxmemory")["maxmemory"]
        redis.config_set("maxmemory", redis.info("memory")["used_memory"])
        try:
            yield
        finally:
            redis.config_set("maxmemory", before)
            redis.close()


def _kill(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _limit(processes: Iterable[psutil.Process], size: int) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.rlimit(psutil.RLIMIT_FSIZE, (size, psutil.RLIM_INFINITY))
