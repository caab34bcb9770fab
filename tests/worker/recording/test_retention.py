"""What is older than the setting says is deleted, with all that belongs to it, and nothing else."""

from datetime import UTC, datetime, timedelta

import pytest

from database import history
from database.database import Database
from database.history import HistoryFilter
from tests.database.test_history import job, numbers, prediction, write
from worker.recording import retention
from worker.recording.retention import delete_expired


def test_entries_expire_in_steps(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_ENTRIES_AT_ONCE", 4)
    now = datetime.now(UTC)
    for number in range(10):
        time = now - timedelta(days=20 * number + 1)
        write(database, job(number, finished=time), prediction(number, {"age": number}, time=time))
    steps = 1
    while not delete_expired(database, days=90):
        steps += 1
    assert steps == 2
    with database.reading() as connection:
        assert numbers(history.list_jobs(connection, HistoryFilter(), 20)) == [0, 1, 2, 3, 4]
        assert numbers(history.list_predictions(connection, HistoryFilter(), 20)) == [0, 1, 2, 3, 4]
    assert delete_expired(database, days=90)
