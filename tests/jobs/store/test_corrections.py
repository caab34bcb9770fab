"""Corrections in the job store: the new job begins as a copy of the corrected one, and lives apart from it."""

import secrets
from dataclasses import replace

import pytest
from redis.exceptions import RedisError

from jobs.errors import StoreFull
from jobs.messages import CorrectedRows, InputChunk, Rejects, decompress
from jobs.settings import Settings
from jobs.state import JobState, Owner, Visibility
from jobs.store import keys
from jobs.store.chunks import Corrections, ReplacedChunk, ScoredChunk
from jobs.store.idempotency import FirstUpload, IdempotencyKey, Overtaken
from jobs.store.job_store import JobStore
from jobs.store.outbox import Outbox
from tests.jobs.store.conftest import found, upload

CHUNKS = 5
REJECTS = Rejects(b"1,a,x,code,why,1,x\n", {})


def rejecting(number: int) -> ScoredChunk:
    """A chunk of three rows, of which one is rejected."""
    output = f"{number},2,x\n{number},2,x\n1,x,\n".encode()
    return ScoredChunk(output, REJECTS.lines, 2, 1, summary={"prediction:x": 2, "fault:code:a": 1})


def corrected_job(store: JobStore) -> str:
    """A job that has succeeded, with a rejected row in each of its chunks."""
    job_id = upload(store, CHUNKS)
    for number in range(CHUNKS):
        store.record(job_id, number, rejecting(number))
    return job_id


def corrections(corrects: str, *numbers: int) -> Corrections:
    return Corrections(corrects, {number: CorrectedRows((3 * number + 3,), b"1,5\n") for number in numbers})


def correct(store: JobStore, corrects: str, *numbers: int) -> tuple[str, list[int]]:
    job_id = secrets.token_hex(16)
    sent = store.correct(job_id, corrections(corrects, *numbers))
    assert sent is not None
    return job_id, sent


def right(number: int) -> ScoredChunk:
    """The same chunk, in which no row is rejected."""
    summary = {"prediction:x": 1, "fault:code:a": -1}
    return ScoredChunk(f"{number},2,x\n{number},2,x\n1,5,x\n".encode(), b"", 1, 0, summary=summary)


def test_only_the_chunks_with_corrections_are_scored_and_the_rest_is_a_copy(store: JobStore) -> None:
    corrects = corrected_job(store)
    job_id, sent = correct(store, corrects, 1, 3)
    assert sent == [1, 3]
    job = found(store, job_id)
    assert (job.state, job.corrects, job.chunks, job.done) == (JobState.QUEUED, corrects, CHUNKS, CHUNKS - 2)
    assert (job.total, job.scored, job.rejected) == (CHUNKS, 2 * CHUNKS, CHUNKS - 2)
    assert found(store, corrects).corrected_by == (job_id,)
    claimed = store.claim(job_id, 1, "task")
    assert claimed is not None
    assert claimed.chunk == InputChunk(1, 1, b"1,5\n")
    assert claimed.replaced == ReplacedChunk((6,), rejecting(1).output, REJECTS)
    store.record(job_id, 1, right(1))
    store.record(job_id, 1, right(1))
    store.record(job_id, 3, right(3))
    job = found(store, job_id)
    assert (job.state, job.scored, job.rejected, job.done) == (JobState.SUCCEEDED, 2 * CHUNKS + 2, CHUNKS - 2, CHUNKS)
    outputs = [decompress(store.output(job_id, number) or b"") for number in range(CHUNKS)]
    assert outputs == [(right if number in (1, 3) else rejecting)(number).output for number in range(CHUNKS)]
    assert store.chunks_with_rejects(job_id) == [0, 2, 4]
    assert store.summary(job_id) == {"prediction:x": 2 * CHUNKS + 2, "fault:code:a": CHUNKS - 2}
    assert store.chunks_with_rejects(corrects) == list(range(CHUNKS))
    assert store.summary(corrects) == {"prediction:x": 2 * CHUNKS, "fault:code:a": CHUNKS}


def test_counts_that_come_to_nothing_are_no_longer_there(store: JobStore) -> None:
    corrects = corrected_job(store)
    job_id, _ = correct(store, corrects, *range(CHUNKS))
    for number in range(CHUNKS):
        store.record(job_id, number, right(number))
    assert store.summary(job_id) == {"prediction:x": 3 * CHUNKS}


def test_corrections_are_handed_out_by_the_window_too(store: JobStore) -> None:
    corrects = corrected_job(store)
    job_id, sent = correct(store, corrects, 0, 2, 3, 4)
    assert sent == [0, 2]
    assert store.record(job_id, 2, right(2)) == [3]
    assert store.record(job_id, 0, right(0)) == [4]


def test_deleting_the_corrected_job_harms_nothing(store: JobStore) -> None:
    corrects = corrected_job(store)
    job_id, _ = correct(store, corrects, 1)
    store.remove(corrects)
    assert store.claim(job_id, 1, "task") is not None
    store.record(job_id, 1, right(1))
    assert found(store, job_id).state is JobState.SUCCEEDED
    assert all(store.output(job_id, number) for number in range(CHUNKS))


def test_all_keys_of_a_job_of_corrections_expire(store: JobStore, settings: Settings) -> None:
    corrects = corrected_job(store)
    for key in store.redis.scan_iter(f"*{corrects}*"):
        store.redis.expire(key, 50)
    job_id, _ = correct(store, corrects, 1)
    lives = {key: store.redis.ttl(key) for key in store.redis.scan_iter(f"*{job_id}*")}
    assert all(settings.retention_seconds - 10 < life <= settings.retention_seconds for life in lives.values()), lives
    assert all(store.redis.ttl(key) <= 50 for key in store.redis.scan_iter(f"*{corrects}*"))


