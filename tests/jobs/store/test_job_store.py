"""The job store on a real server: every chunk is recorded once, whatever is repeated or dies in between."""

from dataclasses import replace

import pytest
from redis.exceptions import RedisError

from jobs.errors import StoreFull, TooManyJobs, UploadEnded, UploadForgotten
from jobs.messages import InputChunk, ScoreChunk, decompress
from jobs.settings import Settings
from jobs.state import JobState
from jobs.store import keys
from jobs.store.chunks import ClaimedChunk, ScoredChunk
from jobs.store.connection import connect
from jobs.store.heartbeat import Heartbeat, Node
from jobs.store.job_store import JobStore
from jobs.store.keys import JobKeys
from tests.jobs.store.conftest import NEW, found, upload
from tests.stack import free_port, wait_until

SCORED = ScoredChunk(b"1,2,x\n", b"", 1, 0, summary={"prediction:x": 1})

ONE, TWO = Node("one", 7, 2), Node("two", 7, 2)


def test_an_upload_is_visible_only_once_it_is_complete(store: JobStore) -> None:
    job_id = upload(store, 2, seal=False)
    assert store.get(job_id) is None
    assert store.page(10, None, None) == []
    store.seal(job_id, total=2)
    assert found(store, job_id).total == 2
    assert [job.id for job in store.page(10, None, None)] == [job_id]


def test_at_most_a_window_of_chunks_is_handed_out_and_each_recorded_one_brings_the_next(store: JobStore) -> None:
    store.begin(NEW)
    sent = [store.append(NEW.id, number, InputChunk(number + 1, 1, b"x\n")) for number in range(5)]
    assert sent == [[0], [1], [], [], []]
    assert store.record(NEW.id, 0, SCORED) == [2]
    assert store.record(NEW.id, 1, SCORED) == [3]
    assert store.record(NEW.id, 1, SCORED) == []


def test_a_chunk_appended_twice_is_there_once(store: JobStore) -> None:
    store.begin(NEW)
    for number in (0, 0, 1, 1):
        store.append(NEW.id, number, InputChunk(1, 1, b"1,2\n"))
    store.seal(NEW.id, total=2)
    assert store.seal(NEW.id, total=2) == []
    assert found(store, NEW.id).chunks == 2


def test_a_chunk_recorded_twice_counts_once(store: JobStore) -> None:
    job_id = upload(store, 2)
    for _ in range(3):
        store.record(job_id, 0, SCORED)
    job = found(store, job_id)
    assert (job.scored, job.done, job.state) == (1, 1, JobState.QUEUED)
    store.record(job_id, 1, replace(SCORED, output=b"other\n"))
    store.record(job_id, 1, SCORED)
    job = found(store, job_id)
    assert (job.scored, job.state, job.progress) == (2, JobState.SUCCEEDED, 1.0)
    assert decompress(store.output(job_id, 1) or b"") == b"other\n"
    assert store.summary(job_id) == {"prediction:x": 2}


def test_repaired_rows_are_listed_until_thousands_have_been_repaired(store: JobStore) -> None:
    """The counts of a summary cannot fill the store, whatever the file."""
    job_id = upload(store, 4)
    for number in range(4):
        repaired = {f"repaired:{number}": 1, "prediction:x": 4000}
        store.record(job_id, number, replace(SCORED, repaired=4000, summary=repaired))
    assert found(store, job_id).repaired == 16000
    assert store.summary(job_id) == {"prediction:x": 16000, "repaired:0": 1, "repaired:1": 1, "repaired:2": 1}


def test_a_claimed_chunk_is_left_alone_until_its_lease_runs_out(store: JobStore) -> None:
    job_id = upload(store, 1)
    claimed = store.claim(job_id, 0, "first")
    assert claimed is not None
    assert (claimed.attempt, claimed.chunk) == (1, InputChunk(1, 1, b"1,2\n"))
    assert found(store, job_id).state is JobState.RUNNING
    assert store.claim(job_id, 0, "second") is None
    assert store.overdue() == []
    assert store.renew(job_id, 0, claimed.owner)
    assert wait_until(store.overdue) == [ScoreChunk(job_id, 0)]
    assert not store.renew(job_id, 0, claimed.owner)
    again = store.claim(job_id, 0, "second")
    assert again is not None
    assert (again.attempt, again.lost) == (1, 1)


