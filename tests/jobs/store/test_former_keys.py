"""Keys of versions before the hash tag: the first process that uses the store renames all of them."""

from jobs.settings import Settings
from jobs.state import JobState
from jobs.store import keys
from jobs.store.chunks import ScoredChunk
from jobs.store.connection import connect
from jobs.store.job_store import JobStore
from jobs.store.outbox import Outbox
from jobs.store.server_check import StoreCheck
from tests.jobs.store.conftest import found, upload

SCORED = ScoredChunk(b"1,2,x\n", b"", 1, 0)


def make_former(store: JobStore) -> None:
    """Give all keys the names that a former version gives them."""
    for raw in store.redis.keys(f"{keys.PREFIX}*"):
        store.redis.rename(raw, raw.decode().replace(keys.PREFIX, keys.FORMER_PREFIX, 1))


def test_a_job_of_a_former_version_goes_on(store: JobStore, settings: Settings) -> None:
    job_id = upload(store, 2)
    store.record(job_id, 0, SCORED)
    lifetime = store.redis.ttl(keys.JOBS)
    make_former(store)
    assert store.get(job_id) is None
    for _ in range(2):
        assert StoreCheck(store.redis, settings).faults() == []
    assert [job.id for job in store.page(10, None, None)] == [job_id]
    store.record(job_id, 1, SCORED)
    assert (found(store, job_id).state, found(store, job_id).scored) == (JobState.SUCCEEDED, 2)
    assert store.redis.keys(f"{keys.FORMER_PREFIX}*") == []
    assert abs(store.redis.ttl(keys.JOBS) - lifetime) < 60


def test_jobs_of_both_versions_are_listed(store: JobStore, settings: Settings) -> None:
    """As after a return to the former version."""
    former = upload(store, 1)
    make_former(store)
    newer = upload(store, 1)
    assert StoreCheck(store.redis, settings).faults() == []
    assert [job.id for job in store.page(10, None, None)] == [newer, former]
    assert store.redis.ttl(keys.JOBS) > 3600
    assert store.redis.keys(f"{keys.FORMER_PREFIX}*") == []


def test_jobs_of_both_versions_reach_the_history(store: JobStore, settings: Settings) -> None:
    former = upload(store, 1)
    store.record(former, 0, SCORED)
    make_former(store)
    newer = upload(store, 1)
    store.record(newer, 0, SCORED)
    assert StoreCheck(store.redis, settings).faults() == []
    entries = Outbox(store.redis, settings.full_ratio).read(10, 100_000)
    assert {entry.fields["id"] for entry in entries} == {former, newer}
    assert store.redis.ttl(keys.OUTBOX) > 3600


def test_other_keys_stay(store: JobStore, settings: Settings) -> None:
    upload(store, 1)
    make_former(store)
    store.redis.set("somebody:else", 1)
    with connect(settings) as redis:
        assert StoreCheck(redis, settings).faults() == []
    assert store.redis.get("somebody:else") == b"1"
