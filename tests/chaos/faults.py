"""What can happen to the cluster, and in which order it does."""

import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Any

import psutil

from tests.chaos.cluster import BULK, INTERACTIVE, RECONCILER, RECORDER, WEB, Cluster

Strike = Callable[[Cluster, Random], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that happens: its kind, what to, how often it comes up, and how it is done."""

    kind: str
    target: str
    weight: int
    strike: Strike

    @property
    def name(self) -> str:
        return f"{self.kind} {self.target}"

    @property
    def kills(self) -> bool:
        return self.kind == "kill"


def _children(words: tuple[str, ...]) -> Callable[[Cluster], list[psutil.Process]]:
    return lambda cluster: cluster.children(words)


def _parents(words: tuple[str, ...]) -> Callable[[Cluster], list[psutil.Process]]:
    return lambda cluster: cluster.parents(words)


_TARGETS: dict[str, tuple[int, Callable[[Cluster], list[psutil.Process]]]] = {
    "a child of the bulk worker": (5, _children(BULK)),
    "the bulk worker": (3, _parents(BULK)),
    "the child of the interactive worker": (2, _children(INTERACTIVE)),
    "the interactive worker": (2, _parents(INTERACTIVE)),
    "a web worker": (3, _children(WEB)),
    "gunicorn's master": (2, _parents(WEB)),
    "the store": (4, Cluster.server),
    "the reconciler": (1, _parents(RECONCILER)),
    "the recorder": (2, _parents(RECORDER)),
}


def _kill(find: Callable[[Cluster], list[psutil.Process]]) -> Strike:
    def strike(cluster: Cluster, random: Random) -> None:
        found = _wait_for(lambda: find(cluster))
        with suppress(psutil.NoSuchProcess):
            random.choice(found).kill()

    return strike


def _freeze(find: Callable[[Cluster], list[psutil.Process]], longest: float) -> Strike:
    def strike(cluster: Cluster, random: Random) -> None:
        frozen = [p for parent in _wait_for(lambda: find(cluster)) for p in (parent, *parent.children())]
        for process in frozen:
            _signal(process, signal.SIGSTOP)
        time.sleep(random.uniform(longest / 4, longest))
        for process in frozen:
            _signal(process, signal.SIGCONT)

    return strike


def _wait_for(find: Callable[[], list[psutil.Process]]) -> list[psutil.Process]:
    """What was killed a moment ago may not be back yet."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with suppress(psutil.Error, ValueError):
            if found := find():
                return found
        time.sleep(0.02)
    raise TimeoutError("the process did not come back within 30 s")


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def _reset(of_the_store: bool) -> Strike:
    def strike(cluster: Cluster, random: Random) -> None:
        for _ in range(random.randint(1, 5)):
            cluster.reset_connections(of_the_store)
            time.sleep(random.random() / 3)

    return strike


def _restart(kill: bool) -> Strike:
    return lambda cluster, random: cluster.restart(kill)


def _during(condition: Callable[[Cluster, Random], Any], longest: float) -> Strike:
    def strike(cluster: Cluster, random: Random) -> None:
        with condition(cluster, random):
            time.sleep(random.uniform(longest / 4, longest))

    return strike


def _slow_disk(longest: float) -> Strike:
    def strike(cluster: Cluster, random: Random) -> None:
        assert cluster.injected
        cluster.injected.slow_the_disk(random.randint(20_000, 200_000))
        time.sleep(random.uniform(longest / 4, longest))
        cluster.injected.slow_the_disk(0)

    return strike


def _clock(cluster: Cluster, _: Random) -> None:
    assert cluster.injected
    cluster.injected.set_clock_on(3600)


def catalogue(longest: float, with_injected: bool) -> list[Fault]:
    """Every fault; ``longest`` is the longest time in seconds that one lasts."""
    faults = [Fault("kill", name, weight, _kill(find)) for name, (weight, find) in _TARGETS.items()]
    faults += [Fault("freeze", name, 0, _freeze(find, longest)) for name, (_, find) in _TARGETS.items()]
    faults += [
        Fault("reset", "clients' connections", 1, _reset(False)),
        Fault("reset", "connections to the store", 1, _reset(True)),
        Fault("restart", "everything, as Ctrl-C does", 0, _restart(False)),
        Fault("restart", "everything, as a power cut does", 0, _restart(True)),
        Fault(
            "full", "disk", 0, _during(lambda cluster, random: cluster.full_disk(random.randint(0, 9999)), longest / 3)
        ),
        Fault("full", "memory", 0, _during(lambda cluster, _: cluster.full_memory(), longest / 3)),
        Fault("no", "database", 1, _during(lambda cluster, _: cluster.database_away(), longest)),
    ]
    if with_injected:
        faults += [Fault("slow", "disk", 0, _slow_disk(longest / 3)), Fault("clock", "set an hour on", 0, _clock)]
    return faults


def schedule(faults: list[Fault], kills: int, random: Random) -> list[Fault]:
    """Every fault once, spread at random among as many kills as wanted."""
    once = [fault for fault in faults if not fault.kills]
    several = [fault for fault in faults if fault.weight]
    drawn = [fault for fault in faults if fault.kills][:kills]
    while sum(fault.kills for fault in drawn) < kills:
        drawn += random.choices(several, [fault.weight for fault in several])
    mixed = drawn + once
    random.shuffle(mixed)
    return mixed
