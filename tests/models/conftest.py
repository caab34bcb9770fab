"""One service of their own for the models that strangers bring."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack import Stack, running_stack


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[Stack]:
    """A running service with a folder of models that may be added to."""
    folder = tmp_path_factory.mktemp("strangers")
    shutil.copytree(models, folder / "models")
    with running_stack(folder, SCORELINE_WEB_PROCESSES="1", SCORELINE_BULK_PROCESSES="1") as found:
        yield found
