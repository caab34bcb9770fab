"""Wait until the service is ready, and tell the user."""

import http
import http.client
import json
import math
import ssl
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
    while missing := _missing(settings, host):
        if time.monotonic() > too_late:
            tell(f"Scoreline is not ready after {READY_SECONDS:g} s: {missing}")
            too_late = math.inf
        time.sleep(_POLL_SECONDS)
    tell(f"Scoreline is ready at {settings.scheme}://{f'[{host}]' if ':' in host else host}:{settings.port}")


def _missing(settings: Settings, host: str) -> str | None:
    """Return what ``/readyz`` reports as missing, in one line; None if the service is ready."""
    connection = _connection(settings, host)
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


def _connection(settings: Settings, host: str) -> http.client.HTTPConnection:
    if settings.tls_certificate is None:
        return http.client.HTTPConnection(host, settings.port, timeout=5)
    # The certificate names the host that clients use, and this is the service's own machine.
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection(host, settings.port, timeout=5, context=context)
