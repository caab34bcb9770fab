"""A PostgreSQL server of the tests' own, from the programs that Debian's package ``postgresql`` installs."""

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

_NUMBERS = itertools.count()
# As elsewhere, the server knows upper and lower case of all letters; texts are sorted by their bytes.
_LOCALE = ("--no-locale", "--lc-ctype=C.UTF-8")
_SETTINGS = {"fsync": "off", "listen_addresses": "''", "max_connections": "60", "shared_buffers": "32MB"}


def programs() -> Path | None:
    """Return the folder of the newest version's programs; None where there is none."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    on_path = shutil.which("initdb")
    return folders[-1] if folders else Path(on_path).parent if on_path else None


class PostgreSQL:
    """A server on a Unix socket in a folder of its own. It refuses to run as root, and then runs as ``nobody``."""

    def __init__(self, folder: Path) -> None:
        self._programs = programs() or Path()
        self._folder = folder
        self._user = "nobody" if os.getuid() == 0 else None
        self._name = self._user or pwd.getpwuid(os.getuid()).pw_name
        if self._user:
            shutil.chown(folder, self._user)
        self._run("initdb", "--auth=trust", "--no-sync", "--encoding=UTF8", *_LOCALE, "-D", f"{folder}/data")
        with (folder / "data/postgresql.conf").open("a") as file:
            file.writelines(f"{name} = {value}\n" for name, value in _SETTINGS.items())
            file.write(f"unix_socket_directories = '{folder}'\n")

    @classmethod
    def in_new_folder(cls) -> "PostgreSQL":
        # Short, for the socket's path, and readable for the user that the server runs as.
        return cls(Path(tempfile.mkdtemp(prefix="pg-")))

    def start(self) -> None:
        self._run("pg_ctl", "start", "--wait", "-D", f"{self._folder}/data", "-l", f"{self._folder}/log")

    def stop(self) -> None:
        self._run("pg_ctl", "stop", "--wait", "--mode=fast", "-D", f"{self._folder}/data")

    def kill(self) -> None:
        """End all its processes without warning, as a crash of its host would."""
        server = psutil.Process(self._pid())
        processes = [server, *server.children(recursive=True)]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes, timeout=30)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let its processes stand still, as on a host whose disk hangs: connections stay open, and nothing answers."""
        server = psutil.Process(self._pid())
        processes = [server, *server.children(recursive=True)]
        for process in processes:
            process.suspend()
        try:
            yield
        finally:
            for process in processes:
                process.resume()

    def remove(self) -> None:
        if (self._folder / "data/postmaster.pid").exists():
            self._run("pg_ctl", "stop", "--mode=immediate", "-D", f"{self._folder}/data", check=False)
        shutil.rmtree(self._folder)

    def new_database(self) -> str:
        """Create a database and return its URL."""
        name = f"test_{os.getpid()}_{next(_NUMBERS)}"
        self.run_sql("postgres", f"CREATE DATABASE {name}")
        return f"postgresql://{self._name}@/{name}?host={self._folder}"

    def run_sql(self, database: str, statement: str) -> None:
        self._run("psql", "-q", "-h", str(self._folder), "-d", database, "-c", statement)

    def _pid(self) -> int:
        return int((self._folder / "data/postmaster.pid").read_text().splitlines()[0])

    def _run(self, program: str, *arguments: str, check: bool = True) -> None:
        command = [str(self._programs / program), *arguments]
        subprocess.run(command, cwd="/", user=self._user, stdout=subprocess.DEVNULL, check=check, timeout=120)
