"""Single records and small files while the largest job runs."""

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from http.client import HTTPConnection
from pathlib import Path

from bench import data, transfer
from bench.bulk import job_run, warm
from bench.options import Options
from bench.places import ROOT, RUN
from bench.progress import say
from bench.servers import Scoreline
from bench.spreads import Numbers, percentile, spread

SMALL_ROWS = 1000
_IDLE_SECONDS = 3.0
# Singles between two small files.
_SPELL_SECONDS = 1.0
_MAX_SECONDS = 900.0


def run(options: Options) -> Numbers:
    """One client sends single records, and now and then a small file, until the big job is done."""
    rows = options.largest
    big, small = data.census_file(rows), data.census_file(SMALL_ROWS)
    bodies = [json.dumps({"record": record}) for record in data.records()]
    with warm() as service:
        client = _Client(service, bodies, small)
        client.singles_for(_IDLE_SECONDS)
        client.forget()
        client.spells_until(_after(_IDLE_SECONDS))
        idle = client.measured()
        say(f"mixed load: alone: p50 {idle['p50']:.2f} ms, p99 {idle['p99']:.2f} ms")
        client.forget()
        job = start_job(service, "job", big)
        try:
            client.spells_until(lambda: job.poll() is not None)
            seconds = ended_job(job)["seconds"]
        finally:
            job.kill()
        busy = client.measured()
    say(f"mixed load: during {rows:,} rows ({seconds:.1f} s): p50 {busy['p50']:.2f} ms, p99 {busy['p99']:.2f} ms")
    return {"rows": rows, "small_rows": SMALL_ROWS, "seconds": seconds, "idle": idle, "busy": busy}


def start_job(service: Scoreline, way: str, source: Path, name: str = "big") -> "subprocess.Popen[str]":
    """Score a file from a process of its own."""
    target = RUN / f"{name}.out"
    target.unlink(missing_ok=True)
    command = [sys.executable, "-m", "bench.transfer", str(service.port), way, str(source), str(target)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended_job(job: "subprocess.Popen[str]") -> Numbers:
    """What such a process has measured."""
    try:
        output, errors = job.communicate(timeout=_MAX_SECONDS)
    finally:
        job.kill()
    if job.returncode:
        raise transfer.TransferFailed(errors[-500:].strip())
    numbers: Numbers = json.loads(output)
    return numbers


def _after(seconds: float) -> Callable[[], bool]:
    deadline = time.monotonic() + seconds
    return lambda: time.monotonic() > deadline


class _Client:
    """One person with one connection: single records, and a small file now and then."""

    def __init__(self, service: Scoreline, bodies: Sequence[str], small: Path) -> None:
        self._service, self._bodies, self._small = service, bodies, small
        self._connection = HTTPConnection("127.0.0.1", service.port, timeout=60)
        self._sent = 0
        self._singles: list[float] = []
        self._files: list[float] = []

    def forget(self) -> None:
        """Begin the measurement again."""
        self._singles, self._files = [], []

    def spells_until(self, over: Callable[[], bool]) -> None:
        """Singles for a spell, then a small file, and so on."""
        while not over():
            self.singles_for(_SPELL_SECONDS)
            self._files.append(job_run(self._service, "job")(self._small, RUN / "small.out")["seconds"])

    def singles_for(self, seconds: float) -> None:
        """Single records, one after the other."""
        over = _after(seconds)
        while not over():
            started = time.perf_counter()
            body = self._bodies[self._sent % len(self._bodies)]
            self._connection.request("POST", "/api/v1/predictions", body, {"Content-Type": "application/json"})
            answer = self._connection.getresponse()
            content = answer.read()
            if answer.status != http.client.OK:
                raise transfer.TransferFailed(f"a single record got {answer.status}: {content[:300]!r}")
            self._singles.append((time.perf_counter() - started) * 1000)
            self._sent += 1

    def measured(self) -> Numbers:
        """Latencies of singles in milliseconds, times of small files in seconds."""
        return {
            "singles": len(self._singles),
            "p50": percentile(self._singles, 0.5),
            "p99": percentile(self._singles, 0.99),
            "longest": max(self._singles),
            "files": spread(self._files),
        }
