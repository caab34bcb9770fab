"""The clock and the disk of a run, as its processes see them; built from a few lines of C where there is a compiler."""

import mmap
import shutil
import struct
import subprocess
from contextlib import suppress
from pathlib import Path

SOURCE = Path(__file__).with_name("injected_faults.c")


class NoLevers(Exception):
    """Raised where they cannot be had; says why."""


class InjectedFaults:
    """Changes what the time is and how long the disk takes, in processes that run already."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            raise NoLevers("there is no C compiler (Debian: apt-get install gcc libc6-dev)")
        self._library, self._file = folder / "injected_faults.so", folder / "injected_faults"
        command = [compiler, "-O2", "-shared", "-fPIC", "-o", self._library, SOURCE, "-ldl", "-lpthread"]
        built = subprocess.run(command, capture_output=True, text=True, check=False)
        if built.returncode:
            raise NoLevers(f"{SOURCE.name} could not be compiled: {built.stderr.strip()}")
        self._file.write_bytes(bytes(16))
        with self._file.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 16)

    @classmethod
    def if_there(cls, folder: Path) -> tuple["InjectedFaults | None", str]:
        """The injected, or None and the reason."""
        with suppress(OSError):
            try:
                return cls(folder), ""
            except NoLevers as error:
                return None, str(error)
        return None, "the compiler could not be started"

    @property
    def environment(self) -> dict[str, str]:
        """What a process has to be started with."""
        return {"LD_PRELOAD": str(self._library), "CHAOS_LEVERS": str(self._file)}

    def set_clock_on(self, seconds: int) -> None:
        """From now on it is so much later than it was."""
        [before] = struct.unpack_from("q", self._memory, 0)
        struct.pack_into("q", self._memory, 0, before + seconds)

    def slow_the_disk(self, microseconds: int) -> None:
        """From now on each confirmation of a write takes so much longer than it would."""
        struct.pack_into("q", self._memory, 8, microseconds)
