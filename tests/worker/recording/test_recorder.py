"""Whatever ends reaches the database exactly once, however often it is written, and whoever is killed meanwhile."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from redis import Redis
from sqlalchemy import func, select, text

from database.audit import AuditFilter, AuditLog
from database.column_types import week_of
from database.database import Database
from database.record_hash import record_hash
from database.tables import JobEntry, JobSummary, PredictionDocument, PredictionEntry, WeeklyCount
from jobs.settings import Settings
from jobs.store import keys
from jobs.store.connection import connect
from jobs.store.outbox import Outbox
from model.journal import Change, journal_path, note_change
from tests.postgresql import PostgreSQL
from tests.stack import wait_until
from worker.recording.recorder import BatchSize, Recorder

ROOT = Path(__file__).parents[3]
FINISHED = datetime(2026, 11, 26, 12, tzinfo=UTC)
JOB = {
    "kind": "job", "id": "job-0", "owner": "", "visibility": "", "model": "income", "version": "1", "compared": "",
    "filename": "people.csv", "threshold": "0.5", "size": "120", "total": "10", "scored": "9", "rejected": "1",
    "warned": "0", "created": f"{FINISHED.timestamp() - 3}", "started": f"{FINISHED.timestamp() - 2}",
    "finished": f"{FINISHED.timestamp()}", "state": "succeeded", "error": "",
    "summary": '["prediction:>50K","4","prediction:<=50K","5","fault:missing:age","1","drift:age:3","9"]',
}  # fmt: skip
VALUES = {"age": 39.0, "work": "Private\u0000"}
REQUEST = {"kind": "predict", "model": "income", "version": "1", "owner": "ann", "several": False,
           "records": [{"values": VALUES}]}  # fmt: skip
ANSWER = {"prediction": "<=50K", "probability": 0.102, "threshold": 0.5}
PREDICTION = {"kind": "prediction", "id": "single", "request": orjson.dumps(REQUEST).decode(),
              "result": orjson.dumps({"items": [ANSWER]}).decode()}  # fmt: skip


@pytest.fixture
def redis(server: Settings) -> Iterator[Any]:
    redis: Any = connect(server)
    redis.flushall()
    yield redis
    redis.close()


@pytest.fixture
def outbox(redis: Redis) -> Outbox:
    return Outbox(redis, 0.8)


@pytest.fixture
def recorder(outbox: Outbox, database: Database) -> Recorder:
    return Recorder(outbox, database)


def count(database: Database, table: type[Any]) -> int:
    with database.reading() as connection:
        return connection.scalar(select(func.count()).select_from(table)) or 0


def weekly(database: Database) -> dict[str, int]:
    with database.reading() as connection:
        rows = connection.execute(select(WeeklyCount.name, WeeklyCount.count).where(WeeklyCount.model == "income"))
        return {row.name: row.count for row in rows}


def test_a_job_is_found_with_its_counts_and_summary(redis: Any, recorder: Recorder, database: Database) -> None:
    redis.xadd(keys.OUTBOX, JOB)
    assert recorder.run_round() == 1
    with database.reading() as connection:
        job = connection.execute(select(JobEntry)).one()
        counts = connection.scalar(select(JobSummary.counts))
    assert (job.id, job.owner, job.name, job.model, job.version) == ("job-0", None, "people.csv", "income", "1")
    assert (job.state, job.bytes, job.rows, job.scored, job.rejected) == ("succeeded", 120, 10, 9, 1)
    assert (job.finished, job.week) == (FINISHED, week_of(FINISHED))
    assert counts == {"prediction:>50K": 4, "prediction:<=50K": 5, "fault:missing:age": 1, "drift:age:3": 9}
    assert weekly(database) == counts | {"jobs": 1, "rows": 9, "rejected": 1}
    assert redis.xlen(keys.OUTBOX) == 0


def test_a_prediction_is_found_with_what_was_asked_and_answered(
    redis: Any, recorder: Recorder, database: Database
) -> None:
    redis.xadd(keys.OUTBOX, PREDICTION)
    recorder.run_round()
    with database.reading() as connection:
        entry = connection.execute(select(PredictionEntry)).one()
        document = connection.execute(select(PredictionDocument)).one()
    assert (entry.id, entry.owner, entry.prediction, entry.probability) == ("single", "ann", "<=50K", 0.102)
    assert entry.record_hash == record_hash("income", {"work": "Private\u0000", "age": 39})
    assert (document.record, document.answer) == (VALUES, ANSWER)
    assert weekly(database) == {"single": 1, "prediction:<=50K": 1, "probability:2": 1}


def test_several_records_of_one_request_are_found_one_by_one(
    redis: Any, recorder: Recorder, database: Database
) -> None:
    error = {"error": {"code": "invalid_record"}}
    request = {**REQUEST, "several": True, "records": [{"values": VALUES}, error]}
    result = {"items": [ANSWER, error]}
    redis.xadd(keys.OUTBOX, PREDICTION | {"request": orjson.dumps(request), "result": orjson.dumps(result)})
    recorder.run_round()
    with database.reading() as connection:
        rows = connection.execute(select(PredictionEntry.id, PredictionEntry.state).order_by(PredictionEntry.id)).all()
    assert [tuple(row) for row in rows] == [("single.0", "succeeded"), ("single.1", "failed")]


def test_where_records_are_not_kept_only_the_counts_are(redis: Any, recorder: Recorder, database: Database) -> None:
    brief = {"model": "income", "version": "1", "owner": "ann", "several": False, "predictions": ["<=50K"]}
    redis.xadd(keys.OUTBOX, {"kind": "prediction", "id": "single", "brief": orjson.dumps(brief)})
    recorder.run_round()
    with database.reading() as connection:
        entry = connection.execute(select(PredictionEntry)).one()
    assert (entry.owner, entry.state) == ("ann", "succeeded")
    assert (entry.prediction, entry.probability, entry.record_hash) == (None, None, None)
    assert count(database, PredictionDocument) == 0
    assert weekly(database) == {"single": 1, "prediction:<=50K": 1}


def test_entries_that_come_again_change_nothing(redis: Any, recorder: Recorder, database: Database) -> None:
    for _ in range(3):
        redis.xadd(keys.OUTBOX, JOB)
        redis.xadd(keys.OUTBOX, PREDICTION)
        recorder.run_round()
    assert (count(database, JobEntry), count(database, PredictionEntry)) == (1, 1)
    assert weekly(database)["jobs"] == weekly(database)["single"] == 1


def test_an_entry_that_cannot_be_written_holds_up_no_other(
    redis: Any, recorder: Recorder, outbox: Outbox, database: Database
) -> None:
    redis.xadd(keys.OUTBOX, {"kind": "job", "id": "of another version"})
    for number in range(5):
        redis.xadd(keys.OUTBOX, JOB | {"id": f"job-{number}", "filename": "nul \x00 and \udcff".replace("\udcff", "ÿ")})
    redis.xadd(keys.OUTBOX, JOB | {"id": "too large", "size": str(10**30)})
    assert recorder.run_round() == 7
    assert count(database, JobEntry) == 5
    stats = outbox.stats()
    assert (stats.waiting, stats.recorded, stats.failed, stats.database_up) == (0, 5, 2, True)


def test_batches_get_smaller_while_writing_takes_long() -> None:
    size = BatchSize()
    most = size.entries
    for _ in range(20):
        size.adapt(seconds=3)
    assert size.entries == 1
    for _ in range(20):
        size.adapt(seconds=0.01)
    assert size.entries == most


def test_a_batch_whose_removal_was_lost_is_not_counted_again(
    redis: Any, recorder: Recorder, outbox: Outbox, database: Database
) -> None:
    """The recorder dies after the commit, and before the store has heard of it."""
    redis.xadd(keys.OUTBOX, JOB)
    recorder._write(outbox.read(10, 1000))
    assert redis.xlen(keys.OUTBOX) == 1
    assert recorder.run_round() == 1
    assert weekly(database)["jobs"] == 1


def test_a_database_without_tables_keeps_entries_waiting(redis: Any, outbox: Outbox, database_url: str) -> None:
    redis.xadd(keys.OUTBOX, JOB)
    database = Database(database_url)
    recorder = Recorder(outbox, database)
    assert recorder.run_round() == 0
    stats = outbox.stats()
    assert (stats.waiting, stats.database_up) == (1, False)
    assert stats.fault is not None
    database.upgrade()
    assert recorder.run_round() == 1
    assert outbox.stats().database_up is True


def test_a_recorder_with_nothing_to_do_writes_nothing(redis: Any, recorder: Recorder) -> None:
    """Each write to the store is synced to disk, and whoever waits for a prediction waits for it."""
    recorder.run_round()
    before = redis.info("persistence")["rdb_changes_since_last_save"]
    for _ in range(3):
        recorder.run_round()
    assert redis.info("persistence")["rdb_changes_since_last_save"] == before


def test_a_read_only_database_keeps_entries_waiting(
    redis: Any, recorder: Recorder, outbox: Outbox, database: Database
) -> None:
    redis.xadd(keys.OUTBOX, JOB)
    readers = "PRAGMA query_only = ON"
    if database.is_postgresql:
        name = database.engine.url.database
        readers = f"ALTER DATABASE {name} SET default_transaction_read_only = on"
    with database.writing() as connection:
        connection.execute(text(readers))
    if database.is_postgresql:
        database.dispose()
    assert recorder.run_round() == 0
    stats = outbox.stats()
    assert (stats.waiting, stats.database_up) == (1, False)
    assert "read-only" in (stats.fault or "") or "readonly" in (stats.fault or "")


def test_a_full_disk_keeps_entries_waiting(redis: Any, outbox: Outbox, tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/scoreline.db")
    database.upgrade()
    recorder = Recorder(outbox, database)
    redis.xadd(keys.OUTBOX, JOB | {"summary": orjson.dumps(["x" * 1_000_000, "1"])})
    with database.writing() as connection:
        pages = connection.scalar(text("PRAGMA page_count"))
        connection.execute(text(f"PRAGMA max_page_count = {pages}"))
    assert recorder.run_round() == 0
    assert "full" in (outbox.stats().fault or "")
    with database.reading() as connection:
        connection.execute(text("PRAGMA max_page_count = 1000000"))
    assert recorder.run_round() == 1


def test_a_database_server_that_is_killed_and_comes_back_misses_nothing(
    redis: Any, outbox: Outbox, tmp_path: Path, postgresql_programs: None
) -> None:
    server = PostgreSQL.in_new_folder()
    try:
        server.start()
        database = Database(server.new_database())
        database.upgrade()
        recorder = Recorder(outbox, database)
        for number in range(30):
            redis.xadd(keys.OUTBOX, JOB | {"id": f"job-{number}"})
            if number % 10 == 5:
                server.kill()
            recorder.run_round()
            if number % 10 == 9:
                assert outbox.stats().database_up is False
                server.start()
                wait_until(recorder.run_round)
        assert count(database, JobEntry) == weekly(database)["jobs"] == 30
        database.dispose()
    finally:
        server.remove()


def test_a_recorder_that_is_killed_again_and_again_loses_and_doubles_nothing(
    redis: Any, server: Settings, database: Database, database_url: str
) -> None:
    total = 2500
    environment = {**os.environ, "SCORELINE_DATA_DIR": str(server.data_dir), "SCORELINE_DATABASE_URL": database_url}
    pipe = redis.pipeline()
    for number in range(total):
        pipe.xadd(keys.OUTBOX, JOB | {"id": f"job-{number}"})
    pipe.execute()
    while redis.xlen(keys.OUTBOX):
        before = redis.xlen(keys.OUTBOX)
        command = [sys.executable, "-m", "worker.recording.recorder"]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
        wait_until(lambda before=before: redis.xlen(keys.OUTBOX) < before)
        process.send_signal(signal.SIGKILL)
        process.wait()
        redis.delete(keys.RECORDER)
    assert count(database, JobEntry) == weekly(database)["jobs"] == total


def test_changes_of_models_on_other_hosts_are_in_the_audit_log_once(
    recorder: Recorder, outbox: Outbox, database: Database, tmp_path: Path
) -> None:
    note_change(tmp_path, Change.ADDED, "sizes", "1")
    lines = journal_path(tmp_path).read_bytes().splitlines()
    outbox.add_model_changes([*lines, *lines, b"{half", b"\xff"])
    assert recorder.run_round() == 4
    [event] = AuditLog(database).page(AuditFilter(), 10)
    assert (event.action, event.object) == ("model_added", "sizes/1")
    assert (outbox.stats().recorded, outbox.stats().failed) == (2, 2)


def test_an_entry_of_a_newer_version_is_counted_as_failed(recorder: Recorder, outbox: Outbox, redis: Any) -> None:
    redis.xadd(keys.OUTBOX, {"kind": "weather"})
    assert recorder.run_round() == 1
    assert outbox.stats().failed == 1
