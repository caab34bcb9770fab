"""Wait until the service is ready, and tell the user."""

import http
import http.client
import json
import math
import time
from collections.abc import Callable

from jobs.settings import Settings

READY_SECONDS = 60.0
_POLL_SECONDS = 0.1
# The address to ask when the web listens on all addresses.
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def announce(settings: Settings, tell: Callable[[str], None]) -> None:
    """Announce that Scoreline is ready; if that takes too long, say once what is missing."""
    host = _LOOPBACK.get(settings.host, settings.host)
    too_late = time.monotonic() + READY_SECONDS
    while missing := _missing(host, settings.port):
        if time.monotonic() > too_late:
            tell(f"Scoreline is not ready after {READY_SECONDS:g} s: {missing}")
            too_late = math.inf
        time.sleep(_POLL_SECONDS)
    tell(f"Scoreline is ready at http://{f'[{host}]' if ':' in host else host}:{settings.port}")


def _missing(host: str, port: int) -> str | None:
    """Return what ``/readyz`` reports as missing, in one line; None if the service is ready."""
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        return f"the web does not answer ({error})"
    finally:
        connection.close()
    if response.status == http.HTTPStatus.OK:
        return None
    try:
        return f"missing: {', '.join(json.loads(body)['missing'])}"
    except (ValueError, TypeError, KeyError):
        return f"/readyz answers {response.status}"
