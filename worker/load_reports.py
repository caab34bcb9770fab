"""What a worker tells others of the models that it cannot load."""

import os
import socket
from collections.abc import Iterator

from redis.exceptions import RedisError

from jobs.availability import redis_availability
from jobs.store.heartbeat import Node
from jobs.store.load_failures import LoadFailures
from model.catalog import Catalog
from model.errors import BrokenModel, ModelError


class LoadReports:
    """Reports of one process. Nothing is raised while the store is away: the next failure is reported again."""

    def __init__(self, failures: LoadFailures, node: Node) -> None:
        self._failures, self._node = failures, node
        self._loaded: set[tuple[str, str]] = set()
        self._broken: set[tuple[str, str]] = set()

    def failed(self, model: str, version: str, reason: str) -> None:
        """Report that a version cannot be loaded."""
        self._loaded.discard((model, version))
        try:
            self._failures.report(self._node, model, version, reason)
        except RedisError as error:
            redis_availability.record_failure(error)

    def succeeded(self, model: str, version: str) -> None:
        """Report that a version can be loaded, unless that was reported last."""
        if (model, version) not in self._loaded:
            try:
                self._failures.clear(self._node, model, version)
                self._loaded.add((model, version))
            except RedisError as error:
                redis_availability.record_failure(error)

    def check(self, catalog: Catalog) -> None:
        """Report the current versions that cannot be loaded, as far as their files tell, before anybody asks."""
        broken = dict(_broken(catalog))
        for (model, version), reason in broken.items():
            self.failed(model, version, reason)
        for model, version in self._broken - broken.keys():
            self.succeeded(model, version)
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


def worker_of_child() -> Node:
    """Return the worker that this process, a child of it, belongs to."""
    return Node(socket.gethostname(), os.getppid(), 1)