def test_a_task_that_comes_again_after_its_process_died_takes_its_own_lease_over(store: JobStore) -> None:
    job_id = upload(store, 1)
    assert store.claim(job_id, 0, "task") is not None
    again = store.claim(job_id, 0, "task")
    assert again is not None
    assert (again.attempt, again.lost) == (1, 1)


def test_a_claim_that_is_repeated_is_one_lease(store: JobStore) -> None:
    """As when the reply was lost on the way and the client repeats the command."""
    job_id = upload(store, 1)
    answers = [store._run("claim", job_id, job_id, 0, "task", "delivery", 5) for _ in range(3)]
    assert [answer[1:3] for answer in answers] == [[1, 0]] * 3


def claim(store: JobStore, job_id: str, task: str) -> ClaimedChunk:
    claimed = store.claim(job_id, 0, task)
    assert claimed is not None
    return claimed


def test_only_failures_by_the_chunk_itself_use_up_an_attempt(store: JobStore) -> None:
    job_id = upload(store, 1)
    assert store.release(job_id, 0, claim(store, job_id, "raised").owner)
    assert store.report_death(job_id, 0, claim(store, job_id, "died").owner.partition(" ")[0], failed=True)
    claim(store, job_id, "killed")
    assert store.report_death(job_id, 0, "killed", failed=False)
    claim(store, job_id, "vanished")
    wait_until(store.overdue)
    last = claim(store, job_id, "last")
    assert (last.attempt, last.lost) == (3, 2)


def test_tasks_running_the_same_attempt_in_parallel_fail_it_once(store: JobStore) -> None:
    job_id = upload(store, 1)
    claim(store, job_id, "first")
    wait_until(store.overdue)
    claim(store, job_id, "second")
    assert not store.report_death(job_id, 0, "first", failed=True)
    assert store.report_death(job_id, 0, "second", failed=True)
    assert not store.report_death(job_id, 0, "second", failed=True)
    assert claim(store, job_id, "third").attempt == 2


def test_a_process_that_dies_after_recording_changes_nothing(store: JobStore) -> None:
    job_id = upload(store, 1)
    claim(store, job_id, "task")
    store.record(job_id, 0, SCORED)
    assert not store.report_death(job_id, 0, "task", failed=True)
    assert found(store, job_id).state is JobState.SUCCEEDED


def test_a_job_whose_model_no_live_worker_can_load_fails_with_the_reason_of_each(
    store: JobStore, settings: Settings
) -> None:
    impatient = JobStore(store.redis, settings.model_copy(update={"model_wait_seconds": 0}))
    job_id = upload(store, 1)
    for node in (ONE, TWO):
        Heartbeat(store.redis, "bulk", node).beat()
    impatient.cannot_load(job_id, 0, claim(store, job_id, "a").owner, ONE, "it is altered")
    again = claim(store, job_id, "b")
    assert (again.attempt, again.lost, found(store, job_id).state) == (1, 0, JobState.RUNNING)
    store.cannot_load(job_id, 0, again.owner, TWO, "it is missing")
    assert found(store, job_id).state is JobState.RUNNING, "the time is not over"
    impatient.cannot_load(job_id, 0, claim(store, job_id, "c").owner, TWO, "it is missing")
    job = found(store, job_id)
    assert job.state is JobState.FAILED
    assert job.error == "the model cannot be used on any worker: one: it is altered; two: it is missing"


def test_a_host_that_could_not_load_a_model_is_forgiven_when_a_chunk_is_recorded(
    store: JobStore, settings: Settings
) -> None:
    impatient = JobStore(store.redis, settings.model_copy(update={"model_wait_seconds": 0}))
    job_id = upload(store, 2)
    for node in (ONE, TWO):
        Heartbeat(store.redis, "bulk", node).beat()
    impatient.cannot_load(job_id, 0, claim(store, job_id, "a").owner, ONE, "it is altered")
    store.record(job_id, 1, SCORED)
    impatient.cannot_load(job_id, 0, claim(store, job_id, "b").owner, TWO, "it is missing")
    assert found(store, job_id).state is JobState.RUNNING


def test_a_job_that_waits_longer_than_its_retention_is_kept(store: JobStore) -> None:
    job_id = upload(store, 1)
    store.redis.expire(JobKeys.of(job_id).job, 60)
    store.overdue()
    assert store.redis.ttl(JobKeys.of(job_id).job) > 60


