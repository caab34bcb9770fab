"""A database as other packages use it: connections within transactions, and errors that say whether to try later."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from database.engine import WRITES, file_of, make_engine, outage
from database.errors import DatabaseTooNew, DatabaseUnavailable
from database.migrations import LATEST


class Database:
    """The database of a URL, connected to on first use. Thread-safe.

    Errors of SQLAlchemy that are no outage (a violated constraint, a value that does not fit) pass through.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._is_checked = False

    @cached_property
    def engine(self) -> Engine:
        """The engine, for what the methods do not offer.

        Raises:
            UnsuitableDatabase: the URL names no database that can be used.
        """
        return make_engine(self._url)

    @property
    def is_postgresql(self) -> bool:
        """Whether this is a PostgreSQL server; else it is a SQLite file."""
        return self.engine.dialect.name == "postgresql"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection within a transaction that reads.

        Raises:
            DatabaseUnavailable: it is away, or its tables have not been upgraded yet.
            DatabaseTooNew: a newer version of Scoreline has upgraded it.
        """
        with self._transaction(writes=False) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield a connection within a transaction that is committed at the end, or rolled back on an exception.

        Raises:
            DatabaseUnavailable: it is away, full or read-only, or its tables have not been upgraded yet.
            DatabaseTooNew: a newer version of Scoreline has upgraded it.
        """
        with self._transaction(writes=True) as connection:
            yield connection

    @contextmanager
    def _transaction(self, writes: bool) -> Iterator[Connection]:
        engine = self.engine.execution_options(**{WRITES: writes})
        with self._outages_named(engine), engine.begin() as connection:
            self._check_revision(connection)
            yield connection

    def upgrade(self) -> None:
        """Create or upgrade the tables, once among all processes.

        Raises:
            DatabaseUnavailable, DatabaseTooNew: as above.
            UnsuitableDatabase: the URL names no database that can be used.
        """
        engine = make_engine(self._url, patient=True)
        try:
            with self._outages_named(engine):
                self._create_folder()
                with engine.connect() as connection:
                    # The usual case needs neither Alembic nor the lock.
                    if self._revision(connection) == LATEST:
                        return
                from database.upgrade import upgrade  # noqa: PLC0415 - Alembic is loaded only where tables change

                upgrade(engine)
        finally:
            engine.dispose()

    def dispose(self) -> None:
        """Close all connections that are not in use."""
        self.engine.dispose()

    def _create_folder(self) -> None:
        path = file_of(self._url)
        if path is not None:
            try:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise DatabaseUnavailable(f"SQLite: cannot create {path.parent}: {error.strerror}") from error

    def _check_revision(self, connection: Connection) -> None:
        # Once for each process, before its first statement.
        if self._is_checked:
            return
        found = self._revision(connection)
        if found is None or found < LATEST:
            raise DatabaseUnavailable("the database has not been upgraded yet; the recorder does so at its start")
        if found > LATEST:
            from database.upgrade import too_new  # noqa: PLC0415

            raise DatabaseTooNew(too_new(found))
        with self._lock:
            self._is_checked = True

    def _revision(self, connection: Connection) -> str | None:
        tables = "pg_tables WHERE tablename" if self.is_postgresql else "sqlite_master WHERE name"
        # Looked for first: in PostgreSQL, a statement on a missing table would abort the whole transaction.
        if not connection.scalar(text(f"SELECT count(*) FROM {tables} = 'alembic_version'")):  # noqa: S608 - fixed words
            return None
        revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return revision

    @contextmanager
    def _outages_named(self, engine: Engine) -> Iterator[None]:
        """Raise ``DatabaseUnavailable`` for errors that say that the database is away."""
        try:
            yield
        except PoolTimeout as error:
            raise DatabaseUnavailable("all connections to the database are in use") from error
        except OSError as error:
            # The driver for PostgreSQL lets some errors of its connection through, which the pool does not know then.
            engine.dispose()
            raise DatabaseUnavailable(f"PostgreSQL: {error.strerror or error}") from error
        except DBAPIError as error:
            reason = outage(error, engine)
            if reason is None:
                raise
            raise DatabaseUnavailable(reason) from error
