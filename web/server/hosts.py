"""The service's own host names, to protect it against DNS rebinding.

In DNS rebinding, a page at ``http://evil.example`` has that name point to this machine once it is loaded, and is then
of the same origin as the service: its requests carry ``Host: evil.example``. An address cannot point elsewhere: where
the service listens on every address of the machine, any address is its own, while a name has to be listed.
"""

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from flask import Flask

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_HOST = re.compile(r"(?P<name>[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{0,5})?")
_TARGET = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?P<authority>[^/?#]*)")
_LOOPBACK_NAME = "localhost"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class OwnHosts:
    """The hosts under which the service answers: loopback, the address it listens on, and those in the settings."""

    def __init__(self, listens_on: str, listed: Iterable[str] = ()) -> None:
        listed = tuple(listed)
        self._names = {_LOOPBACK_NAME, *(_normalise(name) for name in (listens_on, *listed))}
        self._listed = {name for name in map(_normalise, listed) if not _is_loopback(name)}
        address = _address(_normalise(listens_on))
        self._any_address = address is not None and address.is_unspecified
        # Most requests name the same few hosts; bounded, since names come from outside.
        self._is_own = lru_cache(maxsize=256)(self._check)

    def own(self, host: str) -> bool:
        """Return whether a ``Host`` header, with or without a port, names one of them."""
        return self._is_own(host)

    def _check(self, host: str) -> bool:
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = _normalise(match["name"])
        address = _address(name)
        if address is not None and (address.is_loopback or self._any_address):
            return True
        return name in self._names

    def lists_origin(self, origin: str) -> bool:
        """Return whether an ``Origin`` is of a host in the settings, at any port; of loopback ones it never is."""
        match = _HOST.fullmatch(target_host(origin) or "")
        web = origin.startswith(("http://", "https://"))
        return web and match is not None and _normalise(match["name"]) in self._listed


def target_host(target: str) -> str | None:
    """Return the host of a request target in absolute form; None if the target is a path."""
    match = _TARGET.match(target)
    return match["authority"] if match else None


def complete_targets(app: Flask) -> None:
    """Read an absolute request target without a path, such as ``http://localhost``, as one with the path ``/``."""
    application = app.wsgi_app

    def with_path(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        environ["PATH_INFO"] = environ.get("PATH_INFO") or "/"
        return application(environ, start_response)

    app.wsgi_app = with_path  # type: ignore[method-assign]  # as Flask's documentation has it


def _normalise(name: str) -> str:
    """Return a host in canonical form: lower case, without brackets or trailing dot; addresses normalised."""
    plain = name.strip("[]").lower().removesuffix(".")
    address = _address(plain)
    return plain if address is None else str(address)


def _is_loopback(name: str) -> bool:
    address = _address(name)
    return name == _LOOPBACK_NAME or (address is not None and address.is_loopback)


def _address(name: str) -> Address | None:
    """Parse an IP address, IPv4-mapped IPv6 as IPv4; return None for a host name."""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