def test_a_short_lived_job_does_not_shorten_the_life_of_the_list(store: JobStore, settings: Settings) -> None:
    upload(store, 1)
    long = store.redis.ttl(keys.JOBS)
    upload(JobStore(store.redis, settings.model_copy(update={"retention_seconds": 60})), 1)
    assert store.redis.ttl(keys.JOBS) >= long - 1
    assert store.redis.ttl(keys.UNFINISHED) >= long - 1


def test_an_upload_whose_job_was_canceled_ends_and_the_job_stays(store: JobStore) -> None:
    new = replace(NEW, shown=True)
    store.begin(new)
    store.append(new.id, 0, InputChunk(1, 1, b"1,2\n"))
    store.cancel(new.id)
    for go_on in (lambda: store.append(new.id, 1, InputChunk(2, 1, b"1,2\n")), lambda: store.seal(new.id, total=2)):
        with pytest.raises(UploadEnded, match="canceled"):
            go_on()
    store.touch(new.id)
    store.abandon(new.id)
    assert found(store, new.id).state is JobState.CANCELED
    assert store.redis.ttl(JobKeys.of(new.id).job) > 3600


def test_an_upload_whose_job_failed_meanwhile_becomes_that_job(store: JobStore) -> None:
    store.begin(NEW)
    store.append(NEW.id, 0, InputChunk(1, 1, b"1,2\n"))
    store.fail(NEW.id, "the model is broken")
    with pytest.raises(UploadEnded, match="the job failed before the upload was complete: the model is broken"):
        store.append(NEW.id, 1, InputChunk(2, 1, b"1,2\n"))
    idempotency_key = keys.idempotency("failed early")
    assert store.seal(NEW.id, idempotency_key, total=1, fingerprint="f") == []
    job = found(store, NEW.id)
    assert (job.state, job.total, job.error) == (JobState.FAILED, 1, "the model is broken")
    assert store.redis.hget(idempotency_key, "job") == NEW.id.encode()
    assert min(store.redis.ttl(key) for key in (idempotency_key, JobKeys.of(NEW.id).job)) > 3600
    assert [one.id for one in store.page(10, None, None)] == [NEW.id]
    assert store.seal(NEW.id, total=1) == []


@pytest.mark.parametrize("failed", [False, True])
def test_an_abandoned_upload_leaves_nothing(store: JobStore, failed: bool) -> None:
    job_id = upload(store, 2, seal=False)
    if failed:
        store.record(job_id, 0, SCORED)
        store.fail(job_id, "the model is broken")
    store.abandon(job_id)
    assert [key for key in store.redis.keys("*") if job_id.encode() in key] == []
    assert store.redis.zcard(keys.UNFINISHED) == 0


def test_chunks_are_handed_out_even_if_no_worker_is_known(store: JobStore) -> None:
    store.begin(NEW)
    there, store.redis = store.redis, connect(Settings(redis_url=f"redis://127.0.0.1:{free_port()}/0"))
    with pytest.raises(RedisError):
        store.append(NEW.id, 0, InputChunk(1, 1, b"1,2\n"))
    store.redis = there
    assert store.append(NEW.id, 0, InputChunk(1, 1, b"1,2\n")) == [0]


def test_chunks_that_were_never_handed_out_are_sent_by_the_reconciler(store: JobStore, settings: Settings) -> None:
    nobody = JobStore(store.redis, settings.model_copy(update={"bulk_processes": 0}))
    job_id = upload(nobody, 3)
    assert store.overdue() == [ScoreChunk(job_id, 0), ScoreChunk(job_id, 1)]
    assert store.overdue() == []


def test_a_released_chunk_can_be_claimed_at_once(store: JobStore) -> None:
    job_id = upload(store, 1)
    claimed = store.claim(job_id, 0, "first")
    assert claimed is not None
    assert not store.release(job_id, 0, "somebody else")
    assert store.release(job_id, 0, claimed.owner)
    assert store.claim(job_id, 0, "second") is not None


