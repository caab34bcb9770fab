"""Finding the primary anew when another server has become it: by Sentinels, or by the nodes of a cluster."""

from collections.abc import Mapping, Sequence
from typing import Any

from redis import Redis
from redis.connection import SSLConnection
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import (
    TimeoutError as RedisTimeoutError,
)
from redis.sentinel import MasterNotFoundError, Sentinel, SentinelConnectionPool, SentinelManagedConnection

from jobs.store import keys
from jobs.store.address import StoreAddress, Topology

# What a server says to a client that waits for a list when it ceases to be the primary.
_UNBLOCKED = "UNBLOCKED"


class PrimaryConnection(SentinelManagedConnection):
    """A connection to the primary. A server that is no longer it ends the connection; the next attempt asks anew.

    redis-py's own connection asks for the primary only in ``connect``. To repeat a command, it calls
    ``connect_check_health``, which would reach the former primary once more.
    """

    def connect(self) -> None:
        """Connect to the primary, unless connected; retry as the settings of the connection say."""
        self.retry.call_with_retry(lambda: self.connect_check_health(retry_socket_connect=False), lambda _error: None)

    def connect_check_health(self, check_health: bool = True, retry_socket_connect: bool = True) -> None:
        """Connect to the server that is the primary now, unless connected."""
        if not self.is_connected:
            self.host, self.port = self.connection_pool.get_master_address()
            super().connect_check_health(check_health, retry_socket_connect=False)

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        """Return the server's answer; raise ``ConnectionError`` if another server is to be asked."""
        try:
            return super().read_response(*args, **kwargs)
        except (AskError, MovedError, ClusterDownError) as error:
            self._give_up(error)
        except ResponseError as error:
            if not str(error).startswith(_UNBLOCKED):
                raise
            self._give_up(error)

    def _give_up(self, error: ResponseError) -> None:
        self.disconnect()  # type: ignore[no-untyped-call]
        raise RedisConnectionError("another server is the primary by now") from error


class PrimarySSLConnection(PrimaryConnection, SSLConnection):
    """The same through TLS."""


class SlotOwner:
    """Asks the nodes of a cluster which of them has Scoreline's keys: their hash tag puts them all on one.

    Takes the place of a ``Sentinel`` in redis-py's pool, which asks it before each new connection.
    """

    def __init__(self, nodes: Sequence[tuple[str, int]], options: Mapping[str, Any]) -> None:
        self._nodes = [(host, Redis(host, port, **options)) for host, port in nodes]

    def discover_master(self, _service: str) -> tuple[str, int]:
        """Return host and port of the node with the keys.

        Raises:
            MasterNotFoundError: no node answers, or none has the keys.
        """
        for position, (host, node) in enumerate(self._nodes):
            try:
                node.exists(keys.JOBS)
            except MovedError as moved:
                # An empty host is the one that was asked.
                owner = (moved.host or host, moved.port)
            except (RedisConnectionError, RedisTimeoutError, ClusterDownError):
                continue
            else:
                owner = (host, node.get_connection_kwargs()["port"])
            # The next time, the node that answered is asked first.
            self._nodes[0], self._nodes[position] = self._nodes[position], self._nodes[0]
            return owner
        raise MasterNotFoundError("no node of the cluster knows which one has the keys")


def primary_pool(address: StoreAddress, node_options: Mapping[str, Any], **options: Any) -> SentinelConnectionPool:
    """Return a pool of connections to the primary behind an address of several nodes."""
    manager: Any = (
        SlotOwner(address.nodes, node_options)
        if address.topology is Topology.CLUSTER
        else Sentinel(address.nodes, sentinel_kwargs=dict(node_options))  # type: ignore[no-untyped-call]
    )
    kind = PrimarySSLConnection if address.tls else PrimaryConnection
    return SentinelConnectionPool(address.service, manager, **{"connection_class": kind} | options)  # type: ignore[no-untyped-call]
