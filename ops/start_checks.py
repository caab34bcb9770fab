"""What can keep Scoreline from starting: looked at before anything is started, and said in one line."""

import socket
from contextlib import suppress

from pydantic import ValidationError
from redis.exceptions import RedisError

from jobs.errors import UnsuitableStore
from jobs.settings import Settings, get_settings
from jobs.store.connection import connect
from jobs.store.server_check import StoreCheck
from ops.embedded import CannotStart, data_folder, lock_file


def load_settings() -> Settings:
    """Return the settings.

    Raises:
        CannotStart: if the environment holds a wrong one.
    """
    try:
        return get_settings()
    except ValidationError as error:
        raise CannotStart("; ".join(_fault(fault["loc"], fault["msg"]) for fault in error.errors())) from None


def _fault(place: tuple[int | str, ...], message: str) -> str:
    if not place:
        return message
    name = ".".join(map(str, place))
    return f"{name if name in ('HOST', 'PORT') else f'SCORELINE_{name.upper()}'}: {message}"


def lock_data_folder(settings: Settings) -> int:
    """Hold the data folder for as long as the returned descriptor is open, here or in a process that inherits it.

    Raises:
        CannotStart: if it cannot be used, or another launcher holds it.
    """
    folder = data_folder(settings)
    try:
        return lock_file(folder / "lock")
    except BlockingIOError:
        raise CannotStart(
            f"Scoreline already runs on the data folder {folder}; SCORELINE_DATA_DIR names another"
        ) from None
    except OSError as error:
        raise CannotStart(f"cannot use the data folder {folder}: {error.strerror}") from error


def check_address(settings: Settings) -> None:
    """Bind the address once.

    Raises:
        CannotStart: if it is taken, or not an address of this machine.
    """
    host, port = settings.host, settings.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            # As gunicorn does: a connection of an earlier run in TIME_WAIT is no hindrance.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise CannotStart(f"cannot listen on {host}:{port}: {error.strerror}; HOST and PORT name another") from error


def check_store(settings: Settings) -> None:
    """Check a server of the user's own; one that does not answer yet is checked again by the web and the workers.

    Raises:
        CannotStart: if it may lose jobs, or ``SCORELINE_REDIS_URL`` is not an address.
    """
    if settings.redis_url is None:
        return
    try:
        with connect(settings) as redis, suppress(RedisError):
            StoreCheck(redis, settings).require()
    except UnsuitableStore as error:
        raise CannotStart(f"{error}; SCORELINE_REDIS_URL names another") from error
    except ValueError as error:
        raise CannotStart(f"SCORELINE_REDIS_URL is no address: {error}") from error
