"""Which hosts are the service's own, so that a page of another site cannot reach it under a name of its own.

In DNS rebinding, a page at ``http://evil.example`` has that name point to this machine once it is loaded, and is then
of the same origin as the service: its requests carry ``Host: evil.example``. An address cannot point elsewhere: where
the service listens on every address of the machine, any address is its own, while a name has to be listed.
"""

import ipaddress
import re
from collections.abc import Iterable

_HOST = re.compile(r"(?P<name>[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{0,5})?")
_TARGET = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?P<authority>[^/?#]*)")
_LOOPBACK_NAME = "localhost"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class OwnHosts:
    """The hosts under which the service answers: loopback, the address it listens on, and those that are listed."""

    def __init__(self, listens_on: str, listed: Iterable[str] = ()) -> None:
        self._names = {_LOOPBACK_NAME, *(_plain(name) for name in (listens_on, *listed))}
        address = _address(_plain(listens_on))
        self._any_address = address is not None and address.is_unspecified

    def own(self, host: str) -> bool:
        """Whether a ``Host`` header, with or without a port, names one of them."""
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = _plain(found["name"])
        address = _address(name)
        if address is not None and (address.is_loopback or self._any_address):
            return True
        return name in self._names


def target_host(target: str) -> str | None:
    """The host of a request target that is an absolute address; None for one that is only a path."""
    found = _TARGET.match(target)
    return found["authority"] if found else None


def _plain(name: str) -> str:
    """A host's name as it is compared: in lower case, without brackets or a last dot; of an address, its usual form."""
    plain = name.strip("[]").lower().removesuffix(".")
    address = _address(plain)
    return plain if address is None else str(address)


def _address(name: str) -> Address | None:
    """The address that a name spells, an IPv4 one in IPv6's notation as what it is; None for a name."""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
