"""The way to Redis: how long an answer is waited for, and how often a broken connection is made again."""

from typing import Any

from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.connection import parse_url
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from jobs.settings import Settings

# More than a web process has threads, each of which may need one.
_MAX_CONNECTIONS = 4096
_TLS = "rediss://"


def tls_options(settings: Settings) -> dict[str, Any]:
    """How the server's certificate is verified, as redis-py's options have it; nothing where the address has no TLS.

    The address may hold such options itself (``?ssl_ca_certs=…``), which then count.
    """
    if not settings.store_url.startswith(_TLS):
        return {}
    verified: dict[str, Any] = {"ssl_cert_reqs": "required", "ssl_check_hostname": True}
    if settings.redis_ca:
        verified["ssl_ca_certs"] = str(settings.redis_ca)
    given = parse_url(settings.store_url)  # type: ignore[no-untyped-call]
    return verified | {name: value for name, value in given.items() if name.startswith("ssl_")}


def connect(settings: Settings, patient: bool = False) -> Redis:
    """A client of the server in the settings; a patient one (a worker's) sits out a restart of the server."""
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
