"""The service with an S3-compatible object store: the same answers, while Redis holds hardly more than the state."""

import io
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet
import pytest

from jobs.blobs.object_blobs import ObjectBlobs
from jobs.settings import Settings
from jobs.store.connection import connect
from jobs.store.keys import JobKeys
from tests.object_store import ObjectServer, object_server
from tests.stack import Stack, problem_of, running_stack, wait_until

pytestmark = pytest.mark.slow

HEADER = "id,age,workclass,education,marital_status,race,sex,hours_per_week"
ROWS = 30_000
UPLOAD = "\n".join([
    HEADER, *(f"{n},{17 + n % 75},State-gov,Bachelors,Never-married,White,Male,40" for n in range(1, ROWS + 1)), ""
]).encode()  # fmt: skip


@pytest.fixture(scope="module")
def objects() -> Iterator[ObjectServer]:
    with object_server() as server:
        yield server


@pytest.fixture(scope="module")
def stack(objects: ObjectServer, tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[Stack]:
    url = objects.create_bucket("scoreline")
    settings = {"SCORELINE_STORAGE_URL": url, "SCORELINE_CHUNK_BYTES": "200000", "SCORELINE_LEASE_SECONDS": "10"}
    with running_stack(tmp_path_factory.mktemp("objects"), models, **settings) as stack:
        yield stack


@pytest.fixture(scope="module")
def job(stack: Stack) -> dict[str, Any]:
    return stack.score(UPLOAD)[0]


@pytest.fixture(scope="module")
def results(stack: Stack, job: dict[str, Any]) -> bytes:
    return stack.get(job["links"]["results"]).raise_for_status().content


def test_results_are_those_without_an_object_store(stack: Stack, service: Stack, results: bytes) -> None:
    assert results == service.score(UPLOAD)[1]


def test_redis_holds_references_alone(stack: Stack, job: dict[str, Any], results: bytes) -> None:
    with connect(Settings(data_dir=stack.folder)) as redis:
        held = sum(int(redis.memory_usage(key, samples=0) or 0) for key in JobKeys.of(job["id"]).all())
    assert held < 20_000 < len(results) / 10


def test_rejects_summary_pages_and_other_formats_work(stack: Stack, job: dict[str, Any]) -> None:
    rejected = sum(1 for n in range(1, ROWS + 1) if n % 75 == 74)
    assert stack.get(job["links"]["rejects"]).text.count("\n") == rejected + 1
    assert stack.get(f"/jobs/{job['id']}").status_code == 200
    parquet = stack.get(job["links"]["results"], params={"format": "parquet"}).raise_for_status().content
    assert pyarrow.parquet.read_table(io.BytesIO(parquet)).num_rows == ROWS


def test_corrections_outlive_the_job_that_they_correct(stack: Stack, results: bytes) -> None:
    job, _ = stack.score(UPLOAD)
    corrected = {"records": [{"_row": 74, "age": 39}]}
    made = stack.request("POST", f"/api/v1/jobs/{job['id']}/corrections", json=corrected).raise_for_status().json()
    assert stack.ended(made)["state"] == "succeeded"
    assert stack.request("DELETE", job["links"]["self"]).status_code == 204
    lines, before = stack.get(made["links"]["results"]).raise_for_status().content.splitlines(), results.splitlines()
    assert len(lines) == len(before) == ROWS + 1
    assert [number for number, line in enumerate(lines) if line != before[number]] == [74]


def test_a_download_that_broke_off_goes_on_where_it_ended(stack: Stack, job: dict[str, Any], results: bytes) -> None:
    url, size = job["links"]["results"], len(results)
    whole = stack.get(url)
    assert (whole.headers["Accept-Ranges"], int(whole.headers["Content-Length"])) == ("bytes", size)
    etag = whole.headers["ETag"]
    for asked, start, end in (
        ("0-0", 0, 1), ("0-99", 0, 100), (f"{size // 2}-", size // 2, size), ("-1000", size - 1000, size),
        (f"150000-{size - 150000}", 150000, size - 149999), (f"10-{size * 2}", 10, size),
    ):  # fmt: skip
        part = stack.get(url, headers={"Range": f"bytes={asked}", "If-Range": etag})
        assert part.status_code == 206
        assert part.headers["Content-Range"] == f"bytes {start}-{end - 1}/{size}"
        assert part.content == results[start:end]


def test_ranges_that_do_not_fit_get_what_the_protocol_says(stack: Stack, job: dict[str, Any], results: bytes) -> None:
    url = job["links"]["results"]
    refused = stack.get(url, headers={"Range": f"bytes={len(results)}-"})
    assert problem_of(refused) == (416, "range_not_satisfiable")
    assert refused.headers["Content-Range"] == f"bytes */{len(results)}"
    ignored = ({"Range": "bytes=0-9", "If-Range": '"another"'}, {"Range": "rows=0-9"}, {"Range": "bytes=5-2"})
    for headers in (*ignored, {"Range": "bytes=0-1,4-5"}, {"Range": "bytes=0-9", "If-Range": f'W/"{job["id"]}"'}):
        answer = stack.get(url, headers=headers)
        assert (answer.status_code, answer.content) == (200, results), headers
    # Rows that are changed for a download have no size that is known before.
    changed = stack.get(url, params={"escape": "formulas"}, headers={"Range": "bytes=0-9"})
    assert (changed.status_code, "Accept-Ranges" in changed.headers) == (200, False)
    head = stack.request("HEAD", url)
    assert (head.status_code, int(head.headers["Content-Length"]), head.content) == (200, len(results), b"")


def test_an_object_that_is_gone_breaks_the_download_off(stack: Stack) -> None:
    job, whole = stack.score(UPLOAD)
    bucket = ObjectBlobs(stack.environment["SCORELINE_STORAGE_URL"], seconds=10)
    bucket.delete([key for key in bucket.keys_in(f"jobs/{job['id']}/") if "/3.output." in key])
    received = b""
    with stack.client() as client, client.stream("GET", job["links"]["results"]) as answer:
        with pytest.raises(httpx.RemoteProtocolError):
            for block in answer.iter_bytes():
                received += block
    assert len(received) < len(whole)
    assert whole.startswith(received)
    # The launcher prints what the web has logged a moment later.
    wait_until(lambda: f"DamagedBlob: jobs/{job['id']}/3.output" in (stack.folder / "log").read_text())


def test_while_the_object_store_is_away_jobs_wait_and_answers_say_so(stack: Stack, objects: ObjectServer) -> None:
    job = stack.upload(UPLOAD).raise_for_status().json()
    log, waits = stack.folder / "log", "the object store does not answer"
    before = log.read_text().count(waits)
    with stack.frozen("-m worker bulk"):
        waiting = stack.upload(UPLOAD, wait=0).raise_for_status().json()
        assert objects.process
        objects.process.send_signal(signal.SIGSTOP)
    try:
        wait_until(lambda: log.read_text().count(waits) > before, 120)
        assert problem_of(stack.get(job["links"]["rejects"] + "/records")) == (503, "storage_unavailable")
        assert stack.job_when(waiting, lambda now: True)["state"] in ("queued", "running")
    finally:
        objects.process.send_signal(signal.SIGCONT)
    ended = stack.ended(waiting)
    assert (ended["state"], ended["rows"]["total"]) == ("succeeded", ROWS)
    assert ended["rows"]["scored"] + ended["rows"]["rejected"] == ROWS
