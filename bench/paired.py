"""Two revisions of Scoreline side by side: ``python -m bench.paired BEFORE [AFTER]``, AFTER being this working tree.

Both services run at once and take turns in many short rounds, so that a disturbance of the machine meets both alike.
Reported are medians of the rounds' ratios, after to before: of the time that the client waits, and of the processor
time of all the service's processes, of which the recorder's is also shown apart: it works in the background, at the
lowest priority. A round ends when the recorder has written what the round has left to it.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path

import psutil

from bench import transfer
from bench.data import census_file, records
from bench.places import ROOT, RUN, WORK
from bench.progress import say
from bench.servers import Scoreline, scoreline

_ROWS = 200_000
_REQUESTS = {"singles-1": (1, 400), "singles-16": (16, 1600)}
"""Kinds of work: clients at once, and the requests of all of them in a round."""
_WORKS = (*_REQUESTS, "bulk")
_WARM_UPS = 3
_DRAIN_SECONDS = 60.0
_OUTBOXES = ("{scoreline}:outbox", "scoreline:outbox")
"""Its key in this revision, and in those whose keys had no hash tag."""
_RECORDER = "recorder"


@dataclass(frozen=True, slots=True)
class Turn:
    """What one service needed for the same work: seconds that the client waited, and processor seconds by process."""

    wall: float
    processor: Counter[str]


def main() -> int:
    """Measure and print; takes about ten minutes with the default number of rounds."""
    parser = argparse.ArgumentParser(prog="python -m bench.paired", description=__doc__.partition("\n")[0])
    parser.add_argument("before", help="revision to compare with")
    parser.add_argument("after", nargs="?", help="another revision (default: the working tree)")
    parser.add_argument("--rounds", type=int, default=30, help="turns of each service and kind of work (default: 30)")
    parser.add_argument("--only", default=",".join(_WORKS), help="kinds of work, by commas (default: %(default)s)")
    given = parser.parse_args()
    if unknown := set(given.only.split(",")) - set(_WORKS):
        parser.error(f"no such kind of work: {min(unknown)}; there are {', '.join(_WORKS)}")
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    say(f"the machine's load is {os.getloadavg()[0]:.1f}")
    with ExitStack() as stack:
        roots = {"before": checkout(given.before), "after": checkout(given.after) if given.after else ROOT}
        services = {name: stack.enter_context(scoreline(f"paired-{name}", root)) for name, root in roots.items()}
        for service in services.values():
            _await_quiet(service)
        for name in given.only.split(","):
            title, work = _work(name)
            print(_report(title, _measure(services, work, given.rounds)), flush=True)
    return 0


def checkout(revision: str) -> Path:
    """Return the folder of a working tree of a revision, made if it is not there."""
    commit = _git("rev-parse", "--verify", f"{revision}^{{commit}}")
    folder = WORK / "trees" / commit
    if not folder.exists():
        _git("worktree", "prune")
        _git("worktree", "add", "--detach", str(folder), commit)
    return folder


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def _work(name: str) -> tuple[str, Callable[[Scoreline], None]]:
    """Return what a kind of work is, and what does it once."""
    if name == "bulk":
        source, target = census_file(_ROWS), RUN / "paired.out"
        return f"a file of {_ROWS:,} rows", lambda service: transfer.delete(
            service.port, transfer.by_job(service.port, source, target).job
        )
    clients, requests = _REQUESTS[name]
    bodies = [json.dumps({"record": record}).encode() for record in records()]
    asked = [bodies[number % len(bodies)] for number in range(requests // clients)]
    return f"single records, {clients} at once", lambda service: _ask(service.port, asked, clients)


def _ask(port: int, bodies: Sequence[bytes], clients: int) -> None:
    """Send all the bodies from each of so many clients at once."""
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            _ask_in_turn(port, bodies)
        except BaseException as error:  # noqa: BLE001 - told in the thread that waits
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _ask_in_turn(port: int, bodies: Iterable[bytes]) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    for body in bodies:
        connection.request("POST", "/api/v1/predictions", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = response.read()
        if response.status != HTTPStatus.OK:
            raise transfer.TransferFailed(f"{response.status}: {answer[:200]!r}")
    connection.close()


def _measure(services: dict[str, Scoreline], work: Callable[[Scoreline], None], rounds: int) -> dict[str, list[Turn]]:
    for service in [*services.values()] * _WARM_UPS:
        _turn(service, work)
    turns: dict[str, list[Turn]] = {name: [] for name in services}
    for number in range(rounds):
        # Who comes second finds the machine otherwise than who comes first.
        order = list(services) if number % 2 == 0 else list(reversed(services))
        for name in order:
            turns[name].append(_turn(services[name], work))
    return turns


def _turn(service: Scoreline, work: Callable[[Scoreline], None]) -> Turn:
    used, started = processor_seconds(service), time.perf_counter()
    work(service)
    wall = time.perf_counter() - started
    _drain(service)
    after = processor_seconds(service)
    return Turn(wall, Counter({role: after[role] - used[role] for role in after}))


def processor_seconds(service: Scoreline) -> Counter[str]:
    """Return the processor time that each kind of process has used so far, its ended children's included."""
    used: Counter[str] = Counter()
    for role, process in service.roles():
        with suppress(psutil.Error):
            times = process.cpu_times()
            used[role] += times.user + times.system + times.children_user + times.children_system
    return used