def test_a_chunk_whose_message_was_lost_is_sent_again_with_growing_intervals(store: JobStore) -> None:
    job_id = upload(store, 1)
    assert wait_until(store.overdue) == [ScoreChunk(job_id, 0)]
    due = store.redis.zscore(JobKeys.of(job_id).inflight, "0")
    assert wait_until(store.overdue) == [ScoreChunk(job_id, 0)]
    assert store.redis.zscore(JobKeys.of(job_id).inflight, "0") - due > 0.75


def test_nothing_is_left_to_do_in_a_canceled_job(store: JobStore) -> None:
    job_id = upload(store, 3)
    store.record(job_id, 0, SCORED)
    claimed = store.claim(job_id, 1, "task")
    assert claimed is not None
    store.cancel(job_id)
    assert store.record(job_id, 1, SCORED) == []
    assert store.claim(job_id, 2, "task") is None
    job = found(store, job_id)
    assert (job.state, job.done, job.scored) == (JobState.CANCELED, 1, 1)
    store.fail(job_id, "too late")
    assert found(store, job_id).state is JobState.CANCELED


def test_a_job_of_which_no_row_can_be_scored_fails(store: JobStore) -> None:
    job_id = upload(store, 1)
    store.record(job_id, 0, ScoredChunk(b"1,2,,\n", b"", 0, 1, scoring_failed=1))
    job = found(store, job_id)
    assert (job.state, job.error, job.progress < 1) == (JobState.FAILED, "no row could be scored", True)


def test_a_job_whose_rows_are_all_invalid_succeeds(store: JobStore) -> None:
    job_id = upload(store, 1)
    store.record(job_id, 0, ScoredChunk(b"1,2,,\n", b"x", 0, 1))
    assert found(store, job_id).state is JobState.SUCCEEDED


def test_an_upload_that_expired_cannot_go_on(store: JobStore) -> None:
    job_id = upload(store, 1, seal=False)
    store.redis.unlink(*JobKeys.of(job_id).all())
    with pytest.raises(UploadForgotten):
        store.append(job_id, 1, InputChunk(2, 1, b"1,2\n"))
    with pytest.raises(UploadForgotten):
        store.seal(job_id, total=2)
    assert store.overdue() == []
    assert store.redis.zcard(keys.UNFINISHED) == 0


def test_every_key_has_a_lifetime(store: JobStore) -> None:
    job_id = upload(store, 3)
    store.claim(job_id, 0, "task")
    store.record(job_id, 0, SCORED)
    store.claim(job_id, 1, "task")
    wait_until(store.overdue)
    assert store.is_turn_to_reconcile("here")
    assert {key: store.redis.ttl(key) for key in store.redis.keys("*") if store.redis.ttl(key) < 0} == {}
    store.remove(job_id)
    assert [key for key in store.redis.keys("*") if job_id.encode() in key] == []


def test_one_process_reconciles_at_a_time(store: JobStore) -> None:
    assert store.is_turn_to_reconcile("here")
    assert not store.is_turn_to_reconcile("there")
    assert store.is_turn_to_reconcile("here")


def test_a_full_store_takes_no_upload_and_finishes_what_it_has(store: JobStore, settings: Settings) -> None:
    job_id = upload(store, 1)
    store.claim(job_id, 0, "task")
    before, used = store.redis.config_get("maxmemory"), store.redis.info("memory")["used_memory"]
    store.redis.config_set("maxmemory", used)
    try:
        with pytest.raises(StoreFull):
            store.check_room()
        store.redis.config_set("maxmemory", used // 2)
        store.record(job_id, 0, SCORED)
        assert found(store, job_id).state is JobState.SUCCEEDED
    finally:
        store.redis.config_set("maxmemory", before["maxmemory"])


def test_beyond_the_maximum_number_of_jobs_uploads_are_refused(store: JobStore, settings: Settings) -> None:
    few = JobStore(store.redis, settings.model_copy(update={"max_unfinished_jobs": 2}))
    upload(store, 1)
    few.check_room()
    upload(store, 1)
    with pytest.raises(TooManyJobs):
        few.check_room()


def test_jobs_that_came_before_are_counted(store: JobStore) -> None:
    ids = [upload(store, 1) for _ in range(3)]
    assert [store.queue_position(found(store, job_id)) for job_id in ids] == [0, 1, 2]
    store.claim(ids[0], 0, "task")
    store.record(ids[0], 0, SCORED)
    assert [store.queue_position(found(store, job_id)) for job_id in ids] == [None, 0, 1]
