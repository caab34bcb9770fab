"""Engines for the two databases: SQLite files and PostgreSQL servers."""

import ssl
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from database.errors import UnsuitableDatabase

WRITES = "scoreline_writes"
"""Execution option of connections that write; SQLite's then wait for their turn when the transaction begins."""

_BUSY_SECONDS = 5
_POSTGRESQL_TIMEOUT_SECONDS = 15
_POSTGRESQL_DRIVER = "postgresql+pg8000"
_POSTGRESQL_PORT = 5432
# SQLSTATE classes of failures that may pass: connection, resources, operator intervention, system, authorization; and
# of a missing database and a read-only transaction.
_PASSING_CLASSES = ("08", "53", "57", "58", "28", "3D")
_READ_ONLY_SQLSTATE = "25006"


def make_engine(url: str, patient: bool = False) -> Engine:
    """Return an engine that connects on first use; ``patient``: without time limits, for migrations.

    Raises:
        UnsuitableDatabase: the URL is neither one of SQLite nor of PostgreSQL.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise UnsuitableDatabase("SCORELINE_DATABASE_URL is not a valid URL") from None
    # SQLAlchemy no longer knows the short name, which many addresses still have.
    kind = parsed.get_backend_name() if parsed.drivername != "postgres" else "postgresql"
    if kind == "sqlite":
        return _make_sqlite_engine(parsed, patient)
    if kind == "postgresql":
        return _make_postgresql_engine(parsed, patient)
    raise UnsuitableDatabase(f"SCORELINE_DATABASE_URL names {kind}; sqlite:/// and postgresql:// are supported")


def _make_sqlite_engine(url: URL, patient: bool) -> Engine:
    if url.database in (None, "", ":memory:"):
        raise UnsuitableDatabase("SCORELINE_DATABASE_URL names no file: sqlite:////absolute/path/scoreline.db")
    seconds = 600 if patient else _BUSY_SECONDS
    engine = create_engine(url, connect_args={"timeout": seconds}, pool_timeout=2, **_json())

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        # Its own ``lower`` knows only the letters of ASCII, so that a search for a person might miss a record.
        connection.create_function("lower", 1, _lower, deterministic=True)
        # The driver begins no transactions; ours also include changes of tables.
        connection.isolation_level = None
        # Foreign keys are off by default. Without FULL, a power failure may undo a commit that the outbox relies on.
        for pragma in ("foreign_keys = ON", "synchronous = FULL", "temp_store = MEMORY", "cache_size = -16000"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads first and writes later would fail instead of waiting for another writer.
        immediate = connection.get_execution_options().get(WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


def _lower(text: str | None) -> str | None:
    return None if text is None else text.lower()


def _make_postgresql_engine(url: URL, patient: bool) -> Engine:
    query = dict(url.query)
    arguments: dict[str, Any] = {"ssl_context": _ssl_context(query.pop("sslmode", ""), query.pop("sslrootcert", ""))}
    # Compiling a query takes longer than any of ours.
    arguments["startup_params"] = {"jit": "off"}
    folder = query.pop("host", "")
    if folder:
        arguments["unix_sock"] = f"{folder}/.s.PGSQL.{url.port or _POSTGRESQL_PORT}"
    if query:
        raise UnsuitableDatabase(f"SCORELINE_DATABASE_URL has an unknown parameter {min(query)!r}")
    if not patient:
        arguments["timeout"] = _POSTGRESQL_TIMEOUT_SECONDS
    cleaned = url.set(drivername=_POSTGRESQL_DRIVER, query={})
    # The ping replaces connections that were closed while they were idle, as after a restart of the server.
    return create_engine(cleaned, connect_args=arguments, pool_pre_ping=True, pool_timeout=2, **_json())


def _ssl_context(mode: Any, authorities: Any) -> ssl.SSLContext | bool | None:
    """Return what the driver needs for ``sslmode`` as libpq defines it; unset: encrypted where the server offers it."""
    if mode == "disable":
        return False
    if mode in ("", "allow", "prefer"):
        return None
    if mode not in ("require", "verify-ca", "verify-full"):
        raise UnsuitableDatabase(f"SCORELINE_DATABASE_URL has an unknown sslmode {mode!r}")
    context = ssl.create_default_context(cafile=authorities or None)
    if mode != "verify-full":
        context.check_hostname = False
    # As libpq does it: with authorities to check against, ``require`` verifies the certificate.
    if mode == "require" and not authorities:
        context.verify_mode = ssl.CERT_NONE
    return context


def _json() -> dict[str, Any]:
    return {"json_serializer": lambda value: orjson.dumps(value).decode(), "json_deserializer": orjson.loads}


def outage(error: DBAPIError, engine: Engine) -> str | None:
    """Return why the database cannot do now what it was asked to, or None if the statement is at fault."""
    original = error.orig
    if engine.dialect.name == "sqlite":
        code = getattr(original, "sqlite_errorname", "")
        passing = ("BUSY", "LOCKED", "READONLY", "FULL", "IOERR", "CANTOPEN", "NOTADB", "CORRUPT", "PERM", "NOMEM")
        return f"SQLite: {original}" if code.removeprefix("SQLITE_").startswith(passing) else None
    reported = original.args[0] if original is not None and original.args else None
    if isinstance(reported, dict):
        state = str(reported.get("C", ""))
        passes = state.startswith(_PASSING_CLASSES) or state == _READ_ONLY_SQLSTATE
        return f"PostgreSQL: {reported.get('M')}" if passes else None
    # Without an answer of the server, the connection is what failed.
    return f"PostgreSQL: {original}"


def file_of(url: str) -> Path | None:
    """Return the path of a SQLite database's file; None for a server."""
    parsed = make_url(url)
    return Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None
