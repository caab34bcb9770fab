"""Bring the tables of a database to the revision that this code works with."""

from contextlib import closing

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from database.engine import WRITES
from database.errors import DatabaseTooNew
from database.migrations import LATEST

# Any number that other programs on the same server do not use.
_LOCK = 0x5C02E11E


def upgrade(engine: Engine) -> None:
    """Run the migrations that are missing, all or none. Of several processes one does, and the others wait.

    Raises:
        DatabaseTooNew: a newer version of Scoreline has upgraded the database.
    """
    if engine.dialect.name == "sqlite":
        # Kept in the file; it cannot change within a transaction.
        with closing(engine.raw_connection()) as raw:
            # With a write-ahead log, readers and a writer do not wait for each other.
            raw.cursor().execute("PRAGMA journal_mode = WAL")
    with engine.connect().execution_options(**{WRITES: True}) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            # SQLite's writers take turns anyway.
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        _check_known(connection)
        command.upgrade(_config(connection), LATEST)


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", "database:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _check_known(connection: Connection) -> None:
    """Check that this code has every migration that the database has had."""
    revision = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if revision is not None and revision not in known:
        raise DatabaseTooNew(too_new(revision))


def too_new(revision: str) -> str:
    """Return the message about a database at a revision that this code does not know."""
    return (
        f"the database is at revision {revision}, which is newer than this version of Scoreline ({LATEST}); "
        "upgrade Scoreline, or set SCORELINE_DATABASE_URL to another database"
    )
