"""Run ``python -m model`` and ``python -m worker.check`` without starting them anew, which takes seconds for libraries.

A server loads these once and forks for each command. What runs instead of the command is this file as a script: it
passes its arguments, its environment and its output on to the server, and ends as the fork does.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NoReturn

CHECK, MODEL = "worker.check", "model"
_MAX_REQUEST_BYTES = 1 << 20


def warm_command(path: Path | str, module: str) -> tuple[str, ...]:
    """The command to run in place of ``python -m module``, by the server at a socket."""
    # Without site packages, so that it starts at once.
    return (sys.executable, "-I", "-S", __file__, str(path), module)


@contextmanager
def warm_commands(path: Path) -> Iterator[None]:
    """Serve at a socket."""
    root, one_thread = Path(__file__).parent.parent, {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.warm_commands", "--serve", str(path)]
    server = subprocess.Popen(command, cwd=root, env={**os.environ, **one_thread}, stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        assert server.stdout.readline(), "it serves"
        yield
    finally:
        server.kill()
        server.communicate()


def serve(path: str) -> None:
    """Run a command for each connection, several at once: adding a model runs its check."""
    # The script has to start without these.
    import model.onboarding.add  # noqa: F401, PLC0415
    from model.cli import cli  # noqa: PLC0415
    from model.onboarding import proof  # noqa: PLC0415
    from worker import check  # noqa: PLC0415

    proof._COMMAND = warm_command(path, CHECK)
    mains = {CHECK: check.main, MODEL: partial(cli, prog_name=f"python -m {MODEL}")}
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        print("ready", flush=True)
        while True:
            client, _ = listener.accept()
            with client:
                if not os.fork():
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    answer(client, mains)


def answer(client: socket.socket, mains: Mapping[str, Callable[[list[str]], int]]) -> NoReturn:
    """Run the command in a fork, and say how that ended."""
    request, streams, _, _ = socket.recv_fds(client, _MAX_REQUEST_BYTES, 2)
    child = os.fork()
    if not child:
        client.close()
        (module, *arguments), environment = json.loads(request)
        for stream, own in zip(streams, (1, 2), strict=True):
            os.dup2(stream, own)
        os.environ.clear()
        os.environ.update(environment)
        sys.exit(mains[module](arguments))
    _, status = os.waitpid(child, 0)
    client.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def ask(path: str, words: list[str]) -> int:
    """Have the server run a command; end by the same signal if its process was ended by one."""
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        socket.send_fds(server, [json.dumps([words, dict(os.environ)]).encode()], [1, 2])
        status = int(server.recv(16))
    if status < 0:
        os.kill(os.getpid(), -status)
    return status


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        serve(sys.argv[2])
    sys.exit(ask(sys.argv[1], sys.argv[2:]))
