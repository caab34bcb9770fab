"""The numbers of all sections in one file; sections that do not run keep what an earlier run has found."""

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from bench.environments import pinned_version
from bench.options import Options
from bench.places import RESULTS_JSON, ROOT

Section = dict[str, Any]
_PEERS = {
    "LitServe": "litserve", "MLServer": "mlserver", "BentoML": "bentoml", "MLflow": "mlflow", "Flask": "flask",
}  # fmt: skip


def load() -> dict[str, Section]:
    """What is known so far, by section."""
    if not RESULTS_JSON.exists():
        return {}
    sections: dict[str, Section] = json.loads(RESULTS_JSON.read_text())["sections"]
    return sections


def save(sections: dict[str, Section]) -> None:
    """Write all sections."""
    partial = RESULTS_JSON.with_suffix(".partial")
    partial.write_text(json.dumps({"sections": sections}, indent=1) + "\n")
    partial.rename(RESULTS_JSON)


def section(options: Options, data: Any, error: str | None, seconds: float, load_average: float) -> Section:
    """A section's record: when, where and with what it was measured; `load_average` is the machine's before it."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "seconds": round(seconds, 1),
        "load_average": round(load_average, 1),
        "machine": machine(),
        "versions": versions(),
        "options": {"rows": list(options.rows), "repeats": options.repeats, "rounds": options.rounds},
        "error": error,
        "data": data,
    }


def machine() -> dict[str, Any]:
    """The machine in general words."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "kernel": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """Versions of the contenders and of what they share."""
    shared = {name: pinned_version("flask", name) for name in ("scikit-learn", "numpy", "scipy", "pandas", "skops")}
    return {"Scoreline": _revision(), **{title: pinned_version(name, name) for title, name in _PEERS.items()}, **shared}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _revision() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout.strip() or "?"
