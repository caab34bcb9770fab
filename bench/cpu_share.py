"""A share of a core that all processes of a host have together, by a control group (version 1 or 2; root on Linux)."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
# Short, so that what a share allows comes evenly.
_PERIOD_MICROSECONDS = 20_000
_WEIGHT, _MAX_WEIGHT = 100, 10_000
# The same in version 1.
_SHARES, _MAX_SHARES = 1024, 262_144
_REMOVE_SECONDS = 10.0


class NoCpuShares(Exception):
    """Raised where shares of a core cannot be given out; the text says why."""


class CpuShare:
    """A control group, whose ``procs`` is the file that a process writes its number to in order to belong to it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.procs = folder / "cgroup.procs"

    def limit(self, percent: int | None) -> None:
        """Give the processes so many hundredths of a core, all together and no more; None lifts the limit.

        They come first, so that they have that much even if the machine has other work.
        """
        quota = None if percent is None else _PERIOD_MICROSECONDS * percent // 100
        if (whole := self._folder / "cpu.max").exists():
            whole.write_text(f"{'max' if quota is None else quota} {_PERIOD_MICROSECONDS}")
            (self._folder / "cpu.weight").write_text(str(_MAX_WEIGHT if quota else _WEIGHT))
        else:
            (self._folder / "cpu.cfs_period_us").write_text(str(_PERIOD_MICROSECONDS))
            (self._folder / "cpu.cfs_quota_us").write_text(str(-1 if quota is None else quota))
            (self._folder / "cpu.shares").write_text(str(_MAX_SHARES if quota else _SHARES))

    def remove(self) -> None:
        """Remove the group once its processes have ended."""
        deadline = time.monotonic() + _REMOVE_SECONDS
        while self._folder.exists() and time.monotonic() < deadline:
            with suppress(OSError):
                self._folder.rmdir()
            time.sleep(0.05)


@contextmanager
def cpu_shares(names: Sequence[str]) -> Iterator[list[CpuShare]]:
    """Make groups without a limit for as long as they are needed.

    Raises:
        NoCpuShares: the system has no control groups of processor time, or lets nobody make any here.
    """
    parent = _parent()
    shares: list[CpuShare] = []
    try:
        for name in names:
            folder = parent / f"scoreline-{os.getpid()}-{name}"
            try:
                folder.mkdir()
                shares.append(CpuShare(folder))
                shares[-1].limit(None)
            except OSError as error:
                raise NoCpuShares(f"a share of a core cannot be given to a host: {error}") from error
        yield shares
    finally:
        for share in shares:
            share.remove()


def _parent() -> Path:
    """Return the folder in which groups with a limit of processor time can be made."""
    controllers = _ROOT / "cgroup.controllers"
    if controllers.exists():
        if "cpu" not in controllers.read_text().split():
            raise NoCpuShares("the control groups here cannot limit processor time")
        try:
            (_ROOT / "cgroup.subtree_control").write_text("+cpu")
        except OSError as error:
            raise NoCpuShares(f"the control groups here are somebody else's: {error}") from error
        return _ROOT
    if not (_ROOT / "cpu" / "cpu.cfs_quota_us").exists():
        raise NoCpuShares("there are no control groups of processor time here")
    return _ROOT / "cpu"
