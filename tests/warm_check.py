"""Check added models without starting ``python -m worker.check`` anew, which takes seconds to load its libraries.

A server loads them once and forks for each check. What runs instead of the command is this file as a script: it passes
its arguments, its environment and its output on to the server, and ends as the fork does.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MAX_REQUEST_BYTES = 1 << 20


@contextmanager
def warm_checks(path: Path) -> Iterator[tuple[str, ...]]:
    """Serve at a socket; the command to run in place of ``python -m worker.check``."""
    root, one_thread = Path(__file__).parent.parent, {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.warm_check", "--serve", str(path)]
    server = subprocess.Popen(command, cwd=root, env={**os.environ, **one_thread}, stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        assert server.stdout.readline(), "it serves"
        # Without site packages, so that it starts at once.
        yield (sys.executable, "-I", "-S", __file__, str(path))
    finally:
        server.kill()
        server.communicate()


def serve(path: str) -> None:
    """Run a check for each connection, one after the other."""
    from worker.check import main  # noqa: PLC0415 - the script has to start without it

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        print("ready", flush=True)
        while True:
            client, _ = listener.accept()
            with client:
                request, streams, _, _ = socket.recv_fds(client, _MAX_REQUEST_BYTES, 2)
                child = os.fork()
                if not child:
                    arguments, environment = json.loads(request)
                    for stream, own in zip(streams, (1, 2), strict=True):
                        os.dup2(stream, own)
                    os.environ.clear()
                    os.environ.update(environment)
                    sys.exit(main(arguments))
                for stream in streams:
                    os.close(stream)
                _, status = os.waitpid(child, 0)
                client.sendall(str(os.waitstatus_to_exitcode(status)).encode())


def ask(path: str, arguments: list[str]) -> int:
    """Have the server run a check; end by the same signal if its process was ended by one."""
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        socket.send_fds(server, [json.dumps([arguments, dict(os.environ)]).encode()], [1, 2])
        status = int(server.recv(16))
    if status < 0:
        os.kill(os.getpid(), -status)
    return status


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        serve(sys.argv[2])
    sys.exit(ask(sys.argv[1], sys.argv[2:]))
