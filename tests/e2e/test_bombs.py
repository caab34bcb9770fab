"""Bombs are refused, in the upload or by their job: the web's memory stays flat, and others are served meanwhile."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.bombs import BOMBS, Bomb
from tests.e2e.conftest import NARROW
from tests.e2e.test_jobs_api import FILE
from tests.e2e.test_lying_uploads import MAX_GROWTH, web_memory
from tests.e2e.test_security import INSIDES
from tests.stack import Stack, running_stack


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[Stack]:
    """A service of narrow limits that gives files all the time that their checks need."""
    settings = {**NARROW, "SCORELINE_UPLOAD_IDLE_SECONDS": "120"}
    with running_stack(tmp_path_factory.mktemp("bombed"), models, **settings) as stack:
        assert stack.upload(FILE).json()["state"] == "succeeded"
        yield stack


def send(small: Stack, path: str, bomb: Bomb) -> httpx.Response:
    headers = {"Content-Type": "application/octet-stream", "Prefer": "wait=60, until=ended", **bomb.headers}
    return small.request("POST", path, content=bomb.make(), headers=headers, params=dict(bomb.query))


def code_of(document: dict[str, Any]) -> str:
    """The code of a refusal, or of the error of a job that has failed."""
    return str(document["code"] if "code" in document else (document["error"] or {}).get("code"))


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_with_flat_memory(small: Stack, name: str) -> None:
    bomb, before = BOMBS[name], web_memory(small)
    answer = send(small, "/api/v1/jobs", bomb)
    job = answer.json()
    assert answer.status_code < 500, answer.text
    assert code_of(job) in bomb.codes, answer.text[:500]
    assert not INSIDES.search(answer.text), answer.text[:500]
    assert web_memory(small) - before < MAX_GROWTH
    if "links" in job:
        assert job["state"] == "failed"
        small.request("DELETE", job["links"]["self"])


@pytest.mark.slow
@pytest.mark.parametrize("name", list(itertools.islice(BOMBS, 0, None, 3)))
def test_a_preview_of_a_bomb_ends_and_stays_small(small: Stack, name: str) -> None:
    before = web_memory(small)
    answer = send(small, "/api/v1/preflight", BOMBS[name])
    assert answer.status_code < 500, answer.text[:500]
    assert len(answer.content) < 3_000_000
    assert web_memory(small) - before < MAX_GROWTH
    assert small.ready()
