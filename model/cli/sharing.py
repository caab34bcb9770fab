"""Share models with other hosts, where ``SCORELINE_REDIS_URL`` names a store; a process of ``jobs.models`` does it."""

import subprocess
import sys
from pathlib import Path

from model.directory import shares_models
from model.errors import RefusedModel

_REFUSED = 1


def share(directory: Path, *command: str) -> list[str]:
    """Run a command of ``python -m jobs.models``; return notes for the user: that the store does not answer.

    Raises:
        RefusedModel: the command was refused.
    """
    if not shares_models():
        return []
    whole = [sys.executable, "-m", "jobs.models", "--directory", str(directory), *command]
    ended = subprocess.run(whole, capture_output=True, text=True, check=False)  # noqa: S603 - our own module
    if not ended.returncode:
        return []
    reason = (ended.stderr.strip().splitlines() or [f"it ended with status {ended.returncode}"])[-1]
    if ended.returncode == _REFUSED:
        raise RefusedModel(reason)
    return [f"  note: other hosts do not know of this: {reason}; run `python -m model share` later"]
