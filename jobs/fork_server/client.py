"""Start programs as forks of a fork server, which is started when it is first needed, and anew when it was killed."""

import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from enum import IntEnum

STATUS = struct.Struct("<q")
"""What a server tells about a program, on a pipe: first the number of its process, then its exit code."""


class Program(IntEnum):
    """The programs, as a request names them."""

    READ_FILE = 0
    EXPORT = 1


class ForkedProcess:
    """A running program. It ends with this process, or when ``stdin`` is closed, whose first line is its request."""

    def __init__(self, stdin: int, stdout: int, status: int) -> None:
        self.stdout = open(stdout, "rb")  # noqa: SIM115 - closed by `close`
        self.stdin = open(stdin, "wb", buffering=0)  # noqa: SIM115
        self._status = open(status, "rb", buffering=0)  # noqa: SIM115
        self._process: int | None = None
        self._code: int | None = None

    def wait(self) -> int | None:
        """Wait for the end; return the exit code, below 0 for a signal, or None if the server ended before."""
        self._read_process()
        if self._code is None:
            self._code = self._read_status()
        return self._code

    def kill(self) -> None:
        """Kill the process."""
        # While it has not been forked, its number is not known. It ends when it finds this pipe closed.
        self.stdin.close()
        if self._has_status():
            self._read_process()
        if self._process is not None and self._code is None and not self._has_status():
            with suppress(ProcessLookupError):
                os.kill(self._process, signal.SIGKILL)

    def close(self) -> None:
        """Kill the process unless it has ended, and close all pipes."""
        self.kill()
        self.stdout.close()
        self._status.close()

    def _has_status(self) -> bool:
        poll = select.poll()
        poll.register(self._status, select.POLLIN)
        return bool(poll.poll(0))

    def _read_process(self) -> None:
        if self._process is None:
            self._process = self._read_status()

    def _read_status(self) -> int | None:
        data = self._status.read(STATUS.size)
        return STATUS.unpack(data)[0] if data else None


class ForkServer:
    """A server that this process and its forks share. It ends with the last of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: socket.socket | None = None
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server, which loads a program when it is first asked for."""
        with self._lock:
            self._start()

    def run(self, program: Program, request: bytes, files: Sequence[int] = ()) -> ForkedProcess:
        """Run a program in a process of its own, which gets these open files.

        Raises:
            OSError: the system lacks resources.
        """
        (stdin, to_stdin), (from_stdout, stdout), (status, to_status) = os.pipe(), os.pipe(), os.pipe()
        process = ForkedProcess(to_stdin, from_stdout, status)
        try:
            self._send(program, (stdin, stdout, to_status, *files))
        except BaseException:
            process.close()
            raise
        finally:
            for given in (stdin, stdout, to_status):
                os.close(given)
        left = memoryview(request + b"\n")
        with suppress(BrokenPipeError):  # it, or the server, was killed: its output shows that
            while left:
                left = left[process.stdin.write(left) :]
        return process

    def _send(self, program: Program, files: Sequence[int]) -> None:
        # One byte, so that processes can share the socket: what comes from one is in one piece.
        request = bytes([program])
        with self._lock:
            try:
                socket.send_fds(self._requests or self._start(), [request], files)
            except (BrokenPipeError, ConnectionResetError):
                socket.send_fds(self._start(), [request], files)

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "jobs.fork_server"]
            self._server = subprocess.Popen(command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL)  # noqa: S603 - our own
        if self._requests:
            self._requests.close()
        self._requests = ours
        return ours


fork_server = ForkServer()
"""The server of this process. What a main process starts is shared by the processes that it forks."""
