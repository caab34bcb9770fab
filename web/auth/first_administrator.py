"""Tells, in the log, the one-time address by which somebody becomes the first administrator."""

import threading
import time

import structlog

from database.errors import DatabaseTooNew, DatabaseUnavailable
from jobs.settings import Settings
from web.auth.service import Auth
from web.auth.signing_in import issue_first

log = structlog.stdlib.get_logger(__name__)

_RETRY_SECONDS = 2.0
_EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - names it, and does not listen there


def announce(auth: Auth) -> None:
    """Log the address while there is no user, as soon as the database answers; does not wait for that."""
    threading.Thread(target=_announce, args=(auth,), name="first administrator", daemon=True).start()


def _announce(auth: Auth) -> None:
    while True:
        try:
            auth.database.upgrade()
            secret = issue_first(auth)
        except DatabaseTooNew as error:
            log.error("nobody can sign in", reason=str(error))  # noqa: TRY400 - the reason says it all
            return
        except DatabaseUnavailable as error:
            log.warning("nobody can sign in yet", reason=str(error))
            time.sleep(_RETRY_SECONDS)
        else:
            if secret is not None:
                address = f"{base_address(auth.settings)}/welcome/{secret}"
                log.warning("there is no user yet; open the address to become the administrator", address=address)
            return


def base_address(settings: Settings) -> str:
    """Return the address of the service, as far as its settings tell how others reach it."""
    host = settings.host
    if host in _EVERY_ADDRESS:
        host = next(iter(settings.listed_hosts), "127.0.0.1")
    return f"{settings.scheme}://{f'[{host}]' if ':' in host else host}:{settings.port}"
