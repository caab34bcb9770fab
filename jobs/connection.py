"""The way to Redis: how long an answer is waited for, and how often a broken connection is made again."""

from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from jobs.settings import Settings

# More than a web process has threads, each of which may need one.
_MOST_CONNECTIONS = 4096


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
        max_connections=_MOST_CONNECTIONS,
    )
