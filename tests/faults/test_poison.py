"""A record that the model cannot take costs itself, or at worst its chunk; nobody else notices."""

import csv
import io
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults import poison
from tests.stack import Stack, problem_of, running_stack

TRUSTING = Path(__file__).parent / "trusting"
ROWS, POISONOUS_ROW = 300, 170
# Long records make several chunks of few rows: uploads are cut at blocks of 64 KiB at the earliest.
NOTE = "x" * 1000
ROWS_OF_A_CHUNK = 2 * 65536 // len(NOTE)
SETTINGS = {
    "SCORELINE_LEASE_SECONDS": "3",
    "SCORELINE_TASK_SECONDS": "3",
    # Enough for a harmless record in a process of its own on a busy machine.
    "SCORELINE_PREDICTION_TIMEOUT_SECONDS": "8",
    "SCORELINE_WEB_PROCESSES": "1",
    "SCORELINE_WORKER_MEMORY_MIB": "512",
    "SCORELINE_BULK_PROCESSES": "4",
    "SCORELINE_INTERACTIVE_PROCESSES": "3",
    "SCORELINE_CHUNK_BYTES": "65536",
}
KINDS = list(poison.POISON)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[Stack]:
    own = tmp_path_factory.mktemp("poison") / "models"
    shutil.copytree(models, own)
    poison.publish_poison(own)
    path = os.pathsep.join(filter(None, [str(TRUSTING), os.environ.get("PYTHONPATH")]))
    with running_stack(tmp_path_factory.mktemp("stack"), own, PYTHONPATH=path, **SETTINGS) as found:
        yield found


def csv_of(records: list[dict[str, Any]]) -> bytes:
    lines = [f"{number},{record['dose']},{record['word']},{NOTE}" for number, record in enumerate(records, 1)]
    return "\n".join(["id,dose,word,note", *lines, ""]).encode()


def score_with_poison(stack: Stack, kind: str) -> tuple[dict[str, Any], list[dict[str, str]]]:
    records = [poison.HARMLESS] * ROWS
    records[POISONOUS_ROW - 1] = poison.POISON[kind]
    job = stack.ended(stack.upload(csv_of(records), model=poison.NAME).raise_for_status().json())
    assert job["state"] == "succeeded", (kind, job["error"], job["rows"])
    results = stack.get(job["links"]["results"]).raise_for_status().text
    return job, list(csv.DictReader(io.StringIO(results)))


def ask(stack: Stack, **body: Any) -> httpx.Response:
    headers = {"Prefer": "wait=60"}
    return stack.request("POST", "/api/v1/predictions", json={"model": poison.NAME, **body}, headers=headers)


def test_a_poisonous_record_harms_at_most_its_chunk_and_no_other_job_notices(stack: Stack) -> None:
    sample = stack.get("/api/v1/models/income/sample.csv").content
    with ThreadPoolExecutor() as pool:
        poisoned = {kind: pool.submit(score_with_poison, stack, kind) for kind in KINDS}
        others = [stack.score(sample)[0] for _ in range(10)]
    assert {job["rows"]["scored"] for job in others} == {20}
    for kind, result in poisoned.items():
        job, rows = result.result()
        rejected = [int(row["id"]) for row in rows if row["error"].startswith("scoring_failed")]
        assert [int(row["id"]) for row in rows] == list(range(1, ROWS + 1)), kind
        expected = {
            "total": ROWS,
            "scored": ROWS - len(rejected),
            "rejected": len(rejected),
            "warned": 0,
            "repaired": 0,
        }
        assert job["rows"] == expected, kind
        # On a machine that is short of time all attempts may be over before the row has been found.
        assert POISONOUS_ROW in rejected, kind
        assert len(rejected) <= ROWS_OF_A_CHUNK, kind
        assert {row["probability"] for row in rows if not row["error"]} == {"0.000000"}, kind


def test_single_poisonous_records_are_answered_and_no_other_one_waits_for_them(stack: Stack) -> None:
    with ThreadPoolExecutor() as pool:
        poisoned = {kind: pool.submit(ask, stack, record=poison.POISON[kind]) for kind in KINDS}
        others = [ask(stack, record=poison.HARMLESS).json() for _ in range(10)]
    assert {answer["prediction"] for answer in others} == {poison.NEGATIVE}
    for kind, response in poisoned.items():
        assert problem_of(response.result()) == (422, "scoring_failed"), kind


def test_of_several_records_one_that_kills_costs_only_itself(stack: Stack) -> None:
    response = ask(stack, records=[poison.HARMLESS, poison.POISON["kills its process"], {"dose": -1, "word": "fine"}])
    first, second, third = response.raise_for_status().json()["predictions"]
    assert first["prediction"] == poison.NEGATIVE
    assert second["error"]["errors"][0]["code"] == "scoring_failed"
    assert third["error"]["errors"][0]["code"] == "out_of_range"


def test_a_job_in_which_no_row_could_be_scored_fails(stack: Stack) -> None:
    job = stack.upload(csv_of([poison.POISON["raises"]] * 3), model=poison.NAME).json()
    assert job["state"] == "failed"
    assert "no row could be scored" in job["error"]["detail"]


@pytest.mark.parametrize("kind", ["raises", "kills its process"])
def test_corrections_cure_a_poisonous_row_and_one_that_is_poison_costs_itself(stack: Stack, kind: str) -> None:
    job, _ = score_with_poison(stack, "raises")
    assert job["rows"]["rejected"] == 1

    def correct(job: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
        body = {"records": [{"_row": POISONOUS_ROW, **record}]}
        response = stack.request("POST", f"{job['links']['self']}/corrections", json=body)
        return stack.ended(response.raise_for_status().json())

    worse = correct(job, poison.POISON[kind])
    assert (worse["state"], worse["rows"]) == ("succeeded", job["rows"])
    summary = stack.get(worse["links"]["summary"]).json()
    assert summary["rejects"] == [{"column": None, "code": "scoring_failed", "count": 1}]
    cured = correct(worse, poison.HARMLESS)
    assert cured["rows"] == {"total": ROWS, "scored": ROWS, "rejected": 0, "warned": 0, "repaired": 0}
    harmless, results = stack.score(csv_of([poison.HARMLESS] * ROWS), model=poison.NAME)
    assert stack.get(cured["links"]["results"]).content == results
    assert stack.get(cured["links"]["summary"]).json() == stack.get(harmless["links"]["summary"]).json()
