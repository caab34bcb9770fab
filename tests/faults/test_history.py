"""The service scores whatever happens to the database, says so, and writes down later what it missed."""

from pathlib import Path
from typing import Any

import pytest

from tests.postgresql import PostgreSQL
from tests.stack import Stack, running_stack, wait_until
from tests.web.records import RECORD


def predict(stack: Stack) -> str:
    answer = stack.request("POST", "/api/v1/predictions", json={"record": RECORD}).raise_for_status()
    return str(answer.json()["id"])


def score(stack: Stack) -> str:
    job, results = stack.score(stack.get("/api/v1/models/income/sample.csv").content)
    assert results
    return str(job["id"])


def is_kept(stack: Stack, kind: str, entry_id: str) -> bool:
    return stack.get(f"/api/v1/history/{kind}/{entry_id}").status_code == 200


def metric(stack: Stack, name: str) -> float | None:
    lines = stack.get("/metrics").text.splitlines()
    return next((float(line.split()[-1]) for line in lines if line.split()[0] == name), None)


def assert_keeps(stack: Stack, jobs: list[str], predictions: list[str]) -> None:
    wait_until(lambda: metric(stack, "scoreline_history_waiting") == 0)
    assert all(is_kept(stack, "jobs", job_id) for job_id in jobs)
    assert all(is_kept(stack, "predictions", prediction_id) for prediction_id in predictions)


def kill_the_recorder(stack: Stack) -> None:
    for process in stack.processes("worker.recording.recorder"):
        process.kill()


def recorded(stack: Stack) -> float | None:
    return metric(stack, 'scoreline_history_entries_total{outcome="recorded"}')


def test_a_database_server_that_goes_away_and_a_recorder_that_is_killed(
    tmp_path: Path, models: Path, postgresql_programs: None
) -> None:
    server = PostgreSQL.in_new_folder()
    try:
        server.start()
        settings = {"SCORELINE_DATABASE_URL": server.new_database()}
        with running_stack(tmp_path / "service", models, **settings) as stack:
            jobs, predictions = [score(stack)], [predict(stack)]
            assert_keeps(stack, jobs, predictions)
            server.kill()
            jobs, predictions = [*jobs, score(stack)], [*predictions, predict(stack)]
            ready: Any = wait_until(lambda: "history" in (body := stack.get("/readyz").json()) and body)
            assert ready["ready"] is True
            assert ready["history"].startswith("PostgreSQL: ")
            assert metric(stack, "scoreline_database_up") == 0
            refused = stack.get("/api/v1/history/jobs")
            assert (refused.status_code, refused.json()["code"]) == (503, "database_unavailable")
            assert stack.get("/history").status_code == 503
            assert stack.get("/models/income").status_code == 200
            kill_the_recorder(stack)
            server.start()
            for _ in range(3):
                jobs, predictions = [*jobs, score(stack)], [*predictions, *(predict(stack) for _ in range(20))]
                kill_the_recorder(stack)
            assert_keeps(stack, jobs, predictions)
            assert recorded(stack) == len(jobs) + len(predictions)
            assert metric(stack, "scoreline_database_up") == 1
            wait_until(lambda: "history" not in stack.get("/readyz").json())
            found = stack.get(f"/api/v1/history/predictions/{predictions[-1]}").json()
            assert found["record"]["age"] == float(RECORD["age"])
    finally:
        server.remove()


@pytest.mark.slow
def test_a_database_file_that_cannot_be_written_and_records_that_are_not_kept(tmp_path: Path, models: Path) -> None:
    (tmp_path / "nowhere").write_text("a file, not a folder")
    settings = {
        "SCORELINE_DATABASE_URL": f"sqlite:///{tmp_path}/nowhere/scoreline.db",
        "SCORELINE_HISTORY_RECORDS": "off",
    }
    with running_stack(tmp_path / "service", models, **settings) as stack:
        jobs, predictions = [score(stack)], [predict(stack)]
        wait_until(lambda: "history" in stack.get("/readyz").json())
        assert stack.get("/api/v1/history/predictions").status_code == 503
        (tmp_path / "nowhere").unlink()
        assert_keeps(stack, jobs, predictions)
        assert recorded(stack) == len(jobs) + len(predictions)
        found = stack.get(f"/api/v1/history/predictions/{predictions[0]}").json()
        assert (found["record"], found["answer"], found["prediction"]) == (None, None, None)
