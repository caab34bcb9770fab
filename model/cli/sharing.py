"""Share models with other hosts, where ``SCORELINE_REDIS_URL`` names a store; a process of ``jobs.models`` does it."""

import subprocess
import sys
from pathlib import Path

from model.directory import shares_models
from model.errors import RefusedModel

_REFUSED = 3


def share(directory: Path, *command: str) -> str | None:
    """Run a command of ``python -m jobs.models``; return why the store does not take part, or None.

    Raises:
        RefusedModel: the command was refused.
    """
    if not shares_models():
        return None
    whole = [sys.executable, "-m", "jobs.models", "--directory", str(directory), *command]
    ended = subprocess.run(whole, capture_output=True, text=True, check=False)  # noqa: S603 - our own module
    if not ended.returncode:
        return None
    reason = (ended.stderr.strip().splitlines() or [f"it ended with status {ended.returncode}"])[-1]
    if ended.returncode == _REFUSED:
        raise RefusedModel(reason)
    return reason
