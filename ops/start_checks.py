"""Startup checks: settings, data folder, address, store and database. Each failure is reported in one line."""

import socket
import subprocess
import sys
from contextlib import suppress

from pydantic import ValidationError
from redis.exceptions import RedisError

from jobs.errors import UnsuitableStore, UnusableCertificate
from jobs.settings import Settings, get_settings
from jobs.store.connection import connect
from jobs.store.server_check import StoreCheck
from jobs.store.storage_check import storage_fault
from jobs.tls import check_certificate
from ops.embedded import CannotStart, data_folder, lock_file

# A process of its own: nothing of the database is loaded here.
_UPGRADE = (sys.executable, "-m", "worker.recording.upgrade")


def load_settings() -> Settings:
    """Return the settings.

    Raises:
        CannotStart: if the environment contains an invalid setting.
    """
    try:
        return get_settings()
    except ValidationError as error:
        raise CannotStart("; ".join(_setting_error(fault["loc"], fault["msg"]) for fault in error.errors())) from None


def _setting_error(place: tuple[int | str, ...], message: str) -> str:
    if not place:
        return message
    name = ".".join(map(str, place))
    return f"{name if name in ('HOST', 'PORT') else f'SCORELINE_{name.upper()}'}: {message}"


def lock_data_folder(settings: Settings) -> int:
    """Lock the data folder until the returned descriptor, and each copy that a child inherits, is closed.

    Raises:
        CannotStart: if the folder cannot be used, or another launcher has locked it.
    """
    folder = data_folder(settings)
    try:
        return lock_file(folder / "lock")
    except BlockingIOError:
        raise CannotStart(
            f"Scoreline is already running with the data folder {folder}; set SCORELINE_DATA_DIR to use another"
        ) from None
    except OSError as error:
        raise CannotStart(f"cannot use the data folder {folder}: {error.strerror}") from error


def check_address(settings: Settings) -> None:
    """Check that the web can listen on its address.

    Raises:
        CannotStart: if the address is in use, or does not belong to this machine.
    """
    host, port = settings.host, settings.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            # As gunicorn does, so that connections of an earlier run in TIME_WAIT do not block the port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise CannotStart(
            f"cannot listen on {host}:{port}: {error.strerror}; set HOST and PORT to use another"
        ) from error


def check_tls(settings: Settings) -> None:
    """Check the web's certificate, if it has one.

    Raises:
        CannotStart: if it cannot be used.
    """
    try:
        check_certificate(settings)
    except UnusableCertificate as error:
        raise CannotStart(str(error)) from error


def check_store(settings: Settings) -> None:
    """Check an external server. One that does not answer yet is skipped; the web and the workers check it again.

    Raises:
        CannotStart: if it may lose jobs, or ``SCORELINE_REDIS_URL`` is not a valid URL.
    """
    if settings.redis_url is None:
        return
    try:
        with connect(settings) as redis, suppress(RedisError):
            StoreCheck(redis, settings).require()
    except UnsuitableStore as error:
        raise CannotStart(f"{error}; set SCORELINE_REDIS_URL to use another server") from error
    except ValueError as error:
        raise CannotStart(f"SCORELINE_REDIS_URL is not a valid URL: {error}") from error


def check_storage(settings: Settings) -> None:
    """Check the object store. One that does not answer yet is skipped, as is an embedded server that does not run yet.

    Raises:
        CannotStart: if it does not exist, refuses access, or is not the one that was used before.
    """
    if settings.storage_url is not None and (fault := storage_fault()):
        raise CannotStart(f"SCORELINE_STORAGE_URL: {fault}")


def upgrade_database() -> None:
    """Create or upgrade the tables of the database. One that does not answer is skipped; the recorder tries again.

    Raises:
        CannotStart: if a newer version has upgraded it, or ``SCORELINE_DATABASE_URL`` names none.
    """
    finished = subprocess.run(_UPGRADE, capture_output=True, text=True, check=False)  # noqa: S603 - our own module
    if finished.returncode:
        lines = finished.stderr.strip().splitlines() or ["the database cannot be upgraded"]
        raise CannotStart(lines[-1].removeprefix("scoreline: "))
