"""What the limit is made of: stages of a file, processor time by process, and the steps of a single prediction."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path

from bench import data, transfer
from bench.bulk import warm
from bench.memory import processor_seconds
from bench.mixed import ended_job, start_job
from bench.options import Options
from bench.places import ROOT
from bench.plain import scorer
from bench.progress import say
from bench.servers import ONE_THREAD, Scoreline
from bench.spreads import Numbers, spread
from jobs.messages import Predict
from jobs.settings import Settings
from jobs.store.task_sender import TaskSender

_REPEATS = 3
_CALLS = 500
_MAX_SECONDS = 600.0
_NOBODY = "0" * 32


def run(options: Options) -> Numbers:
    """Stages in one process; then, over HTTP, who uses the processors, and what a single prediction consists of."""
    rows = options.standard
    source = data.census_file(rows)
    stages = [_stages(source) for _ in range(min(options.repeats, _REPEATS))]
    say(f"breakdown: {rows:,} rows in one process: {sum(stages[0]['seconds'].values()):.2f} s")
    with warm() as service:
        whole = [_by_process(service, source) for _ in range(min(options.repeats, _REPEATS))]
        single = _single(service)
    say("breakdown: " + ", ".join(f"{step} {times['median']:.2f} ms" for step, times in single.items()))
    return {
        "rows": rows,
        "stages": _spreads([one["seconds"] for one in stages]),
        "missing": stages[0]["missing"],
        "elapsed": spread([one.pop("elapsed") for one in whole]),
        "processor_seconds": _spreads(whole),
        "single": single,
    }


def _stages(source: Path) -> Numbers:
    done = subprocess.run(
        [sys.executable, "-m", "bench.stages", str(source)],
        cwd=ROOT,
        env={**os.environ, **ONE_THREAD},
        capture_output=True,
        text=True,
        timeout=_MAX_SECONDS,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the stages could not be measured: {done.stderr[-500:].strip()}")
    numbers: Numbers = json.loads(done.stdout.splitlines()[-1])
    return numbers


def _by_process(service: Scoreline, source: Path) -> Numbers:
    """Processor seconds of one job by role, its client's too, and how long it took."""
    service.settle()
    used = processor_seconds(service)
    done = ended_job(start_job(service, "job", source))
    spent = {role: seconds - used.get(role, 0.0) for role, seconds in processor_seconds(service).items()}
    transfer.delete(service.port, done["job"])
    return {**spent, "client": done["processor"], "elapsed": done["seconds"]}


def _spreads(runs: list[Numbers]) -> Numbers:
    return {name: spread([one.get(name, 0.0) for one in runs]) for name in runs[0]}


def _single(service: Scoreline) -> Numbers:
    """The steps of a single prediction in milliseconds, one after the other, nothing else going on."""
    bodies = [json.dumps({"record": record}) for record in data.records()]
    settings = Settings(data_dir=service.folder)
    model, record = scorer(), {**data.records()[0]}
    connection = HTTPConnection("127.0.0.1", service.port, timeout=30)
    with service.redis() as redis:
        sender = TaskSender(redis, settings)
        return {
            "Redis: a PING": _timed(lambda _: redis.ping()),
            "Redis: a write, synced to disk": _timed(lambda _: redis.set("bench", "", px=1000)),
            "Celery: a task sent": _timed(lambda _: sender.predict([Predict((_NOBODY,))])),
            "the model: score and explain a record": _timed(lambda _: model.predict_and_explain_records([record])),
            "HTTP: GET /healthz": _timed(lambda _: _request(connection, "GET", "/healthz")),
            "a prediction": _timed(
                lambda turn: _request(connection, "POST", "/api/v1/predictions", bodies[turn % len(bodies)])
            ),
        }


def _timed(call: Callable[[int], object]) -> Numbers:
    """Median, 1st and 99th percentile of some hundred calls, in milliseconds."""
    times = []
    for turn in range(_CALLS + _CALLS // 10):
        started = time.perf_counter()
        call(turn)
        times.append((time.perf_counter() - started) * 1000)
    times = sorted(times[_CALLS // 10 :])
    return {"median": statistics.median(times), "min": times[len(times) // 100], "max": times[-1 - len(times) // 100]}


def _request(connection: HTTPConnection, method: str, path: str, body: str | None = None) -> None:
    connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
    answer = connection.getresponse()
    answer.read()
    if answer.status >= 300:
        raise transfer.TransferFailed(f"{method} {path} got {answer.status}")
