"""A database of each kind; what is tested on one is tested on the other."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from database.database import Database
from tests.postgresql import PostgreSQL


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/scoreline.db"
    server: PostgreSQL = request.getfixturevalue("postgresql")
    return server.new_database()


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """A database with all tables."""
    database = Database(url)
    database.upgrade()
    yield database
    database.dispose()
