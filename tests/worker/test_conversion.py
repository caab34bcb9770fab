"""A conversion counts its rows for the owner of the file, as an upload of CSV does before it is accepted."""

import base64
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from jobs.csv.dialect import Dialect
from jobs.errors import UploadRefused
from jobs.formats.typed import csv_text, unpack
from jobs.messages import CONVERSION, InputChunk
from jobs.settings import Settings
from jobs.state import JobState, Owner
from jobs.store.chunks import NewJob
from jobs.store.connection import connect
from jobs.store.job_store import JobStore
from jobs.store.prediction_store import new_id
from jobs.store.task_sender import TaskSender
from model.catalog import Catalog
from tests.jobs.formats.files import parquet, xlsx
from tests.jobs.store.conftest import NEW, found
from tests.web.records import HEADER, ROW
from web.uploads.file_start import read_translated_start
from web.uploads.options import ScoringOptions
from worker.conversion import Conversion, problem_of

WORKBOOK = xlsx(("People", [HEADER.split(","), *3 * [ROW.split(",")]]))


def convert(
    store: JobStore,
    settings: Settings,
    models: Path,
    owner: Owner,
    data: bytes = WORKBOOK,
    *,
    kind: str = "xlsx",
    drop_results: bool = False,
) -> str:
    """Upload a file, by default a workbook of three rows, and convert it; return the id of its job."""
    card = Catalog(models).card("income")
    new: NewJob = replace(
        NEW, id=new_id(), version=card.version, owner=owner, format=kind, header=b"", drop_results=drop_results
    )
    store.begin(new)
    store.append_source(new.id, 0, data)
    store.seal(new.id, total=None)
    claimed = store.claim(new.id, CONVERSION, "task")
    assert claimed
    sender = TaskSender(store.redis, settings)
    try:
        Conversion(store, sender, settings, found(store, new.id), claimed.owner).run(claimed.chunk.rows, [card])
    except UploadRefused as refused:
        store.fail(new.id, refused.detail, problem_of(refused))
    return new.id


def test_a_workbook_with_more_rows_than_its_owner_may_send_today_fails(server: Settings, models: Path) -> None:
    settings = server.model_copy(update={"user_rows_per_day": 5})
    redis = connect(settings)
    redis.flushall()
    store, ann = JobStore(redis, settings), Owner("1", "Ann")
    jobs = [found(store, convert(store, settings, models, ann)) for _ in range(2)]
    assert [(job.state, job.total) for job in jobs] == [(JobState.RUNNING, 3), (JobState.FAILED, None)]
    problem = jobs[1].problem
    assert problem
    assert problem["code"] == "rate_limited"
    assert "5 rows a day" in str(jobs[1].error)
    assert found(store, convert(store, settings, models, Owner("2", "Ben"))).total == 3
    redis.close()


def test_a_workbook_of_nobody_has_no_limit(server: Settings, models: Path) -> None:
    settings = server.model_copy(update={"user_rows_per_day": 1})
    redis = connect(settings)
    redis.flushall()
    store = JobStore(redis, settings)
    assert found(store, convert(store, settings, models, Owner())).state is JobState.RUNNING
    redis.close()


def test_columns_of_earlier_results_are_dropped_from_typed_rows(server: Settings, models: Path) -> None:
    settings = server.model_copy(update={"chunk_bytes": 4096})
    redis = connect(settings)
    redis.flushall()
    store, rows = JobStore(redis, settings), 500
    people = {name: [value] * rows for name, value in zip(HEADER.split(","), ROW.split(","), strict=True)}
    results = {"prediction": [">50K"] * rows, "probability": [0.7] * rows, "error": [None] * rows}
    job_id = convert(
        store, settings, models, Owner(), parquet(pa.table(people | results)), kind="parquet", drop_results=True
    )
    job = found(store, job_id)
    claimed = store.claim(job_id, 0, "task")
    assert claimed
    assert claimed.chunk.is_typed
    assert (job.total, job.input_header.decode(), claimed.width) == (rows, HEADER, len(people))
    assert bytes(csv_text(unpack(claimed.chunk.data))).decode() == f"{ROW}\n" * claimed.chunk.rows
    assert job.schema
    assert pa.ipc.read_schema(pa.BufferReader(base64.b64decode(job.schema))).names == HEADER.split(",")
    redis.close()


