"""Chunks in an object store: Redis holds references alone, and no object is lost, taken for another, or left behind."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.errors import DamagedBlob, StorageFull, StorageUnavailable, UnsuitableStorage
from jobs.messages import CorrectedRows, InputChunk, Queue, ScoreChunk, decompress
from jobs.settings import Settings
from jobs.state import JobState
from jobs.store import keys
from jobs.store.chunks import ClaimedChunk, Corrections, ScoredChunk
from jobs.store.connection import connect
from jobs.store.job_store import JobStore
from jobs.store.keys import JobKeys
from jobs.store.sweeper import Sweeper
from tests.jobs.store.conftest import NEW, found
from tests.object_store import files_in
from tests.stack import wait_until

ROWS = os.urandom(100_000).hex().encode() + b"\n"
SCORED = ScoredChunk(ROWS[:-1] + b",x\n", b"1,a,,missing,a is missing\n", 0, 1, originals={0: ROWS})


@pytest.fixture
def share(tmp_path: Path) -> Path:
    folder = tmp_path / "share"
    folder.mkdir()
    return folder


@pytest.fixture
def settings(server: Settings, share: Path) -> Settings:
    changes = {"lease_seconds": 0.2, "bulk_processes": 1, "storage_url": f"file://{share}"}
    return server.model_copy(update=changes)


@pytest.fixture
def sweeper(store: JobStore, settings: Settings) -> Sweeper:
    return Sweeper(store.redis, settings, grace_seconds=0)


def upload(store: JobStore, job_id: str, chunks: int = 1) -> str:
    store.begin(replace(NEW, id=job_id))
    for number in range(chunks):
        store.append(job_id, number, InputChunk(number + 1, 1, ROWS))
    store.seal(job_id, total=chunks)
    return job_id


def claim(store: JobStore, job_id: str, chunk: int = 0, task: str = "task") -> ClaimedChunk:
    claimed = store.claim(job_id, chunk, task)
    assert claimed is not None
    return claimed


def scored(store: JobStore, job_id: str, chunks: int = 1) -> str:
    """A job whose chunks are all scored."""
    upload(store, job_id, chunks)
    for chunk in range(chunks):
        store.record(job_id, chunk, SCORED, claim(store, job_id, chunk))
    return job_id


def test_redis_holds_state_alone(store: JobStore, share: Path) -> None:
    job_id = upload(store, "a", chunks=3)
    assert claim(store, job_id).chunk.data == ROWS
    store.record(job_id, 0, SCORED, claim(store, job_id, 0, "task"))
    assert decompress(store.output(job_id, 0) or b"") == SCORED.output
    assert b"is missing" in decompress(store.rejects(job_id, 0) or b"")
    held = sum(len(value) for key in JobKeys.of(job_id).all()[1:4] for value in store.redis.hvals(key))
    assert held < 4 * 150 < len(ROWS)
    # The rows of a chunk are there once: before they are scored, or after.
    names = sorted(path.name.rpartition(".")[0] for path in files_in(share))
    assert names == ["0.output", "0.rejects", "1", "2"]


def test_a_worker_that_lost_its_lease_records_nothing(store: JobStore) -> None:
    """Its object may have been swept: a reference to it must not become the result."""
    job_id = upload(store, "a")
    slow = claim(store, job_id, task="slow")
    wait_until(lambda: ScoreChunk(job_id, 0) in store.overdue())
    assert store.record(job_id, 0, replace(SCORED, output=b"late\n"), slow) == []
    assert found(store, job_id).done == 0
    quick = claim(store, job_id, task="quick")
    store.record(job_id, 0, SCORED, quick)
    store.record(job_id, 0, replace(SCORED, output=b"late\n"), slow)
    assert decompress(store.output(job_id, 0) or b"") == SCORED.output
    assert found(store, job_id).state is JobState.SUCCEEDED


def test_rows_that_are_gone_fail_the_job_and_are_named(store: JobStore, share: Path) -> None:
    job_id = upload(store, "a", chunks=2)
    for path in share.rglob("1.*"):
        path.unlink()
    assert store.claim(job_id, 1, "task") is None
    job = found(store, job_id)
    assert job.state is JobState.FAILED
    assert (job.error or "").startswith("the rows of chunk 1 are lost: jobs/a/1.")
    assert " is gone from file:///" in (job.error or "")


@pytest.mark.parametrize(
    "change", [lambda content: content[:-1], lambda content: bytes([content[0] ^ 1]) + content[1:]]
)
def test_results_that_were_altered_are_not_taken_for_results(store: JobStore, share: Path, change: object) -> None:
    job_id = scored(store, "a")
    [path] = share.rglob("0.output.*")
    path.write_bytes(change(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(DamagedBlob, match=r"^a/0\.output\.\w+ was altered: its size or its SHA-256 is not the one"):
        store.output(job_id, 0)


def test_a_chunk_waits_while_the_storage_is_away_and_loses_no_attempt(store: JobStore, share: Path) -> None:
    job_id = upload(store, "a")
    claimed = claim(store, job_id)
    share.rename(share.with_name("away"))
    with pytest.raises(StorageUnavailable):
        store.record(job_id, 0, SCORED, claimed)
    store.postpone(job_id, 0, claimed.owner)
    assert store.claim(job_id, 0, "another") is None
    share.with_name("away").rename(share)
    again = claim(store, job_id, task="third")
    assert (again.attempt, again.lost) == (1, 0)
    store.record(job_id, 0, SCORED, again)
    assert found(store, job_id).state is JobState.SUCCEEDED


def test_a_postponed_chunk_is_sent_again(store: JobStore) -> None:
    job_id = upload(store, "a")
    store.redis.delete(keys.queue(Queue.BULK.value))
    store.postpone(job_id, 0, claim(store, job_id).owner)
    assert store.overdue() == []
    wait_until(lambda: store.overdue() == [ScoreChunk(job_id, 0)])


def test_jobs_from_before_the_storage_was_set_up_go_on(store: JobStore, server: Settings, share: Path) -> None:
    inside = JobStore(store.redis, server)
    job_id = upload(inside, "a", chunks=2)
    inside.record(job_id, 0, SCORED)
    store.record(job_id, 1, SCORED, claim(store, job_id, 1))
    assert [decompress(store.output(job_id, chunk) or b"") for chunk in (0, 1)] == 2 * [SCORED.output]
    with pytest.raises(StorageUnavailable, match="SCORELINE_STORAGE_URL does not name it"):
        inside.output(job_id, 1)


def test_what_a_full_storage_does_not_take_is_said(store: JobStore, tmp_path: Path) -> None:
    """A folder of which the quota is used up; here, one that an error of the system stands for."""
    store.begin(replace(NEW, id="a"))
    store.payloads.blobs.put = full  # type: ignore[method-assign]
    with pytest.raises(StorageFull):
        store.append("a", 0, InputChunk(1, 1, ROWS))


def full(*_: object) -> None:
    raise StorageFull("file:///share is full")


# Sweeping


def names_in(share: Path) -> list[str]:
    folder = share / "jobs"
    return [str(path.relative_to(folder)).rpartition(".")[0] for path in files_in(folder)]


def test_what_lost_workers_wrote_is_swept_once_the_job_has_ended(
    store: JobStore, share: Path, sweeper: Sweeper
) -> None:
    job_id = upload(store, "a", chunks=2)
    slow = claim(store, job_id, task="slow")
    wait_until(lambda: ScoreChunk(job_id, 0) in store.overdue())
    store.record(job_id, 0, SCORED, claim(store, job_id, task="quick"))
    store.record(job_id, 0, SCORED, slow)
    assert names_in(share).count("a/0.output") == 2
    assert sweeper.sweep() == 0
    store.record(job_id, 1, SCORED, claim(store, job_id, 1))
    assert sweeper.sweep() == 2
    assert names_in(share) == ["a/0.output", "a/0.rejects", "a/1.output", "a/1.rejects"]
    assert decompress(store.output(job_id, 0) or b"") == SCORED.output
    assert sweeper.sweep() == 0


def test_jobs_that_are_gone_leave_nothing(store: JobStore, share: Path, sweeper: Sweeper) -> None:
    for job_id in ("deleted", "expired", "refused", "canceled", "kept"):
        upload(store, job_id)
    store.begin(replace(NEW, id="running"))
    store.append("running", 0, InputChunk(1, 1, ROWS))
    store.remove("deleted")
    store.redis.delete(*JobKeys.of("expired").all())
    store.cancel("canceled")
    store.begin(replace(NEW, id="broken"))
    store.append("broken", 0, InputChunk(1, 1, ROWS))
    store.abandon("broken")
    assert sweeper.sweep() == 4
    assert names_in(share) == ["kept/0", "refused/0", "running/0"]


def test_nothing_is_swept_before_its_time(store: JobStore, share: Path, settings: Settings) -> None:
    """An object is written before anything refers to it, and a listing may come in between."""
    patient = Sweeper(store.redis, settings, grace_seconds=3600)
    upload(store, "a")
    store.remove("a")
    assert (patient.sweep(), patient.sweep()) == (0, 0)
    assert names_in(share) == ["a/0"]


def test_a_redis_that_lost_its_jobs_does_not_have_their_objects_swept(
    store: JobStore, share: Path, sweeper: Sweeper
) -> None:
    """Started with an empty folder, say: the right one may come back."""
    upload(store, "a")
    assert sweeper.sweep() == 0
    store.redis.flushall()
    with pytest.raises(UnsuitableStorage, match="holds the jobs of another Redis"):
        sweeper.sweep()
    assert names_in(share) == ["a/0"]


def test_corrections_keep_the_objects_of_what_they_correct(store: JobStore, share: Path, sweeper: Sweeper) -> None:
    scored(store, "first", chunks=2)
    corrections = Corrections("first", {1: CorrectedRows((2,), ROWS)})
    assert store.correct("second", corrections) == [1]
    third = claim(store, "second", 1)
    assert third.replaced is not None
    assert third.replaced.output == SCORED.output
    store.remove("first")
    assert sweeper.sweep() == 0
    store.record("second", 1, SCORED, third)
    assert sweeper.sweep() == 2  # the results of the chunk that was corrected
    assert names_in(share) == ["first/0.output", "first/0.rejects", "second/1.output", "second/1.rejects"]
    assert [decompress(store.output("second", chunk) or b"") for chunk in (0, 1)] == 2 * [SCORED.output]
    store.correct("third", Corrections("second", {0: CorrectedRows((1,), ROWS)}))
    store.remove("second")
    assert sweeper.sweep() == 0
    store.remove("third")
    assert sweeper.sweep() == 3
    assert names_in(share) == []


@pytest.fixture
def store(settings: Settings) -> Iterator[JobStore]:
    redis = connect(settings)
    redis.flushall()
    yield JobStore(redis, settings)
    redis.close()
