"""A memory limit for processes that handle records and files, so that what needs too much affects only itself."""

import resource
import sys
from pathlib import Path

# Not of the settings, whose import takes a third of the time in which a small file is read.
_MIB = 1024 * 1024


def limit_memory(mib: int) -> None:
    """Let this process allocate ``mib`` more than it has now; beyond that, allocations fail (Linux only).

    The limit is on data, not address space, of which libraries reserve gigabytes that they never use.
    """
    if sys.platform != "linux":
        return
    limit = _data_bytes() + mib * _MIB
    _, hard_limit = resource.getrlimit(resource.RLIMIT_DATA)
    if hard_limit == resource.RLIM_INFINITY or limit < hard_limit:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard_limit))


def _data_bytes() -> int:
    """Return the size of this process's data as the kernel counts it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return 0
