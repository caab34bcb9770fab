"""Connecting to Redis: TLS, timeouts and retries."""

from collections.abc import Mapping
from typing import Any

from redis import Redis
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.connection import parse_url
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from jobs.settings import Settings
from jobs.store.address import StoreAddress, Topology
from jobs.store.failover import primary_pool

# More than a web process has threads: each may need a connection.
_MAX_CONNECTIONS = 4096
_SENTINEL_LOGIN = {"sentinel_username": "username", "sentinel_password": "password"}


def url_options(address: StoreAddress) -> dict[str, Any]:
    """Return redis-py's options that an address of several nodes names, except those of its Sentinels."""
    options = {name: value for name, value in _query(address).items() if name not in _SENTINEL_LOGIN}
    login = {"username": address.username, "password": address.password}
    return {name: value for name, value in login.items() if value} | {"db": address.database} | options


def node_options(settings: Settings) -> dict[str, Any]:
    """Return redis-py's options for asking Sentinels, or nodes of a cluster, which server is the primary."""
    address = StoreAddress.parse(settings.store_url)
    # Each is asked in turn: those that do not answer must leave time for the others.
    timeout = settings.store_timeout_seconds / max(1, len(address.nodes))
    options: dict[str, Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": Retry(NoBackoff(), 0),
    }
    if address.topology is Topology.CLUSTER:
        options |= url_options(address)
    else:
        options |= {_SENTINEL_LOGIN[name]: value for name, value in _query(address).items() if name in _SENTINEL_LOGIN}
    return options | ({"ssl": True} | tls_options(settings) if address.tls else {})


def tls_options(settings: Settings) -> dict[str, Any]:
    """Return redis-py's options for verifying the server's certificate; empty where the URL has no TLS.

    Options in the URL itself (``?ssl_ca_certs=…``) take precedence.
    """
    address = StoreAddress.parse(settings.store_url)
    if not address.tls:
        return {}
    verified: dict[str, Any] = {"ssl_cert_reqs": "required", "ssl_check_hostname": True}
    if settings.redis_ca:
        verified["ssl_ca_certs"] = str(settings.redis_ca)
    return verified | {name: value for name, value in _query(address).items() if name.startswith("ssl_")}


def _query(address: StoreAddress) -> Mapping[str, Any]:
    """Return the options in the query of an address, as redis-py reads them."""
    url = address.url if address.topology is Topology.SERVER else f"redis://?{address.query}"
    options: Mapping[str, Any] = parse_url(url)  # type: ignore[no-untyped-call]
    return options


def connect(settings: Settings, patient: bool = False) -> Redis:
    """Return a client of the server in the settings; a ``patient`` one, for workers, outlasts a server restart."""
    address = StoreAddress.parse(settings.store_url)
    backoff = ExponentialBackoff(cap=1.0, base=0.05)
    timeout = settings.store_timeout_seconds
    options: dict[str, Any] = {
        "socket_timeout": 4 * timeout if patient else timeout,
        "socket_connect_timeout": timeout,
        "retry": Retry(backoff, 15 if patient else 1, (RedisConnectionError,)),
        "health_check_interval": 25,
        "max_connections": _MAX_CONNECTIONS,
        **tls_options(settings),
    }
    if address.topology is Topology.SERVER:
        return Redis.from_url(address.url, **options)
    return Redis.from_pool(primary_pool(address, node_options(settings), **url_options(address) | options))
