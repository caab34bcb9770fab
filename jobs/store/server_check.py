"""Check at the start that the Redis or Valkey server keeps what it acknowledges, and that versions go together.

``docs/store.md`` lists why servers are refused.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import structlog
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

from jobs.errors import UnsuitableStore
from jobs.settings import Settings
from jobs.store import keys
from jobs.store.address import is_cluster
from jobs.store.connection import connect
from jobs.store.protocol import protocol_fault
from jobs.store.scripts import register_script

log = structlog.stdlib.get_logger(__name__)

# The first version whose scripts have flags (``#!lua flags=allow-oom``).
_MIN_VERSION = (7, 0)
# What Redis and Valkey say of a command in a script that the user may not run. Outside of scripts, they have a code.
_NO_RIGHT = ("The user executing the script", "ACL failure in script")


def refuse_unsuitable_store(settings: Settings) -> None:
    """Check the server before a process starts to use it. A server that does not answer yet passes.

    Raises:
        SystemExit: with status 1, after logging the reason.
    """
    with suppress(RedisError), connect(settings, patient=True) as redis:
        try:
            StoreCheck(redis, settings).require()
        except UnsuitableStore as error:
            log.critical("cannot start", error=str(error))
            raise SystemExit(1) from error


class StoreCheck:
    """Checks the server until it was found suitable once, and then takes over the keys of former versions."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis: Any = redis
        self._accepts_risks = settings.store_risks == "accept"
        self._cluster_allowed = is_cluster(settings.store_url)
        self._suitable = False

    def faults(self) -> list[str]:
        """Return why the server is unsuitable; empty if it is suitable. A few round trips, none after a success.

        Raises:
            RedisError: the server does not answer.
        """
        if self._suitable:
            return []
        try:
            info = self._redis.info()
            faults, risks = self._faults(info), _risks(info, self._config("appendfsync"))
        except AuthenticationError:
            return ["it refuses the user name or the password"]
        except NoPermissionError as error:
            return [_lacking(error)]
        if risks and self._accepts_risks and not faults:
            log.warning("the store may lose jobs", risks=risks)
            risks = []
        if not faults and not risks and (fault := protocol_fault(self._redis)):
            faults = [fault]
        self._suitable = not faults and not risks
        if self._suitable and not info.get("cluster_enabled"):
            adopt_former_keys(self._redis)
        return faults + risks

    def require(self) -> None:
        """Raise ``UnsuitableStore`` if there are faults, and ``RedisError`` as ``faults`` does."""
        if faults := self.faults():
            raise UnsuitableStore(f"the store is unsuitable: {'; '.join(faults)}")

    def _faults(self, info: Mapping[str, Any]) -> list[str]:
        """Return what Scoreline cannot work with at all."""
        faults = find_faults(info, self._cluster_allowed)
        if not faults:
            try:
                register_script(self._redis, "check_rights")(keys=[keys.RIGHTS])
            except ResponseError as error:
                if not any(words in str(error) for words in _NO_RIGHT):
                    raise
                faults.append(_lacking(error))
        return faults

    def _config(self, name: str) -> str | None:
        """Return a setting of the server, or None: managed services forbid CONFIG."""
        with suppress(ResponseError):
            config = self._redis.config_get(name)
            return str(config[name]) if name in config else None
        return None


def _lacking(error: ResponseError) -> str:
    return f"its user lacks a right: {str(error).partition(' script:')[0].removesuffix('.')}"


def adopt_former_keys(redis: Redis) -> None:
    """Rename the keys that versions before the hash tag have left, if there are any. One round trip if not."""
    server: Any = redis
    # A user that has rights to the new names alone has nothing to take over.
    with suppress(NoPermissionError):
        if server.exists(keys.FORMER_TOTALS):
            renamed = register_script(redis, "adopt_former_keys")(args=[keys.FORMER_PREFIX, keys.PREFIX])
            log.info("keys of a former version renamed", keys=renamed)


def find_faults(info: Mapping[str, Any], cluster_allowed: bool = False) -> list[str]:
    """Return what of the server's ``INFO`` Scoreline cannot work with at all."""
    faults = []
    version = str(info.get("redis_version", ""))
    if tuple(int(part) for part in version.split(".")[:2] if part.isdecimal()) < _MIN_VERSION:
        faults.append(f"it speaks as Redis {version}, and at least {'.'.join(map(str, _MIN_VERSION))} is needed")
    if info.get("cluster_enabled") and not cluster_allowed:
        faults.append("it is part of a cluster, whose address begins with cluster:// instead of redis://")
    if info.get("role") not in (None, "master"):
        faults.append("it is a replica, which takes no writes")
    return faults


def _risks(info: Mapping[str, Any], appendfsync: str | None) -> list[str]:
    """Return what could lose acknowledged jobs; the setting ``store_risks`` can accept these."""
    risks = []
    policy = info.get("maxmemory_policy", "noeviction")
    if not info.get("aof_enabled"):
        risks.append("appendonly is no, so that a restart loses jobs")
    elif appendfsync not in (None, "always"):
        risks.append(f"appendfsync is {appendfsync}, not always, so that a crash loses the last jobs")
    if policy != "noeviction":
        risks.append(f"maxmemory-policy is {policy}, not noeviction, so that jobs vanish when memory is short")
    return risks
