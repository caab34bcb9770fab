"""The load generator for single records: `wrk`, a program of its own."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.contenders import Contender, Record
from bench.places import BENCH, RUN
from bench.spreads import Numbers

_GRACE_SECONDS = 30.0
_ANSWER_SECONDS = 20


class NoLoadGenerator(Exception):
    """Raised when `wrk` is not there."""


def find_wrk() -> str:
    """The path of `wrk`; raises NoLoadGenerator."""
    path = shutil.which("wrk")
    if path is None:
        raise NoLoadGenerator("there is no 'wrk', which makes the load: apt install wrk")
    return path


def body_file(contender: Contender, records: Sequence[Record]) -> Path:
    """A file with the contender's bodies of the records, one a line."""
    RUN.mkdir(parents=True, exist_ok=True)
    path = RUN / f"{contender.name}.bodies"
    path.write_text("".join(json.dumps(contender.body(record)) + "\n" for record in records))
    return path


def load(port: int, path: str, bodies: Path, connections: int, seconds: int) -> Numbers:
    """Load a server for a while: latencies in milliseconds, good answers per second, counts of what failed."""
    command = [find_wrk(), "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s",
               "--timeout", f"{_ANSWER_SECONDS}s", "--script", str(BENCH / "wrk.lua"),
               f"http://127.0.0.1:{port}{path}", "--", str(bodies)]  # fmt: skip
    limit = seconds + _ANSWER_SECONDS + _GRACE_SECONDS
    done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    measured: dict[str, Any] = json.loads(line.removeprefix("RESULT "))
    return measured
