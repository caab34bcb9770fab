"""Seven hosts, and what may happen to them in the middle of a job: ``python -m bench.hosts --rows 10000000``.

Makes hosts in network namespaces (needs root on Linux): a primary and its replica with Sentinels, an S3-compatible
server, web, two bulk workers, and an interactive worker with the reconciler. Streams so many rows in; meanwhile adds a
model on one host and predicts with it on another, kills a host, cuts the network of another, and kills the primary with
its host. Every row has its number: reports rows missing and repeated.
"""

import argparse
import http
import http.client
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import skops.io
from redis import Redis
from redis.exceptions import RedisError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bench.large_job import Refused, body, check_results, request
from bench.namespaces import Host, hosts
from bench.places import ROOT
from ops.embedded import server_binary

_NAMES = ("store-1", "store-2", "objects", "web", "bulk-1", "bulk-2", "interactive")
_STORE_PORT, _SENTINEL_PORT, _OBJECTS_PORT, _WEB_PORT = 6379, 26379, 5000, 8000
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
        sentinels = ",".join(f"{self.hosts[name].address}:{_SENTINEL_PORT}" for name in _NAMES[:3])
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
            following = "" if host is primary else f"replicaof {primary.address} {_STORE_PORT}\n"
            self._start_server(name, "store", f"{following}{_DURABLE}port {_STORE_PORT}\n")
        watch = (
            f"port {_SENTINEL_PORT}\n"
            f"sentinel monitor {_SERVICE} {primary.address} {_STORE_PORT} 2\n"
            f"sentinel down-after-milliseconds {_SERVICE} 2000\n"
            f"sentinel failover-timeout {_SERVICE} 10000\n"
        )
        _wait(lambda: _is_in_step(primary), "the replica")
        for name in _NAMES[:3]:
            self._start_server(name, "sentinel", watch, "--sentinel")
        _wait(lambda: _all_are_watched(self.hosts[name] for name in _NAMES[:3]), "the Sentinels")
        objects = self.hosts["objects"]
        self.start("objects", "-m", "moto.server", "-H", objects.address, "-p", str(_OBJECTS_PORT))
        _wait(lambda: _make_bucket(objects), "the object store")

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
        _wait(lambda: request(self.web, "GET", "/readyz").get("ready"), "the service")

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


def main(arguments: list[str] | None = None) -> int:
    """Run all of it and print a report as JSON; exit with 1 if a row is missing or repeated."""
    parser = argparse.ArgumentParser(prog="python -m bench.hosts", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--chunk-bytes", type=int, help="size of the chunks; by default that of the service")
    parser.add_argument("--models", type=Path, help="folder with the models that ship; by default they are trained")
    options = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="scoreline-hosts-"))
    try:
        with hosts(_NAMES, folder) as made:
            deployment = Deployment(made)
            if options.chunk_bytes:
                deployment.environment["SCORELINE_CHUNK_BYTES"] = str(options.chunk_bytes)
            deployment.start_stores()
            deployment.start_service(options.models)
            report = _run(deployment, options.rows)
    except Failed as failure:
        print(failure, file=sys.stderr)
        for log in sorted(folder.glob("*/log")):
            print(f"--- {log.parent.name}\n{log.read_text(errors='replace')[-3000:]}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(report, indent=2))
    return int(bool(report["missing"] or report["repeated_or_out_of_order"]))


def _run(deployment: Deployment, rows: int) -> dict[str, Any]:
    """Score so many rows while things happen to the hosts; return the report."""
    web, seconds = deployment.web, {"from adding a model to its answer on another host": _add_a_model(deployment)}
    began = time.monotonic()
    # From the half of the upload on nobody scores, so that enough is left for what happens after it.
    stages = {rows // 5: deployment.hosts["bulk-1"].kill, rows // 2: deployment.hosts["bulk-2"].cut}
    job = request(web, "POST", "/api/v1/jobs", _staged(rows, stages), {"Content-Type": "text/csv"})
    seconds["upload"] = time.monotonic() - began
    look = f"/api/v1/jobs/{job['id']}"
    before = request(web, "GET", look)["progress"]
    deployment.start_bulk("bulk-1")
    _wait(lambda: request(web, "GET", look)["progress"] > before, "the bulk worker that was started again")
    at = request(web, "GET", look)["progress"]
    deployment.hosts["store-1"].kill()
    killed = time.monotonic()
    _wait(lambda: _role(deployment.hosts["store-2"]) == "master", "the failover")
    seconds["failover"] = time.monotonic() - killed
    deployment.hosts["bulk-2"].restore()
    _wait(lambda: request(web, "GET", look)["state"] in ("succeeded", "failed"), "the end of the job")
    seconds["job with upload"] = time.monotonic() - began
    job = request(web, "GET", look)
    found, wrong = check_results(web, job["id"], rows) if job["state"] == "succeeded" else (0, 0)
    return {
        "rows": rows,
        "state": job["state"],
        "error": job["error"],
        "missing": rows - found,
        "repeated_or_out_of_order": wrong,
        "progress when the primary was killed": at,
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
    }


def _staged(rows: int, stages: dict[int, Callable[[], None]]) -> Iterator[bytes]:
    """Yield the upload; do what is due once so many rows are sent."""
    due = sorted(stages)
    for sent, block in body(rows):
        yield block
        while due and sent >= due[0]:
            stages[due.pop(0)]()


def _add_a_model(deployment: Deployment) -> float:
    """Add a model on a bulk worker's host and predict with it on the interactive one; return the seconds that took."""
    folder = deployment.hosts["bulk-2"].folder
    data = pd.DataFrame({"length": [float(n % 17) for n in range(400)], "width": [float(n % 5) for n in range(400)]})
    data["large"] = ["yes" if row.length + row.width > 9 else "no" for row in data.itertuples()]
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(data[["length", "width"]], data["large"])
    data.to_csv(folder / "data.csv", index=False)
    (folder / "model.skops").write_bytes(skops.io.dumps(pipeline))
    options = ("--name", "sizes", "--data", str(folder / "data.csv"), "--target", "large")
    deployment.run("bulk-2", "-m", "model", "add", str(folder / "model.skops"), *options)
    began = time.monotonic()
    record = json.dumps({"model": "sizes", "record": {"length": 16.0, "width": 4.0}}).encode()
    headers = {"Content-Type": "application/json"}

    def answers() -> bool:
        answer = request(deployment.web, "POST", "/api/v1/predictions", iter([record]), headers)
        return bool(answer.get("prediction") == "yes")

    _wait(answers, "the added model")
    return time.monotonic() - began


def _role(host: Host) -> str:
    with Redis(host.address, _STORE_PORT, socket_timeout=2) as redis:
        return str(redis.info("replication")["role"])


def _is_in_step(primary: Host) -> bool:
    with Redis(primary.address, _STORE_PORT, socket_timeout=2) as redis:
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


def _wait(condition: Callable[[], object], what: str) -> None:
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


if __name__ == "__main__":
    sys.exit(main())
