"""The environments of the peers: each gets a virtual environment of its own from its pinned requirements."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from bench.places import BENCH, PEERS, WORK
from bench.progress import say

INSTALL_SECONDS = 1200.0
_STAMP = ".installed"
_SHOWN_LINES = 6


class CannotInstall(Exception):
    """Raised when an environment cannot be made; says what the installer said last."""


def requirements_of(name: str) -> Path:
    """The pinned requirements of a peer, or of the charts."""
    return BENCH / "requirements.txt" if name == "charts" else PEERS / name / "requirements.txt"


def environment(name: str) -> Path:
    """Folder of the environment `name`, made if it is not there or its requirements have changed.

    Raises:
        CannotInstall: with the last lines of what went wrong.
    """
    folder, requirements = WORK / name, requirements_of(name)
    wanted = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    stamp = folder / _STAMP
    if stamp.is_file() and stamp.read_text() == wanted:
        return folder
    say(f"installing {name} into its own environment")
    shutil.rmtree(folder, ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(folder)])
    _run([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
          "--no-input", "--requirement", str(requirements)])  # fmt: skip
    # Written last, so that an install which was broken off is never taken for a whole one.
    stamp.write_text(wanted)
    return folder


def python_of(name: str) -> str:
    """The Python of an environment; raises as `environment` does."""
    return str(environment(name) / "bin" / "python")


def clean_variables(**extra: str) -> dict[str, str]:
    """This process's variables without what would make another Python load our packages, and with `extra`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SCORELINE_"))}
    return {**kept, "PYTHONUNBUFFERED": "1", **extra}


def pinned_version(name: str, package: str) -> str:
    """The version of a package that an environment's requirements pin."""
    found = re.search(rf"^{re.escape(package)}==([^ ;\n]+)", requirements_of(name).read_text(), re.MULTILINE)
    return found[1] if found else "?"


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command, env=clean_variables(), capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise CannotInstall(f"not done after {INSTALL_SECONDS:g} s") from error
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if "error" in line.lower()]
        raise CannotInstall("; ".join(lines[-_SHOWN_LINES:]) or f"status {done.returncode}")
