"""Connecting to Redis: TLS, timeouts and retries."""

from typing import Any

from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.connection import parse_url
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from jobs.settings import Settings

# More than a web process has threads: each may need a connection.
_MAX_CONNECTIONS = 4096
_TLS = "rediss://"


def tls_options(settings: Settings) -> dict[str, Any]:
    """Return redis-py's options for verifying the server's certificate; empty where the URL has no TLS.

    Options in the URL itself (``?ssl_ca_certs=…``) take precedence.
    """
    if not settings.store_url.startswith(_TLS):
        return {}
    verified: dict[str, Any] = {"ssl_cert_reqs": "required", "ssl_check_hostname": True}
    if settings.redis_ca:
        verified["ssl_ca_certs"] = str(settings.redis_ca)
    in_url = parse_url(settings.store_url)  # type: ignore[no-untyped-call]
    return verified | {name: value for name, value in in_url.items() if name.startswith("ssl_")}


def connect(settings: Settings, patient: bool = False) -> Redis:
    """Return a client of the server in the settings; a ``patient`` one, for workers, outlasts a server restart."""
    backoff = ExponentialBackoff(cap=1.0, base=0.05)
    retry = Retry(backoff, 15 if patient else 1, (RedisConnectionError,))
    timeout = settings.store_timeout_seconds
    return Redis.from_url(
        settings.store_url,
        socket_timeout=4 * timeout if patient else timeout,
        socket_connect_timeout=timeout,
        retry=retry,
        health_check_interval=25,
        max_connections=_MAX_CONNECTIONS,
        **tls_options(settings),
    )
