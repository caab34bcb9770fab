"""A service of narrow limits, for tests of what happens at them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.test_jobs_api import FILE
from tests.stack import Stack, running_stack

NARROW = {
    "SCORELINE_UPLOAD_IDLE_SECONDS": "2",
    "SCORELINE_MAX_UPLOAD_BYTES": str(32 * 1024 * 1024),
    "SCORELINE_MAX_UNFINISHED_JOBS": "3",
    "SCORELINE_MAX_WAITING_PREDICTIONS": "4",
    "SCORELINE_WEB_THREADS": "32",
}


@pytest.fixture(scope="package")
def small(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[Stack]:
    """The service; it has seen an upload, so that what is loaded once is loaded."""
    with running_stack(tmp_path_factory.mktemp("small"), models, **NARROW) as stack:
        assert stack.upload(FILE).json()["state"] == "succeeded"
        yield stack
