"""Create or upgrade the tables of the database: ``python -m worker.recording.upgrade``."""

import sys

import structlog

from database.database import Database
from database.errors import DatabaseError, DatabaseUnavailable
from jobs.logs import configure_logging, describe
from jobs.settings import get_settings

log = structlog.stdlib.get_logger(__name__)


def upgrade(database: Database) -> bool:
    """Upgrade the tables; return False, after a warning, if the database cannot be written to now.

    Raises:
        DatabaseTooNew, UnsuitableDatabase: as ``Database.upgrade`` does.
    """
    try:
        database.upgrade()
    except DatabaseUnavailable as error:
        log.warning("the database cannot be upgraded now; scoring goes on", error=describe(error))
        return False
    return True


def main() -> int:
    """Return 0, also where the database does not answer now; return 1, after one line, if it cannot be used."""
    configure_logging(get_settings(), "upgrade")
    try:
        upgrade(Database(get_settings().database_location))
    except DatabaseError as error:
        print(f"scoreline: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
