"""Whole files: the plain script, MLflow's server and Scoreline, taking turns."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from bench import transfer
from bench.contenders import mlflow
from bench.correctness import check_results
from bench.data import census_file
from bench.environments import CannotInstall
from bench.options import BIG_ROWS, Options
from bench.places import RUN
from bench.plain import run_plain
from bench.progress import say
from bench.servers import CannotServe, Scoreline, Server, scoreline
from bench.spreads import Numbers, ratios, spread

TITLES = {
    "plain": "plain script",
    "mlflow": "MLflow's server",
    "scoreline_job": "Scoreline, upload, wait, download",
    "scoreline_score": "Scoreline, one request",
}
# About what a row needs in the plain script, with the matrices that the pipeline makes of it.
_PLAIN_BYTES_A_ROW = 1600

Contest = Callable[[Path, Path], Numbers]


def run(options: Options) -> Numbers:
    """Score each file by each contender, in rounds."""
    failures: dict[str, str] = {}
    skipped: dict[str, str] = {}
    measured: dict[tuple[int, str], list[Numbers]] = {}
    checks: dict[str, str] = {}
    with ExitStack() as stack:
        service = stack.enter_context(scoreline())
        contests = _contests(service, stack, failures)
        _warm_up(contests, options)
        for turn in range(options.repeats):
            for rows in options.rows:
                source = census_file(rows)
                for name, contest in contests.items():
                    if _takes_part(name, rows, turn, options, skipped):
                        measured.setdefault((rows, name), []).append(_one(name, contest, source, rows, turn))
                        if turn == 0 and name.startswith("scoreline"):
                            checks[f"{name}, {rows}"] = check_results(source, _target(name), rows)
    return {
        "titles": TITLES,
        "sizes": {str(rows): _of_size(rows, measured, census_file(rows)) for rows in options.rows},
        "checks": checks,
        "failures": failures,
        "skipped": skipped,
    }


def job_run(service: Scoreline, way: str) -> Contest:
    """Scoring a file by the service, in one of its ways; the job is removed afterwards."""

    def contest(source: Path, target: Path) -> Numbers:
        done = transfer.WAYS[way](service.port, source, target)
        job = transfer.get_json(service.port, done.job)
        transfer.delete(service.port, done.job)
        numbers: dict[str, Any] = asdict(done)
        return numbers | {"rows": job["rows"]}

    return contest


def settled(service: Scoreline, contest: Contest) -> Contest:
    """A contest that begins without its last results, and when the service has nothing left to do in the background."""

    def begin(source: Path, target: Path) -> Numbers:
        target.unlink(missing_ok=True)
        service.settle()
        return contest(source, target)

    return begin


def _contests(service: Scoreline, stack: ExitStack, failures: dict[str, str]) -> dict[str, Contest]:
    contests: dict[str, Contest] = {"plain": settled(service, run_plain)}
    try:
        other = stack.enter_context(mlflow())
        contests["mlflow"] = settled(service, _mlflow_run(other))
    except (CannotInstall, CannotServe, OSError, subprocess.SubprocessError) as error:
        say(f"MLflow: {error}")
        failures["mlflow"] = str(error)
    for way in transfer.WAYS:
        contests[f"scoreline_{way}"] = settled(service, job_run(service, way))
    return contests


def _mlflow_run(server: Server) -> Contest:
    return lambda source, target: asdict(transfer.by_invocation(server.port, source, target))


def _warm_up(contests: dict[str, Contest], options: Options) -> None:
    say("bulk: warming up")
    for name, contest in contests.items():
        contest(census_file(options.rows[0]), _target(name))


def _takes_part(name: str, rows: int, turn: int, options: Options, skipped: dict[str, str]) -> bool:
    if name == "mlflow" and rows > BIG_ROWS:
        skipped[f"{TITLES[name]}, {rows:,} rows"] = "it holds the whole body and all it makes of it in memory"
        return False
    if name != "plain":
        return turn < options.repeats_of(rows)
    if rows * _PLAIN_BYTES_A_ROW > psutil.virtual_memory().available:
        skipped[f"{TITLES[name]}, {rows:,} rows"] = "what it needs does not fit into the memory that is free"
        return False
    return turn < options.plain_repeats_of(rows)


def _one(name: str, contest: Contest, source: Path, rows: int, turn: int) -> Numbers:
    numbers = contest(source, _target(name))
    say(f"bulk, round {turn + 1}: {rows:>10,} rows, {TITLES[name]}: {numbers['seconds']:.2f} s")
    return numbers


def _target(name: str) -> Path:
    return RUN / f"{name}.out"


def _of_size(rows: int, measured: dict[tuple[int, str], list[Numbers]], source: Path) -> Numbers:
    runs = {name: measured[rows, name] for name in TITLES if (rows, name) in measured}
    plain = runs.get("plain", [])
    return {
        "bytes": source.stat().st_size,
        "seconds": {name: spread([one["seconds"] for one in numbers]) for name, numbers in runs.items()},
        "plain_work": spread([one["work"] for one in plain]) if plain else None,
        "parts": {name: _parts(numbers) for name, numbers in runs.items()},
        "ratios": {
            name: {key: ratios(_of(numbers, "seconds"), _of(plain, key)) for key in ("seconds", "work")}
            for name, numbers in runs.items()
            if name != "plain" and plain
        },
    }


def _of(numbers: list[Numbers], key: str) -> list[float]:
    return [one[key] for one in numbers]


def _parts(numbers: list[Numbers]) -> Numbers:
    """Medians of the parts of a contender's time."""
    names = [name for name in ("load", "read", "predict", "write", "upload", "wait", "download") if name in numbers[0]]
    return {name: spread(_of(numbers, name))["median"] for name in names}


@contextmanager
def warm(name: str = "scoreline", **settings: str) -> Iterator[Scoreline]:
    """A service that has scored a small file already, so that all its processes have loaded what they need."""
    with scoreline(name, **settings) as service:
        for way in transfer.WAYS:
            job_run(service, way)(census_file(2000), RUN / "warm-up.out")
        yield service
