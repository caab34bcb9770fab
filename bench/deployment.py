"""The service on seven hosts: a primary and its replica with Sentinels, an S3-compatible server, web and workers."""

import http
import http.client
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from bench.large_job import Refused, request
from bench.namespaces import Host
from bench.places import ROOT
from ops.embedded import server_binary

NAMES = ("store-1", "store-2", "objects", "web", "bulk-1", "bulk-2", "interactive")
STORE_PORT, _SENTINEL_PORT, _OBJECTS_PORT, _WEB_PORT = 6379, 26379, 5000, 8000
_SERVICE = "scoreline"
_PYTHON = sys.executable
_DURABLE = 'appendonly yes\nappendfsync always\nmaxmemory-policy noeviction\nsave ""\n'
_READY_SECONDS = 600.0
_LEASE_SECONDS = 5


class Failed(Exception):
    """Raised when the hosts do not do what they should in time; the text says what."""


@dataclass
class Deployment:
    """The hosts and how the service is spread over them."""

    hosts: dict[str, Host]
    environment: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        sentinels = ",".join(f"{self.hosts[name].address}:{_SENTINEL_PORT}" for name in NAMES[:3])
        objects, web = self.hosts["objects"].address, self.hosts["web"].address
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SCORELINE_", "AWS_"))}
        self.environment = {
            **inherited,
            "HOST": web,
            "PORT": str(_WEB_PORT),
            "SCORELINE_AUTH": "off",
            "SCORELINE_REDIS_URL": f"sentinel://{sentinels}/{_SERVICE}",
            "SCORELINE_STORE_REPLICAS": "1",
            "SCORELINE_STORE_TIMEOUT_SECONDS": "2",
            "SCORELINE_LEASE_SECONDS": str(_LEASE_SECONDS),
            "SCORELINE_STORAGE_URL": "s3://scoreline/data",
            "SCORELINE_BULK_PROCESSES": "1",
            "SCORELINE_WEB_PROCESSES": "1",
            "SCORELINE_MAX_UPLOAD_BYTES": str(2**40),
            "AWS_ENDPOINT_URL": f"http://{objects}:{_OBJECTS_PORT}",
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench",
            "AWS_REGION": "us-east-1",
        }

    @property
    def web(self) -> tuple[str, int]:
        """Address and port of the web."""
        return self.hosts["web"].address, _WEB_PORT

    def start_stores(self) -> None:
        """Start primary, replica, three Sentinels and the object store."""
        primary = self.hosts["store-1"]
        for name in ("store-1", "store-2"):
            host = self.hosts[name]
            following = "" if host is primary else f"replicaof {primary.address} {STORE_PORT}\n"
            self._start_server(name, "store", f"{following}{_DURABLE}port {STORE_PORT}\n")
        watch = (
            f"port {_SENTINEL_PORT}\n"
            f"sentinel monitor {_SERVICE} {primary.address} {STORE_PORT} 2\n"
            f"sentinel down-after-milliseconds {_SERVICE} 2000\n"
            f"sentinel failover-timeout {_SERVICE} 10000\n"
        )
        wait(lambda: _is_in_step(primary), "the replica")
        for name in NAMES[:3]:
            self._start_server(name, "sentinel", watch, "--sentinel")
        wait(lambda: _all_are_watched(self.hosts[name] for name in NAMES[:3]), "the Sentinels")
        objects = self.hosts["objects"]
        self.start("objects", "-m", "moto.server", "-H", objects.address, "-p", str(_OBJECTS_PORT))
        wait(lambda: _make_bucket(objects), "the object store")

    def _start_server(self, name: str, kind: str, configuration: str, *options: str) -> None:
        host = self.hosts[name]
        folder = host.folder / kind
        folder.mkdir()
        file = folder / "server.conf"
        file.write_text(f"{configuration}bind {host.address} 127.0.0.1\nprotected-mode no\ndir {folder}\n")
        host.start([str(server_binary()), str(file), *options], self.environment, folder)

    def start_service(self, models: Path | None) -> None:
        """Start the service; the web has the models that ship, and all others fetch them."""
        web = self.hosts["web"]
        if models:
            shutil.copytree(models, web.folder / "var" / "models", symlinks=False)
        else:
            folder = str(web.folder / "var" / "models")
            web.run([_PYTHON, "-m", "model.census.train", "--directory", folder], self._own(web), ROOT)
        web.run([_PYTHON, "-m", "jobs.models", "sync"], self._own(web), ROOT)
        self.start("web", "-m", "gunicorn", "-c", "web/server/gunicorn.conf.py", "web.wsgi:app")
        self.start("web", "-m", "worker.recording.recorder")
        self.start("interactive", "-m", "worker", "interactive")
        self.start("interactive", "-m", "worker.reconcile")
        self.start_bulk("bulk-1")
        self.start_bulk("bulk-2")
        wait(lambda: request(self.web, "GET", "/readyz").get("ready"), "the service")

    def start_bulk(self, name: str) -> None:
        """Start a host's bulk worker."""
        self.start(name, "-m", "worker", "bulk")

    def start(self, name: str, *words: str) -> None:
        """Start a Python process on a host."""
        self.hosts[name].start([_PYTHON, *words], self._own(self.hosts[name]), ROOT)

    def run(self, name: str, *words: str) -> None:
        """Run a Python process on a host to its end."""
        self.hosts[name].run([_PYTHON, *words], self._own(self.hosts[name]), ROOT)

    def _own(self, host: Host) -> dict[str, str]:
        return {**self.environment, "SCORELINE_DATA_DIR": str(host.folder / "var")}


def _is_in_step(primary: Host) -> bool:
    with Redis(primary.address, STORE_PORT, socket_timeout=2) as redis:
        replicas: Any = redis.info("replication")
        return bool(replicas["connected_slaves"] == 1 and replicas["slave0"]["state"] == "online")


def _all_are_watched(sentinels: Iterable[Host]) -> bool:
    for host in sentinels:
        with Redis(host.address, _SENTINEL_PORT, socket_timeout=2) as redis:
            state: Any = redis.sentinel_masters()[_SERVICE]
        if (state["num-other-sentinels"], state["num-slaves"]) != (2, 1):
            return False
    return True


def _make_bucket(host: Host) -> bool:
    connection = http.client.HTTPConnection(host.address, _OBJECTS_PORT, timeout=10)
    try:
        connection.request("PUT", "/scoreline")
        return connection.getresponse().status == http.HTTPStatus.OK
    finally:
        connection.close()


def wait(condition: Callable[[], object], what: str) -> None:
    """Wait until the condition holds; what does not answer meanwhile is asked again.

    Raises:
        Failed: it took far too long.
    """
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError, http.client.HTTPException, ValueError, RedisError, Refused):
            if condition():
                return
        time.sleep(0.2)
    raise Failed(f"this took too long: {what}")