def _drain(service: Scoreline) -> None:
    """Wait until the history has all that has ended; revisions without history have no outbox."""
    deadline = time.monotonic() + _DRAIN_SECONDS
    with service.redis() as redis:
        while any(map(redis.xlen, _OUTBOXES)) and time.monotonic() < deadline:
            time.sleep(0.02)


def _await_quiet(service: Scoreline) -> None:
    """Wait until the service does nothing more of its start, such as training the second model."""
    say(f"{service.name}: waiting until it is at rest")
    before = sum(processor_seconds(service).values())
    while True:
        time.sleep(3)
        now = sum(processor_seconds(service).values())
        if now - before < 0.3:
            return
        before = now


def _report(title: str, turns: dict[str, list[Turn]]) -> str:
    pairs = list(zip(turns["before"], turns["after"], strict=True))

    def total(turn: Turn) -> float:
        return sum(turn.processor.values())

    figures = {
        "time": [(old.wall, new.wall) for old, new in pairs],
        "processor time": [(total(old), total(new)) for old, new in pairs],
        "processor time without the recorder": [
            (total(old) - old.processor[_RECORDER], total(new) - new.processor[_RECORDER]) for old, new in pairs
        ],
    }
    lines = [f"{title}, {len(pairs)} rounds"]
    lines += [f"  {name + ':':36} {_ratio(found)}" for name, found in figures.items()]
    roles = sorted({role for pair in pairs for turn in pair for role in turn.processor})
    lines += [f"    {role + ':':34} {_seconds([(old.processor[role], new.processor[role]) for old, new in pairs])}"
              for role in roles]  # fmt: skip
    return "\n".join(lines)


def _ratio(pairs: Sequence[tuple[float, float]]) -> str:
    """Return the median of the ratios and half of them around it, and the ratio of the sums."""
    found = sorted(new / old for old, new in pairs)
    low, _, high = statistics.quantiles(found, n=4) if len(found) > 1 else found * 3
    sums = sum(new for _, new in pairs) / sum(old for old, _ in pairs)
    return f"{statistics.median(found):.3f} (half of them {low:.3f} to {high:.3f}; sums {sums:.3f}), {_seconds(pairs)}"


def _seconds(pairs: Sequence[tuple[float, float]]) -> str:
    return " → ".join(f"{1000 * statistics.mean(side):.0f}" for side in zip(*pairs, strict=True)) + " ms a round"


if __name__ == "__main__":
    sys.exit(main())
