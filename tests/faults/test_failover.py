"""The primary fails in the middle of a job: its replica takes over, and every row is there once and in its place."""

import csv
from pathlib import Path

import pytest

from ops.embedded import server_binary
from tests.servers import watched_by_sentinels
from tests.stack import CSV, problem_of, running_stack, wait_until

pytestmark = pytest.mark.stores

HEADER = "id,age,workclass,education,marital_status,race,sex,hours_per_week"
RECORD = "State-gov,Bachelors,Never-married,White,Male,40"
ROWS = 50_000
SETTINGS = {
    "SCORELINE_STORE_REPLICAS": "1",
    "SCORELINE_LEASE_SECONDS": "2",
    "SCORELINE_STORE_TIMEOUT_SECONDS": "2",
    "SCORELINE_CHUNK_BYTES": "20000",
    "SCORELINE_BULK_PROCESSES": "1",
}


@pytest.fixture(scope="module")
def upload() -> bytes:
    lines = (f"{n},{17 + n % 70},{RECORD}" for n in range(1, ROWS + 1))
    return "\n".join([HEADER, *lines, ""]).encode()


def test_a_job_survives_the_failover_of_its_store(tmp_path: Path, models: Path, upload: bytes) -> None:
    with watched_by_sentinels(server_binary(), tmp_path / "servers") as servers:
        address = servers.address
        with running_stack(tmp_path / "service", models, SCORELINE_REDIS_URL=address, **SETTINGS) as stack:
            accepted = stack.upload(upload, wait=0)
            assert accepted.status_code == 202, accepted.text
            former = servers.primary()
            stack.job_when(accepted.json(), lambda now: now["progress"] > 0)
            former.kill()
            wait_until(lambda: servers.primary() is not former)
            job = stack.ended(accepted.json(), seconds=300)
            assert (job["state"], job["rows"]["scored"], job["rows"]["rejected"]) == ("succeeded", ROWS, 0)
            results = stack.get(job["links"]["results"]).raise_for_status().text
            assert [int(row["id"]) for row in csv.DictReader(results.splitlines())] == list(range(1, ROWS + 1))
            # Nobody else has what would be acknowledged now.
            refused = stack.request("POST", "/api/v1/jobs", content=upload[:100_000], headers=CSV)
            assert problem_of(refused) == (503, "not_durable")
            former.start_again()
            wait_until(servers.has_replica)
            again = stack.upload(b"".join(upload.splitlines(keepends=True)[:50]))
            assert (again.status_code, again.json()["state"]) == (200, "succeeded")
