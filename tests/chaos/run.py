"""One run: a cluster, clients, faults in an order that the seed decides, and the checks at the end."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import httpx

from model.scorer import Scorer
from tests.chaos import checks
from tests.chaos.clients import Clients, Notes
from tests.chaos.cluster import Cluster
from tests.chaos.faults import Fault, catalogue, schedule
from tests.chaos.injected_faults import InjectedFaults
from tests.chaos.records import Plan, Records

_MAX_OPEN = 8
_DOUBLE_SHARE = 0.15
_MAX_RECOVERY = 60.0


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is like; ``seconds`` ends it early, ``longest`` is the longest time that a fault lasts."""

    seed: int
    kills: int
    rows: int
    seconds: float = 3600.0
    longest: float = 30.0
    settings: dict[str, str] = field(default_factory=dict)
    chosen: Callable[[Fault], bool] = lambda fault: True
    say: Callable[[str], None] = lambda line: None


@dataclass
class Outcome:
    """What a run found."""

    options: Options
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)
    met_work: int = 0
    recoveries: list[tuple[str, float]] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    notes: Notes = field(default_factory=Notes)
    jobs: int = 0
    rows: int = 0
    memory: tuple[int, int, int] = (0, 0, 0)
    failures: list[str] = field(default_factory=list)


class Run:
    """A run in progress."""

    def __init__(self, options: Options, folder: Path, models: Path, scorer: Scorer) -> None:
        self._options, self._random = options, Random(options.seed)
        self._outcome = Outcome(options)
        self._records = Records(scorer, options.seed)
        injected, why_not = (
            InjectedFaults.if_there(folder) if options.longest >= 10 else (None, "the short form goes without")
        )
        if injected is None:
            self._outcome.skipped = [f"{what}: {why_not}" for what in ("slow disk", "clock set an hour on")]
        self._cluster = Cluster(folder, models, injected, {"SCORELINE_CHUNK_BYTES": "16384", **options.settings})
        self._faults = [f for f in catalogue(options.longest, injected is not None) if options.chosen(f)]
        self._files = 0

    def go(self) -> Outcome:
        """Do it all."""
        outcome, began = self._outcome, time.monotonic()
        with self._cluster as cluster:
            self._await_recovery(None)
            checks.delete_everything(cluster, checks.all_jobs(cluster))
            before = checks.memory(cluster)
            with Clients(cluster.url, self._records, self._options.seed) as clients:
                outcome.notes = clients.notes
                self._harm(clients, began)
                self._await_the_end(clients)
            outcome.seconds = time.monotonic() - began
            self._check(cluster, before)
        return outcome

    # Harm

    def _harm(self, clients: Clients, began: float) -> None:
        rows_left, faults = self._options.rows, schedule(self._faults, self._options.kills, self._random)
        share = max(3, rows_left // max(1, len(faults)))
        for fault in faults:
            if time.monotonic() - began > self._options.seconds:
                self._options.say("the time is over")
                return
            if rows_left > 0:
                rows = min(rows_left, self._random.randint(share // 2, share * 3 // 2))
                rows_left -= self._begin_files(clients, rows)
            self._strike(fault, clients)
        if rows_left > 0:
            self._begin_files(clients, rows_left)

    def _begin_files(self, clients: Clients, rows: int) -> int:
        _wait(lambda: clients.open < _MAX_OPEN, 120)
        parts = self._random.randint(1, 3) if rows > 300 else 1
        for part in range(parts):
            self._files += 1
            size = rows // parts + (rows % parts if part == 0 else 0)
            clients.begin(Plan(f"file{self._files}", self._random.randrange(2**32), max(1, size)))
        _wait(lambda: clients.at_work, 5)
        return rows

    def _strike(self, fault: Fault, clients: Clients) -> None:
        time.sleep(self._random.uniform(0, 0.2))
        several = [fault]
        if fault.kills and self._random.random() < _DOUBLE_SHARE:
            several.append(self._random.choice([other for other in self._faults if other.kills]))
        for one in several:
            self._options.say(f"{len(self._outcome.faults) + 1}. {one.name}, {clients.open} files under way")
            self._outcome.met_work += int(one.kills and clients.open > 0)
            one.strike(self._cluster, self._random)
            self._outcome.faults.append(one.name)
        self._await_recovery(" and ".join(one.name for one in several))

    def _await_recovery(self, name: str | None) -> None:
        began = time.monotonic()
        known = self._random.choice(self._records.good)
        with httpx.Client(base_url=self._cluster.stack.url, timeout=5, verify=False) as client:
            _wait(lambda: checks.is_well(client, known), _MAX_RECOVERY)
        self._outcome.loads.append(os.getloadavg()[0])
        if name:
            self._outcome.recoveries.append((name, time.monotonic() - began))
            self._options.say(f"   well again after {time.monotonic() - began:.1f} s")

    # The end

    def _await_the_end(self, clients: Clients) -> None:
        clients.stop_predicting()
        _wait(lambda: clients.open == 0, 180)
        unfinished = [one.plan.name for one in clients.notes.accepted if not one.verified]
        self._outcome.failures += [f"{name}: accepted, and not ended" for name in unfinished]

    def _check(self, cluster: Cluster, before: int) -> None:
        outcome = self._outcome
        outcome.failures += outcome.notes.broken
        outcome.failures += checks.promised_predictions(cluster, outcome.notes)
        jobs = checks.all_jobs(cluster)
        outcome.jobs, outcome.rows = len(jobs), sum(one.plan.rows for one in outcome.notes.accepted)
        outcome.failures += checks.jobs_that_broke_a_promise(jobs)
        outcome.failures += checks.history_that_differs(cluster, jobs, outcome.notes)
        outcome.failures += checks.leftovers(cluster)
        outcome.failures += checks.keys_without_lifetime(cluster)
        full = checks.memory(cluster)
        checks.delete_everything(cluster, jobs)
        outcome.failures += checks.memory_that_stayed(cluster, before)
        outcome.memory = before, full, checks.memory(cluster)
        kills = [(name, seconds) for name, seconds in outcome.recoveries if name.startswith("kill")]
        outcome.failures += [f"{name}: {seconds:.1f} s to recover" for name, seconds in kills if seconds > 10]


def _wait(condition: Callable[[], Any], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not (answer := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(answer)
