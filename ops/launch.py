"""Starts all of Scoreline on one machine: ``python -m ops.launch``, which is what ``make run`` does.

Each line of the Procfile becomes a process of honcho's manager, forked from the launcher, that keeps the line's
command running. They stop what they run when the launcher tells them to, and when it is no longer there.
"""

import argparse
import functools
import http
import http.client
import ipaddress
import json
import multiprocessing
import os
import select
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import honcho.manager
from honcho.environ import parse_procfile
from honcho.printer import Message
from honcho.process import Process
from pydantic import ValidationError
from redis.exceptions import RedisError

from jobs.errors import UnsuitableStore
from jobs.settings import Settings, get_settings
from jobs.store.connection import connect
from jobs.store.server_check import StoreCheck
from ops.embedded import CannotStart, data_folder, lock_file
from ops.printer import JsonPrinter, LinePrinter
from ops.respawn import GRACE_SECONDS, Supervisor

STORE = "store"
DEFAULT_MODEL = "income"
READY_SECONDS = 60.0
# The store is stopped last. Both times together stay under the 15 s in which everything has to have ended.
STORE_GRACE_SECONDS = 3.0
_KILL_SECONDS = 14
_POLL_SECONDS = 0.1
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# A process is meant to use one core; the mathematics libraries would each start a thread for every core.
_CHILD_DEFAULTS = {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class _Service(Process):  # type: ignore[misc] # honcho has no types
    """One line of the Procfile, kept running; honcho's manager runs it in a process of its own."""

    def __init__(self, *args: Any, lifeline: tuple[int, int], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lifeline, self._launchers_end = lifeline

    def run(self, events: Any = None, ignore_signals: bool = False) -> None:
        # In a session of its own a terminal's Ctrl-C does not come here: the launcher says when to stop.
        os.setsid()
        os.close(self._launchers_end)
        self._events = events
        read_end, write_end = os.pipe()
        reader = threading.Thread(target=self._forward, args=(read_end,), daemon=True)
        reader.start()
        Supervisor(
            shlex.split(self.cmd),
            env=self.env,
            output=write_end,
            lifeline=self._lifeline,
            grace=STORE_GRACE_SECONDS if self.name == STORE else GRACE_SECONDS,
            say=self._send_message,
            started=lambda pid: self._send_message({"pid": pid}, type="start"),
        ).run()
        os.close(write_end)
        reader.join(1.0)
        self._send_message({"returncode": 0}, type="stop")
        if select.select([self._lifeline], [], [], 0)[0]:
            # Nobody reads the events any more, and waiting for that would keep this process for ever.
            self._events.cancel_join_thread()

    def _forward(self, output: int) -> None:
        with os.fdopen(output, "rb") as lines:
            for line in lines:
                self._send_message(line)


class _Manager(honcho.manager.Manager):  # type: ignore[misc] # honcho has no types
    """Honcho's manager, with the store stopped after the rest, for what they finish goes into it."""

    def __init__(self, lifeline: tuple[int, int], watch: Callable[[], None], printer: LinePrinter) -> None:
        super().__init__(printer)
        self.returncode: int | None = None
        self._watch = watch
        self._process_ctor = functools.partial(_Service, lifeline=lifeline)
        self._signalled: set[str] = set()
        self._lines: deque[str | Message] = deque()

    def tell(self, line: str) -> None:
        """Have a line printed as it is, from whatever thread or signal handler."""
        self._lines.append(line)

    def flush(self) -> None:
        """Print the lines that wait for it."""
        while self._lines:
            line = self._lines.popleft()
            if isinstance(line, str):
                self._printer.say(line)
            else:
                self._printer.write(line)

    def _system_print(self, data: str) -> None:
        # Honcho prints from its signal handler, which may have come in the middle of another print.
        self._lines.append(Message("line", data, self._clock.now(), honcho.manager.SYSTEM_PRINTER_NAME, None))

    def _start(self) -> None:
        # A signal between a child's fork and its own handlers would run the launcher's in the child.
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
        try:
            super()._start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
        # Only now: a process that has threads should not fork.
        threading.Thread(target=self._watch, daemon=True).start()

    def _all_started(self) -> bool:
        """Honcho's loop begins after all have been forked; it would wait for a command that cannot be started."""
        return True

    def _all_stopped(self) -> bool:
        """Asked at every turn of honcho's loop: the place to see to whatever is due."""
        self.flush()
        for name, entry in self._processes.items():
            if "returncode" not in entry and not entry["process"].is_alive():
                entry["returncode"] = entry["process"].exitcode
                if entry["returncode"] and self.returncode is None:
                    self._system_print(f"the process that keeps {name} running was ended\n")
                    self.returncode = 1
        if self._terminating:
            self._killall()
        return bool(super()._all_stopped())

    def _killall(self, force: bool = False) -> None:
        running = [name for name, entry in self._processes.items() if entry["process"].is_alive()]
        if force:
            due = running
        else:
            due = [name for name in running if (name != STORE or running == [STORE]) and name not in self._signalled]
        for name in due:
            process = self._processes[name]["process"]
            self._system_print(f"{'killing' if force else 'stopping'} {name}\n")
            self._signalled.add(name)
            (process.kill if force else process.terminate)()


def main(arguments: list[str] | None = None) -> int:
    """Run Scoreline until SIGINT or SIGTERM, then return 0; return 1 after one line if it cannot start."""
    parser = argparse.ArgumentParser(prog="python -m ops.launch", description="Starts all of Scoreline.")
    parser.add_argument("--procfile", type=Path, default=Path("Procfile"), help="what to start (default: Procfile)")
    procfile = parser.parse_args(arguments).procfile
    # What it and its processes write is for the owner alone.
    os.umask(0o077)
    for number in _STOP_SIGNALS:
        signal.signal(number, _exit)
    try:
        settings = _settings()
        commands = _commands(procfile, settings)
        with ExitStack() as stack:
            _take_data_folder(settings, stack)
            _check_address(settings)
            _check_store(settings)
            environment = _environment()
            _train_if_missing(settings, environment, stack)
            return _run(commands, environment, settings)
    except CannotStart as error:
        print(f"scoreline: {error}", file=sys.stderr)
        return 1


def _exit(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def _settings() -> Settings:
    try:
        return get_settings()
    except ValidationError as error:
        raise CannotStart("; ".join(_fault(fault["loc"], fault["msg"]) for fault in error.errors())) from None


def _fault(place: tuple[int | str, ...], message: str) -> str:
    if not place:
        return message
    name = ".".join(map(str, place))
    return f"{name if name in ('HOST', 'PORT') else f'SCORELINE_{name.upper()}'}: {message}"


def _commands(procfile: Path, settings: Settings) -> dict[str, str]:
    """Commands of the Procfile by name, without the store if the settings name another."""
    try:
        commands = parse_procfile(procfile.read_text()).processes
    except OSError as error:
        raise CannotStart(f"cannot read {procfile}: {error.strerror}") from error
    return {name: command for name, command in commands.items() if name != STORE or settings.redis_url is None}


def _take_data_folder(settings: Settings, stack: ExitStack) -> None:
    """Hold the data folder for this launcher; the processes forked from it hold it too, until they have ended."""
    folder = data_folder(settings)
    try:
        stack.callback(os.close, lock_file(folder / "lock"))
    except BlockingIOError:
        raise CannotStart(
            f"Scoreline already runs on the data folder {folder}; SCORELINE_DATA_DIR names another"
        ) from None
    except OSError as error:
        raise CannotStart(f"cannot use the data folder {folder}: {error.strerror}") from error


def _check_address(settings: Settings) -> None:
    """Bind the address once, before anything has been started that would then have to be stopped."""
    host, port = settings.host, settings.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            # As gunicorn does: a connection of an earlier run in TIME_WAIT is no hindrance.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise CannotStart(f"cannot listen on {host}:{port}: {error.strerror}; HOST and PORT name another") from error


def _check_store(settings: Settings) -> None:
    """Look at a server of the user's own; one that does not answer yet is looked at again by web and workers."""
    if settings.redis_url is None:
        return
    try:
        with connect(settings) as redis, suppress(RedisError):
            StoreCheck(redis, settings).require()
    except UnsuitableStore as error:
        raise CannotStart(f"{error}; SCORELINE_REDIS_URL names another") from error
    except ValueError as error:
        raise CannotStart(f"SCORELINE_REDIS_URL is no address: {error}") from error


def _environment() -> dict[str, str]:
    """What the commands inherit: this process's environment, with its own Python first on the path."""
    path = os.pathsep.join(filter(None, [str(Path(sys.executable).parent), os.environ.get("PATH")]))
    return {**_CHILD_DEFAULTS, **os.environ, "PATH": path}


def _train_if_missing(settings: Settings, environment: Mapping[str, str], stack: ExitStack) -> None:
    """Before the first start, train the default model; the other one that ships is trained while the service starts."""
    if (settings.models_dir / DEFAULT_MODEL / "current").exists():
        return
    print("Training the model, once", flush=True)
    # In sessions of their own: a terminal's Ctrl-C comes to the launcher alone, which then ends the training.
    command = [sys.executable, "-m", "model.census.train", "--directory", str(settings.models_dir)]
    status = subprocess.run(  # noqa: S603
        [*command, DEFAULT_MODEL], env=environment, start_new_session=True, check=False
    ).returncode
    if status:
        raise CannotStart(f"training the model failed with status {status}")
    # What starts meanwhile goes first. There are no threads yet, so that it is safe to act between fork and exec.
    rest = subprocess.Popen(  # noqa: S603
        command,
        env=environment,
        start_new_session=True,
        preexec_fn=lambda: os.nice(19),  # noqa: PLW1509
    )
    stack.callback(rest.wait)
    stack.callback(rest.terminate)


def _run(commands: Mapping[str, str], environment: Mapping[str, str], settings: Settings) -> int:
    """Run the commands until told to stop; the exit status is 0 if that was asked for."""
    honcho.manager.KILL_WAIT = _KILL_SECONDS
    # Forked, the services share the launcher's lock and the lifeline, of which they close its end.
    multiprocessing.set_start_method("fork", force=True)
    with ExitStack() as stack:
        lifeline = os.pipe()
        stack.callback(os.close, lifeline[0])
        stack.callback(os.close, lifeline[1])
        printer = JsonPrinter() if settings.log_format == "json" else LinePrinter()
        manager = _Manager(lifeline, lambda: _announce(settings, manager.tell), printer)
        for name, command in commands.items():
            manager.add_process(name, command, env=environment)
        try:
            manager.loop()
            manager.flush()
        except BrokenPipeError:
            # Nobody reads the output any more. Closing the lifeline stops the services; the end of Python awaits them.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
    asked_to = {details["rc"] for details in honcho.manager.SIGNALS.values()}
    return 0 if manager.returncode in asked_to else 1


def _announce(settings: Settings, tell: Callable[[str], None]) -> None:
    """Tell once that Scoreline is ready, and before that, once, what is missing if it takes too long."""
    host = _reachable(settings.host)
    address = f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"
    too_late: float | None = time.monotonic() + READY_SECONDS
    while (missing := _missing(host, settings.port)) is not None:
        if too_late is not None and time.monotonic() > too_late:
            tell(f"Scoreline is not ready after {READY_SECONDS:g} s: {missing}")
            too_late = None
        time.sleep(_POLL_SECONDS)
    tell(f"Scoreline is ready at {address}")


def _reachable(host: str) -> str:
    """The host to ask: for "every address of this machine", its loopback address."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "::1"
    return host


def _missing(host: str, port: int) -> str | None:
    """What ``/readyz`` misses, in one line; None if it is ready."""
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        body = response.read(65536).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        return f"the web does not answer ({error})"
    finally:
        connection.close()
    return None if response.status == http.HTTPStatus.OK else _detail(body)


def _detail(body: str) -> str:
    """What the answer names as missing, or the answer itself, in one line."""
    try:
        missing = json.loads(body)["missing"]
    except (ValueError, TypeError, KeyError):
        return " ".join(body.split())
    return f"missing: {', '.join(map(str, missing))}"


if __name__ == "__main__":
    sys.exit(main())
