"""Hosts on one machine: network namespaces on a bridge, each with its own address and name. Needs root on Linux."""

import ipaddress
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

_FIRST_NETWORK = int(ipaddress.IPv4Address("10.96.0.0"))
_IN_GROUP = ("sh", "-c", 'echo $$ > "$0" && exec "$@"')
_WITH_NAME = ("unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"')


def can_be_made() -> bool:
    """Return whether this user may make network namespaces here."""
    if not all(shutil.which(program) for program in ("ip", "unshare", "hostname")):
        return False
    name = f"scoreline-{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode:
        return False
    _ip("netns", "del", name)
    return True


@dataclass
class Host:
    """One host: its processes see only their own network, and all of them can be killed at once."""

    name: str
    namespace: str
    link: str
    address: str
    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    group: Path | None = None
    """The file of a control group to which the processes belong, if any."""

    def start(self, command: Sequence[str], environment: Mapping[str, str], directory: Path) -> None:
        """Start a process, whose output goes to the file ``log`` in the host's folder."""
        with (self.folder / "log").open("ab") as log:
            words = ["ip", "netns", "exec", self.namespace, *_WITH_NAME, self.name, *command]
            if self.group:
                words = [*_IN_GROUP, str(self.group), *words]
            process = subprocess.Popen(words, cwd=directory, env=dict(environment), stdout=log, stderr=log)
        self.processes.append(process)

    def run(self, command: Sequence[str], environment: Mapping[str, str], directory: Path) -> None:
        """Run a command to its end.

        Raises:
            RuntimeError: it failed; the text is what it said.
        """
        words = ["ip", "netns", "exec", self.namespace, *_WITH_NAME, self.name, *command]
        ended = subprocess.run(words, cwd=directory, env=dict(environment), capture_output=True, text=True, check=False)
        if ended.returncode:
            raise RuntimeError(f"{' '.join(command)} on {self.name}: {ended.stderr.strip()}")

    def kill(self) -> None:
        """Kill all processes at once, as a power cut does; what was written to disk stays."""
        while pids := self._pids():
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, 9)
            for process in self.processes:
                process.wait()
        self.processes.clear()

    def stop(self) -> None:
        """End all processes, each as it likes to be ended."""
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait()
        self.processes.clear()

    def cut(self) -> None:
        """Cut the network: nothing arrives and nothing is refused."""
        _ip("link", "set", self.link, "down")

    def restore(self) -> None:
        """Put the network back."""
        _ip("link", "set", self.link, "up")

    def _pids(self) -> list[int]:
        return [int(pid) for pid in _ip("netns", "pids", self.namespace).split()]


@contextmanager
def hosts(names: Sequence[str], folder: Path) -> Iterator[dict[str, Host]]:
    """Make hosts that reach one another and are reached from here, for as long as they are needed; by name."""
    # Interfaces have short names, and tests may run side by side.
    number = os.getpid() % 2**12
    prefix, network = f"sl{number}", ipaddress.IPv4Network((_FIRST_NETWORK + 256 * number, 24))
    addresses = network.hosts()
    bridge, made = f"{prefix}b", {}
    _ip("link", "add", bridge, "type", "bridge")
    try:
        _ip("addr", "add", f"{next(addresses)}/{network.prefixlen}", "dev", bridge)
        _ip("link", "set", bridge, "up")
        for position, name in enumerate(names):
            place = folder / name
            place.mkdir(parents=True)
            host = Host(name, f"{prefix}-{name}", f"{prefix}h{position}", str(next(addresses)), place)
            made[name] = host
            _connect(host, bridge, network.prefixlen)
        yield made
    finally:
        for host in made.values():
            with suppress(subprocess.CalledProcessError):
                host.kill()
                # Sockets of the killed keep the namespace for a while; nobody needs its interface.
                _ip("link", "del", host.link)
                _ip("netns", "del", host.namespace)
        _ip("link", "del", bridge)


def _connect(host: Host, bridge: str, prefix_length: int) -> None:
    _ip("netns", "add", host.namespace)
    _ip("link", "add", host.link, "type", "veth", "peer", "name", "eth0", "netns", host.namespace)
    _ip("link", "set", host.link, "master", bridge, "up")
    _ip("-n", host.namespace, "addr", "add", f"{host.address}/{prefix_length}", "dev", "eth0")
    for device in ("lo", "eth0"):
        _ip("-n", host.namespace, "link", "set", device, "up")


def _ip(*words: str) -> str:
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=True).stdout
