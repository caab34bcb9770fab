"""The tables are made and upgraded at the start of whichever process comes first."""

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from database.database import Database
from database.errors import DatabaseTooNew, DatabaseUnavailable, UnsuitableDatabase
from database.migrations import LATEST
from database.tables import Base
from database.upgrade import _config

ROOT = Path(__file__).parents[2]


def test_a_new_database_gets_every_table_that_the_code_knows(database: Database) -> None:
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_the_code_names_the_last_migration() -> None:
    assert ScriptDirectory.from_config(_config()).get_heads() == [LATEST]


def test_an_upgrade_of_an_upgraded_database_changes_nothing(database: Database) -> None:
    database.upgrade()
    with database.reading() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == LATEST


def test_of_several_processes_one_upgrades_and_the_others_wait(database_url: str) -> None:
    code = f"from database.database import Database; Database({database_url!r}).upgrade()"
    processes = [subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE) for _ in range(4)]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert errors == [b""] * 4
    with Database(database_url).reading() as connection:
        assert connection.scalar(text("SELECT count(*) FROM alembic_version")) == 1


def test_a_database_of_a_newer_version_is_refused_and_left_alone(database: Database, database_url: str) -> None:
    with database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseTooNew, match=r"revision 9999, which is newer than this version of Scoreline \(\d+\)"):
        database.upgrade()
    with pytest.raises(DatabaseTooNew), Database(database_url).reading():
        pass


def test_a_database_without_tables_can_be_used_once_it_has_them(database_url: str) -> None:
    database = Database(database_url)
    with pytest.raises(DatabaseUnavailable, match="has not been upgraded yet"), database.writing():
        pass
    Database(database_url).upgrade()
    with database.writing() as connection:
        assert connection.scalar(text("SELECT count(*) FROM jobs")) == 0


def test_an_upgrade_that_fails_leaves_no_table_behind(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("database.upgrade.LATEST", "no such revision")
    database = Database(database_url)
    with pytest.raises(Exception, match="no such revision"):
        database.upgrade()
    with database.engine.connect() as connection:
        assert database._revision(connection) is None


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://host/name", "names mysql; sqlite:/// and postgresql:// are supported"),
        ("scoreline.db", "is not a valid URL"),
        ("sqlite://", "names no file"),
        ("postgresql://host/name?sslmode=maybe", "unknown sslmode 'maybe'"),
        ("postgresql://host/name?ssl=1", "unknown parameter 'ssl'"),
    ],
)
def test_a_url_of_something_else_is_refused(url: str, message: str) -> None:
    with pytest.raises(UnsuitableDatabase, match=message):
        Database(url).upgrade()
