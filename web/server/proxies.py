"""What proxies in front of the web say about a request: who sent it, and under which address.

Only proxies that the settings name are believed. What is not of the expected form is ignored.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from jobs.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

# A prefix such as ``//evil.example`` would lead links and redirects to another site.
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+/?")
_SCHEMES = ("http", "https")
_SIGNS_OF_A_PROXY = ("HTTP_VIA", "HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP")
_ORIGINAL = "werkzeug.proxy_fix.orig"


def trust_proxies(app: Flask, settings: Settings) -> None:
    """Take client, scheme, host and path prefix of requests from the proxies that the settings name, if any."""
    if not settings.trusted_proxies_count:
        return
    networks = settings.trusted_networks
    application, count = app.wsgi_app, settings.trusted_proxies_count
    # Each proxy adds the address and scheme that it sees; of host and prefix, the nearest has the last word.
    informed = ProxyFix(application, x_for=count, x_proto=count, x_host=1, x_prefix=1)

    def forwarded(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if networks and not _is_in(networks, environ.get("REMOTE_ADDR", "")):
            return application(environ, start_response)
        prefix = _last(environ, "HTTP_X_FORWARDED_PREFIX")
        environ["HTTP_X_FORWARDED_PREFIX"] = prefix.rstrip("/") if _PREFIX.fullmatch(prefix) else ""
        if _last(environ, "HTTP_X_FORWARDED_PROTO") not in _SCHEMES:
            environ["HTTP_X_FORWARDED_PROTO"] = ""
        return informed(environ, start_response)

    app.wsgi_app = forwarded  # type: ignore[method-assign]  # as Flask's documentation has it


def named_hosts(environ: Mapping[str, Any]) -> list[str]:
    """Return the hosts that a request names in ``Host`` and, from a trusted proxy, in ``X-Forwarded-Host``."""
    original = environ.get(_ORIGINAL, {}).get("HTTP_HOST")
    return [host for host in (original, environ.get("HTTP_HOST", "")) if host is not None]


def must_be_received_first(environ: Mapping[str, Any], settings: Settings) -> bool:
    """Return whether the body of a request has to be received as a whole before the response begins.

    Some proxies, such as nginx, pass on nothing more of the body once the response has begun. And where the web itself
    speaks TLS, two threads may not use the connection at once, one to read and one to write: OpenSSL forbids it.
    """
    if settings.tls_certificate:
        return True
    # As nginx asks unless told otherwise; a client of HTTP/1.0 need not say that it closes the connection.
    as_nginx = environ.get("SERVER_PROTOCOL") == "HTTP/1.0" and environ.get("HTTP_CONNECTION", "").lower() == "close"
    return bool(as_nginx or settings.trusted_proxies_count or any(environ.get(name) for name in _SIGNS_OF_A_PROXY))


def _is_in(networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network], peer: str) -> bool:
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:  # a Unix socket has none
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in network for network in networks)


def _last(environ: Mapping[str, Any], name: str) -> str:
    return str(environ.get(name, "")).rpartition(",")[2].strip()
