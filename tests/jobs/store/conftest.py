"""A job store on a real server, and uploads into it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.messages import InputChunk
from jobs.settings import Settings
from jobs.state import Job
from jobs.store.chunks import NewJob
from jobs.store.connection import connect
from jobs.store.job_store import JobStore

NEW = NewJob("income", "1", "a.csv", "utf-8", ",", "\n", 0.5, b"a,b,prediction", b"a,b", {"a": 0}, 2)


@pytest.fixture(params=["redis", "objects"])
def settings(request: pytest.FixtureRequest, server: Settings, tmp_path: Path) -> Settings:
    """Settings of a store that keeps the bytes of chunks itself, and of one that has them in an object store."""
    storage = {"storage_url": f"file://{tmp_path}"} if request.param == "objects" else {}
    return server.model_copy(update={"lease_seconds": 0.2, "bulk_processes": 1, **storage})


@pytest.fixture
def store(settings: Settings) -> Iterator[JobStore]:
    redis = connect(settings)
    redis.flushall()
    store = JobStore(redis, settings)
    if store.payloads.external:
        list(store.payloads.blobs.keys_in("jobs/"))  # what is imported for this takes as long as a lease
    yield store
    redis.close()


def upload(store: JobStore, chunks: int, seal: bool = True) -> str:
    new = replace(NEW, id=NewJob.__dataclass_fields__["id"].default_factory())  # type: ignore[misc]
    store.begin(new)
    for number in range(chunks):
        store.append(new.id, number, InputChunk(number + 1, 1, b"1,2\n"))
    if seal:
        store.seal(new.id, total=chunks)
    return new.id


def found(store: JobStore, job_id: str) -> Job:
    job = store.get(job_id)
    assert job is not None
    return job
