"""Files are read by forks of one server, which may be killed, and which ends with those who use it."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

import psutil
import pytest

from jobs.fork_server.client import ForkedProcess, ForkServer, Program
from jobs.formats.detection import Format
from jobs.formats.frames import FRAME, HEADER_FRAME, ReadOptions
from tests.stack import wait_until

READ = ReadOptions(Format.JSONL, None, [], 1_000_000, 512).encode().encode()


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    """A server that has loaded what the tests need."""
    server = ForkServer()
    with file_of(b"{}") as file, running(server, file) as process:
        process.stdout.read()
        yield server


@contextmanager
def file_of(data: bytes) -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        yield file


@contextmanager
def running(server: ForkServer, file: IO[bytes]) -> Iterator[ForkedProcess]:
    process = server.run(Program.READ_FILE, READ, [file.fileno()])
    try:
        yield process
    finally:
        process.close()


def servers() -> list[psutil.Process]:
    """The fork servers of this process, the last one started last."""
    found = []
    for process in psutil.Process().children():
        with suppress(psutil.Error):
            if "jobs.fork_server" in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return sorted(found, key=lambda process: process.create_time())


def large() -> bytes:
    """More lines than fit into a pipe, so that their reader does not end by itself."""
    return b'{"a": "' + b"x" * 1000 + b'"}\n'


def test_files_are_read_at_the_same_time_by_forks_of_one_server(server: ForkServer) -> None:
    before = servers()
    with (
        file_of(b'{"a": 1}') as one,
        file_of(b'{"b": 2}') as two,
        running(server, one) as first,
        running(server, two) as second,
    ):
        for process, name in ((second, b'"b"'), (first, b'"a"')):
            output = process.stdout.read()
            assert FRAME.unpack_from(output)[0] == HEADER_FRAME
            assert name in output
            assert process.wait() == 0
    assert servers() == before


def test_a_process_that_is_killed_is_told_from_one_that_has_ended(server: ForkServer) -> None:
    with file_of(large() * 2000) as file, running(server, file) as process:
        assert process.stdout.read(1)
        (reader,) = servers()[-1].children()
        reader.kill()
        process.stdout.read()
        assert process.wait() == -signal.SIGKILL


def test_a_process_ends_when_nobody_wants_its_output_any_more(server: ForkServer) -> None:
    with file_of(large() * 2000) as file, running(server, file) as process:
        assert process.stdout.read(1)
        (reader,) = servers()[-1].children()
    wait_until(lambda: not reader.is_running())


def test_a_server_keeps_nothing_of_those_who_are_gone(server: ForkServer) -> None:
    process = servers()[-1]
    wait_until(lambda: not process.children())
    files, reaped = process.num_fds(), process.children
    with file_of(b'{"a": 1}') as file:
        for _ in range(5):
            status, to_status = os.pipe()
            os.close(status)
            server._send(Program.READ_FILE, (file.fileno(), to_status, to_status, file.fileno()))
            os.close(to_status)
        with running(server, file) as other:
            assert b'"a"' in other.stdout.read()
            assert other.wait() == 0
    wait_until(lambda: not reaped() and process.num_fds() == files)
    assert servers()[-1] == process


@pytest.mark.parametrize(("request_byte", "files"), [(b"\x63", 4), (bytes([Program.READ_FILE]), 1)])
def test_a_request_that_is_wrong_ends_nobody_else(server: ForkServer, request_byte: bytes, files: int) -> None:
    before = servers()
    assert server._requests
    with file_of(b'{"a": 1}') as file:
        socket.send_fds(server._requests, [request_byte], [file.fileno()] * files)
        with running(server, file) as process:
            assert b'"a"' in process.stdout.read()
            assert process.wait() == 0
    assert servers() == before


def test_a_server_that_is_killed_is_replaced_and_what_it_has_forked_goes_on(server: ForkServer) -> None:
    old = servers()[-1]
    with file_of(large() * 2000) as file, running(server, file) as process:
        assert process.stdout.read(1)
        old.kill()
        # Only then, its socket is closed.
        wait_until(lambda: old.status() == psutil.STATUS_ZOMBIE)
        with file_of(b'{"a": 1}') as small, running(server, small) as other:
            assert b'"a"' in other.stdout.read()
            assert other.wait() == 0
        assert len(process.stdout.read()) > len(large() * 2000) / 2
        assert process.wait() is None  # how it has ended, nobody knows


def test_a_server_ends_with_the_last_process_that_shares_it() -> None:
    # The parent is killed first; its fork could still ask for programs.
    code = (
        "import os, sys; from jobs.fork_server.client import fork_server; fork_server.start(); "
        "child = os.fork(); sys.stdout.write(f'{os.getpid()} ' if child else ''); sys.stdout.flush(); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        parent.stdout.read(1)
        found = psutil.Process(parent.pid).children()
        (fork_server,) = (one for one in found if "jobs.fork_server" in one.cmdline())
        (fork,) = (one for one in found if one != fork_server)
        parent.kill()
        parent.wait()
        assert fork_server.is_running()
        os.kill(fork.pid, signal.SIGKILL)
        wait_until(lambda: not fork_server.is_running() or fork_server.status() == psutil.STATUS_ZOMBIE)


def test_a_server_that_is_started_anew_leaves_the_old_one_to_those_who_share_it() -> None:
    # As at a reload: the parent starts another server, for the forks to come; the old fork ends a little later.
    code = (
        "import os, signal, sys; from jobs.fork_server.client import fork_server; fork_server.start()\n"
        "child = os.fork() or signal.pause()\n"
        "fork_server.start(); sys.stdout.write('.'); sys.stdout.flush(); sys.stdin.readline(); "
        "os.kill(child, 9); os.wait()\n"
        "sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdin
        assert parent.stdout
        parent.stdout.read(1)
        found = psutil.Process(parent.pid).children()
        old, new = sorted((one for one in found if "jobs.fork_server" in one.cmdline()), key=lambda one: one.pid)
        assert old.is_running()
        parent.stdin.write(b"\n")
        parent.stdin.flush()
        wait_until(lambda: not old.is_running() or old.status() == psutil.STATUS_ZOMBIE)
        assert new.status() != psutil.STATUS_ZOMBIE
