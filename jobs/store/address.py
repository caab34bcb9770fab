"""Addresses of the store: one server, Sentinels that know the primary, or nodes of a cluster. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self
from urllib.parse import unquote, urlsplit

_TLS = "+tls"
_DEFAULT_PORTS = {"sentinel": 26379, "cluster": 6379}


class Topology(StrEnum):
    """How the primary is found."""

    SERVER = "server"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


class InvalidAddress(ValueError):
    """Raised when an address is of no kind that is taken. The message does not quote it: it may have a password."""


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """An address. Of one server, redis-py reads the ``url``; the other fields are those of several nodes.

    ``service`` is the name that the Sentinels have given to the primary; ``query`` holds options of redis-py.
    """

    topology: Topology
    url: str
    tls: bool = False
    nodes: tuple[tuple[str, int], ...] = ()
    service: str = ""
    database: int = 0
    username: str = ""
    password: str = ""
    query: str = ""

    @classmethod
    def parse(cls, url: str) -> Self:
        """Return the address.

        Raises:
            InvalidAddress: the address is of no kind that is taken, or lacks a part.
        """
        parts = urlsplit(url)
        if parts.scheme in ("redis", "rediss", "unix"):
            return cls(Topology.SERVER, url, tls=parts.scheme == "rediss")
        kind = parts.scheme.removesuffix(_TLS)
        if kind not in _DEFAULT_PORTS:
            raise InvalidAddress(
                "it must begin with redis://, rediss:// (TLS), unix://, sentinel://, sentinel+tls://, cluster:// or "
                "cluster+tls://"
            )
        user, _, hosts = parts.netloc.rpartition("@")
        username, _, password = user.partition(":")
        service, database = _split_path(Topology(kind), parts.path)
        return cls(
            Topology(kind),
            url,
            tls=parts.scheme.endswith(_TLS),
            nodes=tuple(_parse_node(node, _DEFAULT_PORTS[kind]) for node in hosts.split(",")),
            service=service,
            database=database,
            username=unquote(username),
            password=unquote(password),
            query=parts.query,
        )


def is_cluster(url: str) -> bool:
    """Return whether an address is that of a cluster."""
    return StoreAddress.parse(url).topology is Topology.CLUSTER


def _split_path(topology: Topology, path: str) -> tuple[str, int]:
    """Return the name of the primary and the number of the database."""
    service, _, database = path.strip("/").partition("/") if topology is Topology.SENTINEL else ("", "", path[1:])
    if topology is Topology.SENTINEL and not service:
        raise InvalidAddress(
            "the name of the primary is missing, which `sentinel monitor` gives it: "
            "sentinel://host:26379,host:26379,host:26379/name"
        )
    if database and not database.isdecimal():
        raise InvalidAddress("what follows the last slash must be the number of a database")
    if topology is Topology.CLUSTER and int(database or 0):
        raise InvalidAddress("a cluster has the database 0 only")
    return service, int(database or 0)


def _parse_node(node: str, default_port: int) -> tuple[str, int]:
    """Return host and port; an IPv6 address stands in brackets."""
    host, colon, port = node.rpartition(":")
    if not colon or node.endswith("]"):
        host, port = node, str(default_port)
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise InvalidAddress("each of its hosts must be a name or an address, with a port after a colon if need be")
    return host.strip("[]"), int(port)