@pytest.mark.parametrize("kind", ["xlsx", "parquet"])
@pytest.mark.parametrize("stored", [5, 110, 150, 300])
def test_an_attempt_goes_on_after_the_last_row_that_another_version_has_stored(
    server: Settings, models: Path, kind: str, stored: int
) -> None:
    settings = server.model_copy(update={"chunk_bytes": 4096})
    redis = connect(settings)
    redis.flushall()
    store, card = JobStore(redis, settings), Catalog(models).card("income")
    names, row = HEADER.split(","), [*ROW.split(",")[:-1], 40]
    lines = [",".join(map(str, [age, *row[1:]])) + "\n" for age in range(300)]
    if kind == "xlsx":
        data = xlsx(("People", [names, *([age, *row[1:]] for age in range(300))]))
    else:
        people = {name: [value] * 300 for name, value in zip(names[1:], row[1:], strict=True)}
        data = parquet(pa.table({names[0]: list(range(300))} | people))
    new: NewJob = replace(NEW, id=new_id(), version=card.version, format=kind, header=b"")
    store.begin(new)
    store.append_source(new.id, 0, data)
    store.seal(new.id, total=None)
    claimed = store.claim(new.id, CONVERSION, "task")
    assert claimed
    # It has cut where this version does not.
    first = InputChunk(1, stored, "".join(lines[:stored]).encode())
    store.append_converted(new.id, claimed.owner, 0, first, 0.1)
    sender = TaskSender(redis, settings)
    Conversion(store, sender, settings, found(store, new.id), claimed.owner).run(claimed.chunk.rows, [card])
    job = found(store, new.id)
    texts, rows = [], 0
    for number in range(job.chunks):
        scored = store.claim(new.id, number, "task")
        assert scored
        assert scored.chunk.first_row == rows + 1
        rows += scored.chunk.rows
        data = scored.chunk.data
        texts.append(bytes(csv_text(unpack(data))) if scored.chunk.is_typed else data)
    assert (job.total, job.converted, rows) == (300, 300, 300)
    assert b"".join(texts).decode() == "".join(lines)
    redis.close()


def test_rows_of_another_attempt_that_the_file_does_not_have_are_an_error(server: Settings, models: Path) -> None:
    redis = connect(server)
    redis.flushall()
    store, card = JobStore(redis, server), Catalog(models).card("income")
    new: NewJob = replace(NEW, id=new_id(), version=card.version, format="xlsx", header=b"")
    store.begin(new)
    store.append_source(new.id, 0, WORKBOOK)
    store.seal(new.id, total=None)
    claimed = store.claim(new.id, CONVERSION, "task")
    assert claimed
    store.append_converted(new.id, claimed.owner, 0, InputChunk(1, 4, 4 * f"{ROW}\n".encode()), 1.0)
    conversion = Conversion(store, TaskSender(redis, server), server, found(store, new.id), claimed.owner)
    with pytest.raises(RuntimeError, match="4 rows of the file are stored, but only 3 were read"):
        conversion.run(claimed.chunk.rows, [card])
    assert found(store, new.id).is_converting
    redis.close()


def test_titles_above_the_header_are_told_from_it_when_a_sheet_is_scored_again(server: Settings, models: Path) -> None:
    redis = connect(server)
    redis.flushall()
    store, card = JobStore(redis, server), Catalog(models).card("income")
    rows = [[], ["Average age\nby week"], [HEADER], HEADER.split(","), ROW.split(",")]
    job = found(store, convert(store, server, models, Owner(), xlsx(("People", rows))))
    assert job.preamble == f'\nAverage age by week\n"{HEADER}"\n'.encode()
    options = ScoringOptions((card,), None, None)
    start = read_translated_start(job.preamble + job.input_header + b"\n", True, job.dialect, options)
    assert start
    assert (start.header.raw, start.dialect.skipped_lines) == (job.input_header, 2)
    titled = replace(job, header=b"Average age\nage,prediction", input_header=b"age", dialect=Dialect(skipped_lines=1))
    assert titled.preamble == b"Average age\n"
    redis.close()
