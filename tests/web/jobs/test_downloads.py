"""A job that is deleted during a download breaks the download off."""

from collections.abc import Callable, Iterator

import pytest

from jobs.settings import Settings
from jobs.state import Job
from jobs.store.chunks import ScoredChunk
from jobs.store.connection import connect
from jobs.store.job_store import JobStore
from tests.jobs.store.conftest import found, upload
from web.jobs.downloads import CsvForm, TransferBroken, finished_results, rejects

Download = Callable[[JobStore, CsvForm], Iterator[bytes]]

SCORED = ScoredChunk(b"1,2,x\n", b"1,a,1,not_a_number,no,1,2\n", 1, 1)


@pytest.fixture
def store(server: Settings) -> Iterator[JobStore]:
    with connect(server) as redis:
        yield JobStore(redis, server)


def succeeded(store: JobStore) -> Job:
    job_id = upload(store, 2)
    for number in range(2):
        store.record(job_id, number, SCORED)
    return found(store, job_id)


def canceled(store: JobStore) -> Job:
    job_id = upload(store, 3)
    for number in range(2):
        store.record(job_id, number, SCORED)
    store.cancel(job_id)
    return found(store, job_id)


@pytest.mark.parametrize("received", [1, 2])
@pytest.mark.parametrize("kind", [finished_results, rejects])
@pytest.mark.parametrize("end", [succeeded, canceled])
def test_a_job_deleted_meanwhile_breaks_the_download_off(
    store: JobStore, end: Callable[[JobStore], Job], kind: Download, received: int
) -> None:
    job = end(store)
    blocks = kind(store, CsvForm(job))
    for _ in range(received):
        next(blocks)
    store.remove(job.id)
    with pytest.raises(TransferBroken):
        list(blocks)


@pytest.mark.parametrize("kind", [finished_results, rejects])
@pytest.mark.parametrize("end", [succeeded, canceled])
def test_a_job_that_stays_is_downloaded_as_far_as_it_was_scored(
    store: JobStore, end: Callable[[JobStore], Job], kind: Download
) -> None:
    assert len(list(kind(store, CsvForm(end(store))))) == 3