def test_what_is_repeated_after_a_lost_reply_changes_nothing(store: JobStore) -> None:
    corrects, job_id = corrected_job(store), secrets.token_hex(16)
    assert store.correct(job_id, corrections(corrects, 1)) == [1]
    assert store.correct(job_id, corrections(corrects, 1)) == []
    assert found(store, corrects).corrected_by == (job_id,)
    assert found(store, job_id).rejected == CHUNKS - 1


@pytest.mark.parametrize("state", ["unknown", "running", "canceled"])
def test_only_a_job_that_has_succeeded_is_corrected(store: JobStore, state: str) -> None:
    corrects = secrets.token_hex(16) if state == "unknown" else upload(store, 2)
    if state == "canceled":
        store.cancel(corrects)
    job_id = secrets.token_hex(16)
    assert store.correct(job_id, corrections(corrects, 0)) is None
    assert store.get(job_id) is None


def test_two_that_correct_one_job_get_a_job_each(store: JobStore) -> None:
    corrects = corrected_job(store)
    one, _ = correct(store, corrects, 1)
    two, _ = correct(store, corrects, 1, 2)
    for job_id, numbers in ((one, [1]), (two, [1, 2])):
        for number in numbers:
            store.record(job_id, number, right(number))
    assert found(store, corrects).corrected_by == (one, two)
    assert (found(store, one).rejected, found(store, two).rejected) == (CHUNKS - 1, CHUNKS - 2)


def test_corrections_are_corrected_in_turn(store: JobStore) -> None:
    corrects = corrected_job(store)
    one, _ = correct(store, corrects, 1)
    store.record(one, 1, right(1))
    two, sent = correct(store, one, 2)
    assert sent == [2]
    store.record(two, 2, right(2))
    job = found(store, two)
    assert (job.state, job.corrects, job.corrected_by, job.rejected) == (JobState.SUCCEEDED, one, (), CHUNKS - 2)


def test_one_idempotency_key_makes_one_job(store: JobStore, settings: Settings) -> None:
    corrects, jobs = corrected_job(store), [secrets.token_hex(16) for _ in range(2)]
    key = IdempotencyKey(store.redis, settings, "key")
    assert key.begin() is None
    assert store.correct(jobs[0], corrections(corrects, 1), key.key, "print") == [1]
    with pytest.raises(Overtaken) as overtaken:
        store.correct(jobs[1], corrections(corrects, 1), key.key, "other")
    assert overtaken.value.first == FirstUpload(jobs[0], "print") == key.begin()
    assert store.get(jobs[1]) is None


def test_rows_that_the_model_had_failed_on_count_anew(store: JobStore) -> None:
    corrects = upload(store, 1)
    store.record(corrects, 0, replace(rejecting(0), scoring_failed=1))
    job_id = secrets.token_hex(16)
    store.correct(job_id, replace(corrections(corrects, 0), scoring_failed=1))
    store.record(job_id, 0, right(0))
    assert store.redis.hget(keys.job(job_id), "scoring_failed") == b"0"


@pytest.mark.parametrize("settings", ["redis"], indirect=True)
def test_corrections_are_refused_where_the_store_has_no_room_for_a_copy(store: JobStore) -> None:
    corrects = upload(store, 1)
    store.record(corrects, 0, replace(rejecting(0), output=secrets.token_bytes(1 << 22)))
    store.check_copy(corrects)
    before, used = store.redis.config_get("maxmemory"), store.redis.info("memory")["used_memory"]
    store.redis.config_set("maxmemory", used + (1 << 21))
    try:
        with pytest.raises(StoreFull):
            store.check_copy(corrects)
        store.redis.config_set("maxmemory", used // 2)
        with pytest.raises(RedisError):
            store.correct(secrets.token_hex(16), corrections(corrects, 0))
    finally:
        store.redis.config_set("maxmemory", before["maxmemory"])
    assert found(store, corrects).corrected_by == ()
    assert len(store.page(10, None, None)) == 1


@pytest.mark.parametrize("visibility", Visibility)
def test_corrections_belong_to_whoever_makes_them(store: JobStore, visibility: Visibility) -> None:
    corrects, job_id = corrected_job(store), secrets.token_hex(16)
    store.redis.hset(keys.job(corrects), mapping={"owner": "1", "owner_name": "Ann", "visibility": "team"})
    ben = Owner("2", "Ben")
    assert store.correct(job_id, replace(corrections(corrects, 0), owner=ben, visibility=visibility)) == [0]
    assert (found(store, job_id).owner, found(store, job_id).visibility) == (ben, visibility)
    assert found(store, corrects).owner == Owner("1", "Ann")
    lists = (keys.jobs_of("1"), keys.jobs_of("2"), keys.TEAM_JOBS)
    listed = [[job.id for job in store.page(10, None, None, [name])] for name in lists]
    assert listed == [[], [job_id], [job_id] if visibility is Visibility.TEAM else []]


def test_corrections_are_told_of_once_when_they_end(store: JobStore) -> None:
    corrects, outbox = corrected_job(store), Outbox(store.redis, 0.8)
    job_id, _ = correct(store, corrects, 0)
    store.record(job_id, 0, right(0))
    first, second = outbox.read(10, 1000)
    assert (first.fields["id"], first.fields["rejected"]) == (corrects, str(CHUNKS))
    assert (second.fields["id"], second.fields["state"]) == (job_id, "succeeded")
    assert (second.fields["scored"], second.fields["rejected"]) == (str(2 * CHUNKS + 1), str(CHUNKS - 1))
