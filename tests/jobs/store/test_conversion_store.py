"""A conversion in the store: one converter at a time, and chunks that are made twice are stored once."""

from dataclasses import replace

import pytest

from jobs.messages import CONVERSION, InputChunk, ScoreChunk
from jobs.state import JobState
from jobs.store.chunks import NewJob, ScoredChunk
from jobs.store.conversion_store import ConversionLost
from jobs.store.job_record import JobField
from jobs.store.job_store import JobStore
from jobs.store.keys import JobKeys
from jobs.store.outbox import Outbox
from tests.jobs.store.conftest import NEW, found
from tests.stack import wait_until


def workbook(store: JobStore) -> str:
    """A file that is stored and to be converted."""
    new = replace(NEW, id=NewJob.__dataclass_fields__["id"].default_factory(), format="xlsx", header=b"")  # type: ignore[misc]
    store.begin(new)
    for number in range(2):
        store.append_source(new.id, number, b"block %d" % number)
    assert store.seal(new.id, total=None) == [CONVERSION]
    return new.id


def rows(number: int) -> InputChunk:
    return InputChunk(number + 1, 1, b"1,2\n")


def test_a_file_is_converted_scored_and_dropped(store: JobStore) -> None:
    job_id = workbook(store)
    assert (found(store, job_id).is_converting, found(store, job_id).progress) == (True, 0.0)
    claimed = store.claim(job_id, CONVERSION, "task")
    assert claimed
    assert [store.source_block(job_id, number) for number in range(claimed.chunk.rows)] == [b"block 0", b"block 1"]
    store.begin_conversion(job_id, claimed.owner, {JobField.HEADER: b"a,b,prediction"})
    assert store.append_converted(job_id, claimed.owner, 0, rows(0), 0.5) == [0]
    assert store.claim(job_id, 0, "scorer")
    store.record(job_id, 0, ScoredChunk(b"", b"", 1, 0))
    # Every chunk that there is has been recorded, but there will be more.
    assert (found(store, job_id).state, found(store, job_id).progress) == (JobState.RUNNING, 0.25)
    assert store.append_converted(job_id, claimed.owner, 1, rows(1), 1.0) == [1]
    store.end_conversion(job_id, claimed.owner, 2, 2, {JobField.TOTAL: 2})
    assert (found(store, job_id).is_converting, found(store, job_id).progress) == (False, 0.75)
    assert store.redis.hkeys(JobKeys.of(job_id).input) == [b"1"]
    store.record(job_id, 1, ScoredChunk(b"", b"", 1, 0))
    assert (found(store, job_id).state, found(store, job_id).progress) == (JobState.SUCCEEDED, 1.0)


def test_a_job_whose_chunks_are_all_recorded_ends_with_its_conversion(store: JobStore) -> None:
    job_id = workbook(store)
    claimed = store.claim(job_id, CONVERSION, "task")
    assert claimed
    store.append_converted(job_id, claimed.owner, 0, rows(0), 1.0)
    store.record(job_id, 0, ScoredChunk(b"", b"", 1, 0))
    assert store.end_conversion(job_id, claimed.owner, 2, 1, {JobField.TOTAL: 1}) == []
    assert found(store, job_id).state is JobState.SUCCEEDED
    [entry] = Outbox(store.redis, 0.8).read(10, 1000)
    assert (entry.fields["id"], entry.fields["state"], entry.fields["total"]) == (job_id, "succeeded", "1")


def test_a_second_converter_takes_over_where_the_first_went_silent(store: JobStore) -> None:
    job_id = workbook(store)
    first = store.claim(job_id, CONVERSION, "first")
    assert first
    assert store.claim(job_id, CONVERSION, "second") is None
    store.append_converted(job_id, first.owner, 0, rows(0), 0.4)
    store.append_converted(job_id, first.owner, 1, rows(1), 0.8)
    wait_until(lambda: ScoreChunk(job_id, CONVERSION) in store.overdue())
    second = store.claim(job_id, CONVERSION, "second")
    assert second
    assert (second.attempt, second.lost) == (1, 1)
    with pytest.raises(ConversionLost):
        store.append_converted(job_id, first.owner, 2, rows(2), 0.9)
    with pytest.raises(ConversionLost):
        store.begin_conversion(job_id, first.owner, {})
    with pytest.raises(ConversionLost):
        store.end_conversion(job_id, first.owner, 2, 2, {})
    store.record(job_id, 0, ScoredChunk(b"", b"", 1, 0))
    for number, progress in ((0, 0.4), (1, 0.8), (2, 1.0)):
        store.append_converted(job_id, second.owner, number, rows(number), progress)
        assert found(store, job_id).conversion >= 0.8
    assert (found(store, job_id).chunks, found(store, job_id).done) == (3, 1)
    assert sorted(store.redis.hkeys(JobKeys.of(job_id).input))[:3] == [b"-1", b"1", b"2"]


def test_a_canceled_job_is_not_converted_any_further(store: JobStore) -> None:
    job_id = workbook(store)
    claimed = store.claim(job_id, CONVERSION, "task")
    assert claimed
    store.cancel(job_id)
    with pytest.raises(ConversionLost):
        store.append_converted(job_id, claimed.owner, 0, rows(0), 1.0)
    with pytest.raises(ConversionLost):
        store.source_block(job_id, 0)
    assert store.claim(job_id, CONVERSION, "task") is None


def test_a_file_that_is_refused_says_why(store: JobStore) -> None:
    job_id = workbook(store)
    store.fail(job_id, "there is no sheet 'x'", '{"code": "unknown_sheet", "errors": []}')
    job = found(store, job_id)
    assert (job.error, job.problem) == ("there is no sheet 'x'", {"code": "unknown_sheet", "errors": []})
