"""A limit on the memory of a worker's processes, so that a record which eats it harms its own process alone."""

import resource
import sys
from pathlib import Path

from jobs.settings import MIB


def limit_memory(mib: int) -> None:
    """Let this process take so much memory on top of what it has; beyond it, allocations fail (Linux only).

    What counts is data, not address space: libraries reserve gigabytes of that and never touch them.
    """
    if sys.platform != "linux":
        return
    limit = _data_bytes() + mib * MIB
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    if most == resource.RLIM_INFINITY or limit < most:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, most))


def _data_bytes() -> int:
    """What the kernel counts as data of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return 0
