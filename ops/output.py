"""Print what processes write: for people with a prefix, for programs as one JSON object a line."""

import os
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import orjson

LAUNCHER = "launcher"
_COLOURS = (36, 33, 32, 35, 31, 34)


class Output:
    """Standard output, written line by line in a thread of its own, so that a halted terminal halts nothing else.

    When nobody reads it any more, this process gets SIGTERM, and ``broken`` is true.
    """

    def __init__(self, names: Sequence[str], as_json: bool = False) -> None:
        self.broken = False
        self._names, self._as_json = [*names, LAUNCHER], as_json
        self._width, self._coloured = max(map(len, self._names)), sys.stdout.isatty()
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._printer = threading.Thread(target=self._print, daemon=True)
        self._printer.start()

    def close(self) -> None:
        """Print what is left, unless that takes too long."""
        self._lines.put(None)
        self._printer.join(1.0)

    def write(self, line: str, name: str = LAUNCHER, prefix: bool = True) -> None:
        """Print a line of the process ``name``, for people with its name before it if ``prefix`` is true."""
        if not self._as_json:
            self._lines.put(self._prefix(name) + line if prefix else line)
        elif line.startswith("{") and line.endswith("}"):
            self._lines.put(line)
        elif line.strip():
            now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
            document = {"time": now, "level": "info", "event": line.strip(), "logger": "output", "role": name}
            self._lines.put(orjson.dumps({**document, "host": socket.gethostname()}).decode())

    def copy(self, descriptor: int, name: str) -> None:
        """Print what a process writes into a pipe until its end."""
        with os.fdopen(descriptor, "rb") as lines:
            for line in lines:
                self.write(line.decode("utf-8", "replace").rstrip("\r\n"), name)

    def _prefix(self, name: str) -> str:
        prefix = f"{time.strftime('%H:%M:%S')} {name.ljust(self._width)} | "
        colour = _COLOURS[self._names.index(name) % len(_COLOURS)]
        return f"\033[{colour}m{prefix}\033[0m" if self._coloured and name != LAUNCHER else prefix

    def _print(self) -> None:
        for line in iter(self._lines.get, None):
            try:
                # Not ``print``: at the end of Python, a buffer that is still being written would abort it.
                rest = line.encode() + b"\n"
                while rest:
                    rest = rest[os.write(sys.stdout.fileno(), rest) :]
            except BrokenPipeError:
                self.broken = True
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                os.kill(os.getpid(), signal.SIGTERM)
            except OSError:
                continue  # A full disk costs lines of the log, not the service.
