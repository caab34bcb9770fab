"""Celery's connections where the store is not one server: they find the primary as ours do."""

from collections.abc import Mapping, Sequence
from typing import Any

from kombu.transport import redis
from redis.sentinel import SentinelConnectionPool

from jobs.store.address import Topology
from jobs.store.failover import PrimaryConnection, PrimarySSLConnection, SlotOwner


class SentinelChannel(redis.SentinelChannel):
    """kombu's channel; its connections also notice a primary that another one replaces while they wait for messages."""

    connection_class: Any = PrimaryConnection
    connection_class_ssl: Any = PrimarySSLConnection


class SentinelTransport(redis.SentinelTransport):
    """Messages in a Redis whose primary Sentinels know."""

    Channel = SentinelChannel


class ClusterChannel(redis.Channel):
    """A channel to the one node of a cluster that has all keys. kombu has none for clusters."""

    connection_class: Any = PrimaryConnection
    connection_class_ssl: Any = PrimarySSLConnection
    from_transport_options: Any = (*redis.Channel.from_transport_options, "cluster_nodes", "node_options")
    cluster_nodes: Sequence[tuple[str, int]] = ()
    node_options: Mapping[str, Any] = {}

    def _get_pool(self, asynchronous: bool = False) -> SentinelConnectionPool:
        options: dict[str, Any] = self._connparams(asynchronous)  # type: ignore[no-untyped-call]
        self.keyprefix_fanout = self.keyprefix_fanout.format(db=options["db"])
        options = {name: value for name, value in options.items() if name not in ("host", "port")}
        owner = SlotOwner(self.cluster_nodes, self.node_options)
        return SentinelConnectionPool(Topology.CLUSTER.value, owner, **options)  # type: ignore[no-untyped-call]


class ClusterTransport(redis.Transport):
    """Messages in a Redis cluster."""

    Channel = ClusterChannel
