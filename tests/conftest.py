"""What tests share: trained models and one running service for all that do no harm to it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits

from database.database import Database
from jobs.settings import Settings
from model.catalog import Catalog
from model.census.train import ensure_trained
from model.onboarding import proof
from model.scorer import Scorer
from tests.made_once import made_once
from tests.postgresql import PostgreSQL, programs
from tests.stack import ROOT, Stack, running_stack, wait_until
from tests.warm_commands import CHECK, warm_command, warm_commands

NO_POSTGRESQL = "tests on PostgreSQL were skipped: it is not installed (on Debian: apt-get install postgresql)"
RUNNING = {"service", "server", "stack", "small", "browser", "here", "postgresql_programs"}
"""Fixtures that start a server, the whole service, or programs of it."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs something that runs."""
    for item in items:
        if RUNNING & set(getattr(item, "fixturenames", ())):
            item.add_marker("running")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """As in the service: trees on a busy machine take a hundred times as long where threads wait for each other."""
    with threadpool_limits(1, user_api="openmp"):
        yield


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this process's own with the default model, which is trained once for all test processes."""
    trained = made_once(tmp_path_factory, "trained", ensure_trained)
    return Path(shutil.copytree(trained, tmp_path_factory.getbasetemp() / "models"))


@pytest.fixture(scope="session")
def scorer(models: Path) -> Scorer:
    """The default model, loaded in this process."""
    return Scorer.load(Catalog(models, "income"))


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of a process that has loaded the libraries of commands; see ``tests.warm_commands``."""
    path = tmp_path_factory.mktemp("warm") / "socket"
    with warm_commands(path):
        yield path


@pytest.fixture(scope="session")
def quick_checks(warm: Path) -> Iterator[None]:
    """Models are checked in forks of that process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proof, "_COMMAND", warm_command(warm, CHECK))
        yield


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[Stack]:
    """A running service, for tests that leave it as it was."""
    settings = {"SCORELINE_LOG_FORMAT": "json", "SCORELINE_MODEL_WAIT_SECONDS": "1"}
    with running_stack(tmp_path_factory.mktemp("service"), models, **settings) as stack:
        yield stack


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings that name an embedded server of the tests' own, which runs."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("server"))
    environment = {**os.environ, "SCORELINE_DATA_DIR": str(settings.data_dir)}
    process = subprocess.Popen([sys.executable, "-m", "ops.embedded"], cwd=ROOT, env=environment)
    try:
        wait_until(settings.embedded_socket.exists)
        yield settings
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture(scope="session")
def postgresql_programs() -> None:
    """Skips the test where PostgreSQL is not installed, unless it is required."""
    if programs() is None:
        (pytest.fail if os.environ.get("REQUIRE_POSTGRESQL") == "1" else pytest.skip)(NO_POSTGRESQL)


@pytest.fixture(scope="session")
def postgresql(postgresql_programs: None) -> Iterator[PostgreSQL]:
    """A PostgreSQL server, which runs."""
    server = PostgreSQL.in_new_folder()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.running)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of each kind: what is tested on one is tested on the other."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/scoreline.db"
    server: PostgreSQL = request.getfixturevalue("postgresql")
    return server.new_database()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database of each kind with all tables."""
    database = Database(database_url)
    database.upgrade()
    yield database
    database.dispose()
