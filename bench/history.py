"""History with 100,000 jobs and 1,000,000 single predictions: writing it, and answering its pages and the API.

``python -m bench.history [--url URL] [--jobs N] [--predictions N]``; by default in a SQLite file in a temporary folder.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from database.column_types import week_of
from database.database import Database
from database.history_writer import AnsweredRecord, Batch, EndedJob, write_history
from database.record_hash import record_hash
from jobs.settings import Settings
from model.census.train import ensure_trained
from web import create_app

_BATCH = 2000
_REPEATS = 7
_NOW = datetime.now(UTC)
_PAGES = {
    "jobs": "/history",
    "jobs of a model": "/history?model=income",
    "jobs of an owner": "/history?owner=user-7",
    "a rare file name": "/history?q=file-77.csv&model=income",
    "no such file name": "/history?q=nothing",
    "failed jobs of an owner": "/history?owner=user-7&state=failed",
    "jobs of last year": "/history?to=2026-01-31",
    "predictions": "/history/predictions",
    "predictions of an owner": "/history/predictions?owner=user-7",
    "predictions of a model and version": "/history/predictions?model=income&version=2",
    "predictions that failed": "/history/predictions?state=failed",
    "predictions with a text": "/history/predictions?q=Private",
    "predictions without such a text": "/history/predictions?q=nothing",
    "predictions of one record": "/history/predictions?record={record}",
    "API: jobs": "/api/v1/history/jobs?limit=200",
    "API: predictions": "/api/v1/history/predictions?limit=200&model=income",
}


def _job(number: int, chance: random.Random) -> EndedJob:
    finished = _NOW - timedelta(minutes=5 * number)
    version, scored = str(chance.randint(1, 3)), chance.randint(1, 10_000)
    positive = scored // 4
    row = {
        "id": f"{number:032x}", "owner": f"user-{number % 50}", "visibility": "private",
        "name": f"file-{number % 1000}.csv", "model": "income" if number % 3 else "other", "version": version,
        "compared_model": None, "compared_version": None, "state": "succeeded" if number % 20 else "failed",
        "bytes": scored * 110, "rows": scored + 3, "scored": scored, "rejected": 3, "warned": 0, "threshold": 0.5,
        "created": finished, "started": finished, "finished": finished, "week": week_of(finished),
    }  # fmt: skip
    values = {f"drift:{name}:{place}": chance.randint(0, scored) for name in ("age", "hours") for place in range(20)}
    summary = {"prediction:>50K": positive, "prediction:<=50K": scored - positive, **values}
    counts = {"jobs": 1, "rows": scored, "rejected": 3, **summary}
    return EndedJob(row, summary, None, {(row["model"], version, row["week"]): counts})


def _prediction(number: int, chance: random.Random) -> AnsweredRecord:
    time_ = _NOW - timedelta(seconds=30 * number)
    texts = {"work": "Private", "education": "HS-grad", "status": "Never-married", "race": "White", "sex": "Male"}
    record = {"age": float(chance.randint(17, 90)), **texts, "hours": float(chance.randint(1, 99))}
    label = chance.choice((">50K", "<=50K"))
    effects = [{"feature": name, "value": value, "effect": 0.123456789} for name, value in record.items()]
    row = {
        "id": f"{number:032x}", "owner": f"user-{number % 50}", "model": "income" if number % 3 else "other",
        "version": str(number % 3), "state": "succeeded" if number % 10_000 else "failed", "prediction": label,
        "probability": 0.25, "threshold": 0.5, "record_hash": record_hash("income", record), "time": time_,
        "week": week_of(time_),
    }  # fmt: skip
    counts = {(row["model"], row["version"], row["week"]): {"single": 1, f"prediction:{label}": 1}}
    return AnsweredRecord(row, {"record": record, "answer": {"prediction": label, "contributions": effects}}, counts)


def _parts(count: int) -> Iterator[range]:
    return (range(start, min(start + _BATCH, count)) for start in range(0, count, _BATCH))


def _timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Return milliseconds of wall and processor time."""
    wall, used = time.perf_counter(), time.process_time()
    work()
    return 1000 * (time.perf_counter() - wall), 1000 * (time.process_time() - used)


def _fill(database: Database, batches: Iterator[Batch]) -> None:
    for batch in batches:
        with database.writing() as connection:
            write_history(connection, batch)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.history", description=__doc__)
    parser.add_argument("--url", help="the database to fill; it should be empty")
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--predictions", type=int, default=1_000_000)
    options = parser.parse_args()
    chance = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        url = options.url or f"sqlite:///{folder}/scoreline.db"
        ensure_trained(Path(folder) / "models")
        database = Database(url)
        database.upgrade()
        jobs = (Batch(jobs=[_job(n, chance) for n in part]) for part in _parts(options.jobs))
        singles = (Batch(predictions=[_prediction(n, chance) for n in part]) for part in _parts(options.predictions))
        for name, batches, count in (("jobs", jobs, options.jobs), ("predictions", singles, options.predictions)):
            wall, used = _timed(lambda batches=batches: _fill(database, batches))
            print(
                f"written: {count} {name} in {wall / 1000:.1f} s, {1000 * used / max(count, 1):.0f} us of CPU time each"
            )
        app = create_app(Settings(data_dir=Path(folder), database_url=url))
        client = app.test_client()
        first = client.get("/api/v1/history/predictions?limit=1&model=income").get_json()["predictions"][0]
        for name, pattern in _PAGES.items():
            address = pattern.format(record=record_hash("income", first["record"]))
            assert client.get(address).status_code == 200
            times = [_timed(lambda address=address: client.get(address)) for _ in range(_REPEATS)]
            wall, used = (statistics.median(column) for column in zip(*times, strict=True))
            print(f"{name:36} {wall:7.1f} ms, {used:7.1f} ms of this process's processor time")
        database.dispose()


if __name__ == "__main__":
    main()
