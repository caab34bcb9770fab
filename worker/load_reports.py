"""What a worker tells others of the models that it cannot load."""

import math
import os
import socket
import time
from collections.abc import Callable, Collection, Iterator

from redis.exceptions import RedisError

from jobs.availability import redis_availability
from jobs.store.heartbeat import Node
from jobs.store.load_failures import LoadFailures
from model.catalog import Catalog
from model.errors import BrokenModel, ModelError, UnknownModel

# Another process of the worker may have reported a failure since; that is not worth a round trip for each prediction.
_CLEAR_AGAIN_SECONDS = 60.0


class LoadReports:
    """Reports of one process. Nothing is raised while the store is away: the next failure is reported again."""

    def __init__(self, failures: LoadFailures, node: Node, now: Callable[[], float] = time.monotonic) -> None:
        self._failures, self._node, self._now = failures, node, now
        self._cleared: dict[tuple[str, str], float] = {}
        self._broken: set[tuple[str, str]] = set()

    def failed(self, model: str, version: str, reason: str) -> None:
        """Report that a version cannot be loaded."""
        self._cleared.pop((model, version), None)
        try:
            self._failures.report(self._node, model, version, reason)
        except RedisError as error:
            redis_availability.record_failure(error)

    def succeeded(self, model: str, version: str) -> None:
        """Report that a version can be loaded, unless that was reported within a minute."""
        if self._now() >= self._cleared.get((model, version), -math.inf) + _CLEAR_AGAIN_SECONDS:
            self._clear(model, version)

    def _clear(self, model: str, version: str) -> None:
        try:
            self._failures.clear(self._node, model, version)
            self._cleared[model, version] = self._now()
        except RedisError as error:
            redis_availability.record_failure(error)

    def check(self, catalog: Catalog, shared: Collection[tuple[str, str]] = ()) -> None:
        """Report the current versions that cannot be loaded, as far as their files tell, before anybody asks.

        What processes of the worker have reported of versions that are neither here nor ``shared`` by others is
        cleared: nobody can ask for these anymore.
        """
        broken = dict(_broken(catalog))
        for (model, version), reason in broken.items():
            self.failed(model, version, reason)
        try:
            reported = self._failures.of_node(self._node)
        except RedisError as error:
            redis_availability.record_failure(error)
            reported = set()
        gone = {one for one in reported if one not in shared and not _is_there(catalog, *one)}
        for model, version in (self._broken | gone) - broken.keys():
            self._clear(model, version)
        self._broken = set(broken)


def _broken(catalog: Catalog) -> Iterator[tuple[tuple[str, str], str]]:
    for name in catalog.names():
        try:
            version = catalog.current_version(name)
        except ModelError:
            continue
        try:
            catalog.usable_card(name, version)
        except BrokenModel as error:
            yield (name, version), str(error)
        except ModelError:
            continue  # removed just now


def _is_there(catalog: Catalog, model: str, version: str) -> bool:
    try:
        catalog.card(model, version)
    except UnknownModel:
        return False
    except ModelError:
        pass
    return True


def worker_of_child() -> Node:
    """Return the worker that this process, a child of it, belongs to."""
    return Node(socket.gethostname(), os.getppid(), 1)
