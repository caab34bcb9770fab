"""A server that takes over from a primary may lack the last writes: no file passes for whole that is not."""

import pytest

from jobs.errors import NotDurable
from jobs.messages import CONVERSION, InputChunk
from jobs.store.conversion_store import ConversionLost
from jobs.store.job_store import JobStore
from jobs.store.keys import JobKeys
from tests.jobs.store.conftest import found, upload
from tests.jobs.store.test_conversion_store import rows, workbook


def test_an_upload_that_lacks_a_chunk_in_the_middle_is_refused(store: JobStore) -> None:
    job_id = upload(store, 2, seal=False)
    with pytest.raises(NotDurable):
        store.append(job_id, 3, InputChunk(4, 1, b"1,2\n"))


def test_an_upload_that_lacks_its_last_chunk_is_refused(store: JobStore) -> None:
    job_id = upload(store, 2, seal=False)
    with pytest.raises(NotDurable):
        store.seal(job_id, total=3, chunks=3)
    store.seal(job_id, total=2, chunks=2)
    assert found(store, job_id).total == 2


def test_a_file_to_convert_that_lacks_a_block_is_refused(store: JobStore) -> None:
    job_id = workbook(store)
    store.redis.hset(JobKeys.of(job_id).job, "sealed", 0)
    with pytest.raises(NotDurable):
        store.append_source(job_id, 3, b"block 3")
    with pytest.raises(NotDurable):
        store.seal(job_id, total=None, blocks=3)
    assert store.seal(job_id, total=None, blocks=2) == [CONVERSION]


def test_a_conversion_that_lacks_a_chunk_begins_again(store: JobStore) -> None:
    job_id = workbook(store)
    claimed = store.claim(job_id, CONVERSION, "task")
    assert claimed
    store.append_converted(job_id, claimed.owner, 0, rows(0), 0.2)
    with pytest.raises(ConversionLost):
        store.append_converted(job_id, claimed.owner, 2, rows(2), 0.6)
    with pytest.raises(ConversionLost):
        store.end_conversion(job_id, claimed.owner, 2, 3, {})
    assert found(store, job_id).is_converting
