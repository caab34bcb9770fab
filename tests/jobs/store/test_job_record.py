"""The job's hash: what is encoded is decoded again, and the Lua scripts name its fields as Python does."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.messages import InputChunk
from jobs.state import JobState
from jobs.store import job_record
from jobs.store.chunks import NewJob
from jobs.store.job_record import Fields, JobField, JobRecord
from tests.jobs.store.conftest import NEW

LUA = Path(job_record.__file__).parent / "lua"
COMMANDS = r"redis\.call\('(?:HGET|HMGET|HSET|HINCRBY|HDEL|HEXISTS)', JOB, (?P<arguments>[^)]*)\)"


def stored(fields: Fields) -> dict[bytes, bytes]:
    """The fields as Redis returns them."""
    return {name.encode(): value if isinstance(value, bytes) else str(value).encode() for name, value in fields.items()}


COMPARED = replace(NEW, compared=("other", "2"), explain=3, warnings=True, threshold=None, added=5, shown=True)


@pytest.mark.parametrize("new", [NEW, COMPARED])
def test_a_new_job_is_decoded_as_it_was_encoded(new: NewJob) -> None:
    record = JobRecord(stored(JobRecord.encode_new(new, now=1000.5, retention_seconds=60)))
    job = record.job(new.id)
    claimed = record.claimed_chunk("task delivery", 2, 1, InputChunk(1, 1, b"1,2\n"))
    for name in ("model", "version", "delimiter", "threshold", "explain", "warnings", "compared"):
        assert getattr(job, name) == getattr(claimed, name) == getattr(new, name)
    for name in ("filename", "encoding", "line_end", "header", "input_header"):
        assert getattr(job, name) == getattr(new, name)
    for name in ("columns", "width", "added"):
        assert getattr(claimed, name) == getattr(new, name)
    assert (job.state, job.created, job.expires, job.total) == (JobState.QUEUED, 1000.5, 1060.5, None)
    assert record.visible == new.shown


def test_options_replace_those_that_the_upload_began_with() -> None:
    fields = JobRecord.encode_new(NEW, now=1.0, retention_seconds=60) | JobRecord.encode_options(COMPARED)
    job = JobRecord(stored(fields)).job(NEW.id)
    assert (job.compared, job.threshold, job.explain, job.warnings) == (("other", "2"), None, 3, True)
    assert not job.sealed


def test_a_job_of_an_earlier_version_without_the_later_fields_is_still_read() -> None:
    fields = JobRecord.encode_new(NEW, now=1.0, retention_seconds=60)
    for name in (JobField.WARNED, JobField.WARNINGS, JobField.EXPLAIN, JobField.COMPARED, JobField.ADDED):
        del fields[name]
    record = JobRecord(stored(fields))
    assert (record.job(NEW.id).warned, record.job(NEW.id).explain) == (0, None)
    assert record.claimed_chunk("", 1, 0, InputChunk(1, 1, b"")).added == 3


@pytest.mark.parametrize("script", sorted(LUA.glob("*.lua")), ids=lambda path: path.stem)
def test_scripts_name_only_fields_that_exist(script: Path) -> None:
    arguments = " ".join(match["arguments"] for match in re.finditer(COMMANDS, script.read_text()))
    names = set(re.findall(r"'([a-z_]+)'", arguments)) - set(JobState)
    assert names <= set(JobField)
