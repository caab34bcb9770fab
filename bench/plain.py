"""The plain script, run as a fresh process with the product's own libraries."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bench.contenders import Record
from bench.places import PEERS
from bench.servers import artifact, peer_variables
from bench.spreads import Numbers
from model.catalog import Catalog
from model.scorer import Scorer

_MAX_SECONDS = 900.0


def run_plain(source: Path, target: Path, *options: str) -> Numbers:
    """Score a file, of Excel with the engine among the options: the seconds of the whole process, and of its parts."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "script.py", str(source), str(target), *options], cwd=PEERS / "plain", env=peer_variables(),
        capture_output=True, text=True, timeout=_MAX_SECONDS, check=False,
    )  # fmt: skip
    seconds = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"the plain script ended with status {done.returncode}: {done.stderr[-500:].strip()}")
    parts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {"seconds": seconds, "work": parts["read"] + parts["predict"] + parts["write"], **parts}


def probabilities_of(records: Sequence[Record]) -> list[float]:
    """What the pipeline itself says of some records."""
    found: list[float] = scorer().pipeline.predict_proba(pd.DataFrame(records))[:, 1].tolist()
    return found


def scorer() -> Scorer:
    """The model, loaded in this process."""
    return Scorer.load(Catalog(artifact().parents[2], "income"))
