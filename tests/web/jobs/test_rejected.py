"""Pages of rejected records, from a job of many chunks in a store."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from jobs.messages import InputChunk
from jobs.settings import Settings
from jobs.state import Job
from jobs.store.chunks import ScoredChunk
from jobs.store.connection import connect
from jobs.store.job_store import JobStore
from tests.jobs.store.conftest import NEW
from web.jobs.downloads import TransferBroken
from web.jobs.rejected import Position, records_page

CHUNKS = 50
JOB = replace(NEW, header=b"a,b,prediction,probability,error", input_header=b"a,b", id=32 * "a")


@pytest.fixture
def store(server: Settings) -> Iterator[JobStore]:
    redis = connect(server)
    redis.flushall()
    yield JobStore(redis, server)
    redis.close()


@pytest.fixture
def job(store: JobStore) -> Job:
    """A job of two rows per chunk, of which the second is rejected; the value of its column ``b`` is odd or even."""
    store.begin(JOB)
    for number in range(CHUNKS):
        store.append(JOB.id, number, InputChunk(2 * number + 1, 2, b"x"))
    store.seal(JOB.id, total=2 * CHUNKS)
    for number in range(CHUNKS):
        record = f"x,{number % 2}".encode()
        output = b"1,2,y,0.5,\n" + record + b',,,"missing in a: why"\n'
        lines = f"{2 * number + 2},a,x,missing,why,".encode() + record + b"\n"
        store.record(JOB.id, number, ScoredChunk(output, lines, 1, 1))
    found = store.get(JOB.id)
    assert found is not None
    return found


@pytest.mark.parametrize("limit", [1, 7, 1000])
@pytest.mark.parametrize("wanted", [None, (1, "1"), (1, "2")])
def test_a_search_through_many_chunks_goes_on_from_page_to_page(
    store: JobStore, job: Job, limit: int, wanted: tuple[int, str] | None
) -> None:
    rows: list[int] = []
    cursor: str | None = ""
    pages = 0
    while cursor is not None:
        page = records_page(store, job, [], Position.parse(cursor), limit, wanted)
        assert len(page["records"]) <= limit
        rows += [record["_row"] for record in page["records"]]
        cursor, pages = page["next_cursor"], pages + 1
    expected = [2 * n + 2 for n in range(CHUNKS) if wanted is None or str(n % 2) == wanted[1]]
    assert rows == expected
    assert pages >= 4, "no page takes more than a part of the chunks"


def test_a_job_that_is_deleted_meanwhile_is_not_taken_for_one_without_rejects(store: JobStore, job: Job) -> None:
    store.remove(job.id)
    with pytest.raises(TransferBroken):
        records_page(store, job, [], Position(), 100, None)
