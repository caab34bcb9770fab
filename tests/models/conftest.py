"""One running service for all models of these tests."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack import Stack, running_stack
from tests.warm_commands import MODEL, warm_command

SETTINGS = {
    "SCORELINE_WEB_PROCESSES": "1",
    "SCORELINE_BULK_PROCESSES": "1",
    # A job whose model no worker serves is to fail at once.
    "SCORELINE_MODEL_WAIT_SECONDS": "1",
}


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory, models: Path, warm: Path) -> Iterator[Stack]:
    """A running service with a folder to which models may be added, by a command that is quick to start."""
    folder = tmp_path_factory.mktemp("strangers")
    shutil.copytree(models, folder / "models")
    with running_stack(folder, **SETTINGS) as found:
        found.model_command = warm_command(warm, MODEL)
        yield found
