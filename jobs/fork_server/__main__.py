"""The fork server: ``python -m jobs.fork_server``, with a socket as its standard input.

Each request has the number of a program and open files: the program's standard input and output, a pipe for its
status, and those that the program needs. The server has a single thread, without which a fork would not be safe: it
never runs a program itself, nor Arrow, whose threads start with its first use.
"""

import gc
import os
import selectors
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from types import ModuleType
from typing import NoReturn

from jobs.fork_server.client import STATUS, Program

_MODULES = {Program.READ_FILE: "jobs.formats.reading", Program.EXPORT: "jobs.export"}
_OWN_FILES, _MAX_FILES = 3, 8
_FAILED = 1


class _Server:
    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._selector = selectors.DefaultSelector()
        self._selector.register(requests, selectors.EVENT_READ)
        # By a pipe that ends with it: the process and the pipe for its status.
        self._running: dict[int, tuple[int, int]] = {}

    def run(self) -> None:
        """Fork programs until nobody is left who could ask for one."""
        while True:
            for key, _ in self._selector.select():
                if key.fd != self._requests.fileno():
                    self._report(key.fd)
                elif not self._take_request():
                    return

    def _take_request(self) -> bool:
        """Fork the program that is asked for; return False if there are no more requests."""
        request, files, _, _ = socket.recv_fds(self._requests, 1, _MAX_FILES)
        if not request:
            return False
        try:
            self._fork(Program(request[0]), files)
        except Exception:  # noqa: BLE001 - nobody gets a status, and the server goes on for others
            traceback.print_exc()
        finally:
            for file in files:
                os.close(file)
        return True

    def _fork(self, program: Program, files: Sequence[int]) -> None:
        if len(files) < _OWN_FILES:
            raise ValueError(f"a request has {len(files)} files, not {_OWN_FILES} or more")
        module = import_module(_MODULES[program])
        gc.freeze()  # what is loaded stays shared with the forks
        ended, open_until_end = os.pipe()
        try:
            process = os.fork()
            if not process:
                self._become(module, files)
        except OSError:
            os.close(ended)
            raise
        finally:
            os.close(open_until_end)
        status = os.dup(files[2])
        self._running[ended] = process, status
        self._selector.register(ended, selectors.EVENT_READ)
        _tell(status, process)

    def _report(self, ended: int) -> None:
        """Tell how a process has ended."""
        process, status = self._running.pop(ended)
        self._selector.unregister(ended)
        os.close(ended)
        _, wait_status = os.waitpid(process, 0)
        _tell(status, os.waitstatus_to_exitcode(wait_status))
        os.close(status)

    def _become(self, module: ModuleType, files: Sequence[int]) -> NoReturn:
        code = _FAILED
        try:
            self._selector.close()
            for ended, (_, status) in self._running.items():
                os.close(ended)
                os.close(status)
            stdin, stdout, status, *others = files
            os.dup2(stdin, sys.stdin.fileno())  # in the place of the server's socket
            os.dup2(stdout, sys.stdout.fileno())
            for given in (stdin, stdout, status):
                os.close(given)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            request = sys.stdin.buffer.readline()
            threading.Thread(target=_end_with_parent, daemon=True).start()
            if request:
                code = module.main(request, others)
                sys.stdout.buffer.flush()
        except BrokenPipeError:  # nobody reads what it writes
            pass
        except BaseException:  # noqa: BLE001 - nothing of the server may run in the fork
            traceback.print_exc()
        finally:
            os._exit(code)


def _tell(status: int, number: int) -> None:
    with suppress(BrokenPipeError):  # nobody waits for it
        os.write(status, STATUS.pack(number))


def _end_with_parent() -> None:
    """End this process when the one that asked for it closes its pipe, or is gone."""
    os.read(sys.stdin.fileno(), 1)  # not through the buffer, whose lock would be held when the process ends
    os._exit(_FAILED)


def main() -> None:
    """Serve the socket that is the standard input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Libraries would start threads when they are loaded.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("JE_ARROW_MALLOC_CONF", "background_thread:false")
    # What is reserved, but not used, would count as memory that a program has (`limit_memory`).
    os.environ.setdefault("MIMALLOC_ARENA_EAGER_COMMIT", "0")
    _Server(socket.socket(fileno=sys.stdin.fileno())).run()


if __name__ == "__main__":
    main()
