"""Who owns what in the store: lists per owner, idempotency keys per owner, predictions, and limits per user."""

from dataclasses import replace

import pytest

from jobs.errors import RateLimited
from jobs.messages import InputChunk
from jobs.settings import Settings
from jobs.state import JobState, Owner, Visibility
from jobs.store import keys
from jobs.store.chunks import NewJob
from jobs.store.idempotency import IdempotencyKey
from jobs.store.job_store import JobStore
from jobs.store.prediction_store import PredictionStore, new_id
from jobs.store.user_limits import UserLimits
from tests.jobs.store.conftest import NEW, found

ANN, BEN = Owner("1", "Ann"), Owner("2", "Ben")


def sealed(store: JobStore, owner: Owner, visibility: Visibility = Visibility.PRIVATE) -> str:
    new: NewJob = replace(NEW, id=new_id(), owner=owner, visibility=visibility)
    store.begin(new)
    store.append(new.id, 0, InputChunk(1, 1, b"1,2\n"))
    store.seal(new.id, total=1)
    return new.id


def ids(store: JobStore, *lists: str) -> list[str]:
    return [job.id for job in store.page(10, None, None, lists)]


def test_a_job_says_whose_it_is_and_who_sees_it(store: JobStore) -> None:
    job = found(store, sealed(store, ANN, Visibility.TEAM))
    assert (job.owner, job.visibility) == (ANN, Visibility.TEAM)
    assert found(store, sealed(store, Owner())).owner == Owner()


def test_each_owner_has_a_list_and_so_does_the_team(store: JobStore) -> None:
    anns, bens = sealed(store, ANN), sealed(store, BEN)
    shown = sealed(store, BEN, Visibility.TEAM)
    assert ids(store, keys.jobs_of("1")) == [anns]
    assert ids(store, keys.jobs_of("1"), keys.TEAM_JOBS) == [shown, anns]
    assert ids(store, keys.jobs_of("2"), keys.TEAM_JOBS) == [shown, bens]  # each once
    assert ids(store, keys.JOBS) == [shown, bens, anns]


def test_pages_over_two_lists_are_complete_and_in_order(store: JobStore) -> None:
    mine = [sealed(store, ANN if number % 3 else BEN, Visibility.TEAM) for number in range(240)]
    lists, before, seen = (keys.jobs_of("1"), keys.TEAM_JOBS), None, list[str]()
    while jobs := store.page(50, before, None, lists):
        seen += [job.id for job in jobs]
        before = (jobs[-1].created, jobs[-1].id)
    assert seen == mine[::-1]


def test_a_page_reads_no_job_of_others(store: JobStore) -> None:
    for _ in range(30):
        sealed(store, BEN)
    anns = sealed(store, ANN)
    store.redis.config_resetstat()
    assert ids(store, keys.jobs_of("1"), keys.TEAM_JOBS) == [anns]
    assert store.redis.info("commandstats")["cmdstat_hgetall"]["calls"] == 1


def test_a_removed_job_leaves_the_list_of_its_owner(store: JobStore) -> None:
    store.remove(sealed(store, ANN))
    assert ids(store, keys.jobs_of("1")) == []
    assert store.redis.zcard(keys.jobs_of("1")) == 0


def test_lists_of_owners_expire_with_their_last_job(store: JobStore) -> None:
    sealed(store, ANN, Visibility.TEAM)
    for name in (keys.JOBS, keys.jobs_of("1"), keys.TEAM_JOBS):
        assert 0 < store.redis.ttl(name) <= 7 * 86400


def test_an_idempotency_key_of_one_owner_says_nothing_to_another(store: JobStore, settings: Settings) -> None:
    first = IdempotencyKey(store.redis, settings, "same", "1")
    assert first.begin() is None
    new = replace(NEW, id=new_id())
    store.begin(new)
    store.append(new.id, 0, InputChunk(1, 1, b"1,2\n"))
    store.seal(new.id, first.key, total=1, fingerprint="f")
    again = IdempotencyKey(store.redis, settings, "same", "1").begin()
    assert again is not None
    assert again.job_id == new.id
    assert IdempotencyKey(store.redis, settings, "same", "2").begin() is None
    assert IdempotencyKey(store.redis, settings, "same").begin() is None


def test_a_prediction_keeps_its_owner_after_it_is_answered(store: JobStore, settings: Settings) -> None:
    predictions, mine, nobodys = PredictionStore(store.redis, settings), new_id(), new_id()
    predictions.submit({mine: {"owner": "1"}, nobodys: {}})
    predictions.finish([(waiting, {"items": []}) for waiting in predictions.take([mine, nobodys])])
    stored = [predictions.get(name) for name in (mine, nobodys)]
    assert [(one.owner, one.result) for one in stored if one] == [("1", {"items": []}), ("", {"items": []})]


def test_a_user_has_no_more_unfinished_jobs_than_allowed(store: JobStore, settings: Settings) -> None:
    limits = UserLimits(store.redis, settings.model_copy(update={"user_jobs": 2}))
    first = sealed(store, ANN)
    for owner in (ANN, BEN, BEN):
        sealed(store, owner)
    for owner in (ANN, BEN):
        with pytest.raises(RateLimited, match="2 jobs of this user"):
            limits.check_jobs(owner.id)
    store.cancel(first)
    limits.check_jobs(ANN.id)
    limits.check_jobs("")  # nobody's jobs have no limit


def test_a_user_sends_no_more_rows_a_day_than_allowed(store: JobStore, settings: Settings) -> None:
    limits = UserLimits(store.redis, settings.model_copy(update={"user_rows_per_day": 10}))
    limits.reserve_rows("1", 6)
    with pytest.raises(RateLimited, match="10 rows a day") as refused:
        limits.reserve_rows("1", 5)
    assert 0 < refused.value.retry_after <= 86400
    limits.reserve_rows("1", 4)
    limits.reserve_rows("2", 10)
    limits.reserve_rows("", 100)


def test_what_was_stored_before_there_were_owners_is_nobodys(store: JobStore) -> None:
    job_id = sealed(store, Owner())
    store.redis.hdel(keys.job(job_id), "owner", "owner_name", "visibility")
    job = found(store, job_id)
    assert (job.owner, job.visibility, job.state) == (Owner(), Visibility.PRIVATE, JobState.QUEUED)
