"""What the store has to do for many workers and many jobs: ``python -m bench.many_workers``.

The workers are simulated: each takes messages from the queue, claims, renews and records chunks, and beats, with the
same code and commands as a real one, but sleeps in place of scoring. The server, the reconciler and all scripts are
real. ``docs/scale.md`` has the figures.
"""

import argparse
import json
import multiprocessing
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from jobs.logs import configure_logging
from jobs.messages import InputChunk, Queue, ScoreChunk
from jobs.settings import Settings
from jobs.store import keys
from jobs.store.chunks import NewJob, ScoredChunk
from jobs.store.connection import connect
from jobs.store.heartbeat import Heartbeat, Node
from jobs.store.job_store import JobStore
from jobs.store.task_sender import TaskSender
from ops.embedded import server_binary, server_options

_PROCESSES = 4
_POLL_SECONDS = 1  # as kombu waits for a message
_NEW = NewJob("income", "1", "a.csv", "utf-8", ",", "\n", 0.5, b"a,prediction", b"a", {"a": 0}, 1)
_SCORED = ScoredChunk(b"1,x\n", b"", 1, 0)


@dataclass(frozen=True, slots=True)
class Load:
    """How many workers, jobs and chunks of each, how long a chunk takes, and how long to measure, in seconds."""

    workers: int
    jobs: int
    chunks: int
    chunk_seconds: float
    seconds: float


def main() -> None:
    """Run the simulation and print its figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--chunks", type=int, default=20, help="of each job")
    parser.add_argument("--chunk-seconds", type=float, default=4.0)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long to measure")
    with tempfile.TemporaryDirectory(prefix="many-") as folder:
        # All workers run on this machine: it is slow, and the store is not.
        settings = Settings(data_dir=Path(folder), store_timeout_seconds=60, log_level="ERROR")
        configure_logging(settings, "bench")
        with _server(settings):
            print(json.dumps(simulate(settings, Load(**vars(parser.parse_args()))), indent=2))


@contextmanager
def _server(settings: Settings) -> Iterator[None]:
    """Run the embedded server without its lock and folder; it may have as many connections as it likes."""
    options = server_options(settings, settings.data_dir) | {"maxclients": "20000"}
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    process = subprocess.Popen([server_binary(), *words])
    try:
        while not settings.embedded_socket.exists():
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(60)


def simulate(settings: Settings, load: Load) -> dict[str, Any]:
    """Put the load on the server; return figures about the time in which all workers are busy."""
    stop, busy, waits = multiprocessing.Event(), multiprocessing.Event(), multiprocessing.Manager().list()
    share = load.workers // _PROCESSES
    simulated = [
        multiprocessing.Process(target=_run_workers, args=(settings, share, number, load, stop, busy, waits))
        for number in range(_PROCESSES)
    ]
    redis: Any = connect(settings)
    store, sender = JobStore(redis, settings), TaskSender(redis, settings)
    for process in simulated:
        process.start()
    while redis.zcard(keys.alive(Queue.BULK.value)) < share * _PROCESSES:
        time.sleep(0.2)
    rounds: list[float] = []
    reconciler = threading.Thread(target=_reconcile, args=(settings, stop, rounds))
    reconciler.start()
    time.sleep(2)
    upload_seconds = _upload(store, sender, load)
    time.sleep(2 * load.chunk_seconds)
    busy.set()
    figures = _measure(redis, load.seconds, rounds)
    busy.clear()
    stop.set()
    for process in simulated:
        process.join(60)
    reconciler.join(60)
    return vars_of(load) | {"upload_seconds": round(upload_seconds, 1)} | figures | _percentiles(sorted(waits))


def vars_of(load: Load) -> dict[str, Any]:
    """Return the load as a dictionary."""
    return {name: getattr(load, name) for name in Load.__slots__}


def _upload(store: JobStore, sender: TaskSender, load: Load) -> float:
    """Upload all jobs; return the seconds that it took."""
    began = time.monotonic()
    for number in range(load.jobs):
        new = replace(_NEW, id=f"{number:032x}")
        store.begin(new)
        for chunk in range(load.chunks):
            sender.score_chunks(new.id, store.append(new.id, chunk, InputChunk(chunk + 1, 1, b"1\n")))
        sender.score_chunks(new.id, store.seal(new.id, total=load.chunks, chunks=load.chunks))
    return time.monotonic() - began


def _reconcile(settings: Settings, stop: Event, rounds: list[float]) -> None:
    """Reconcile every second, as the reconciler does; note how long each round takes."""
    redis = connect(settings)
    store, sender = JobStore(redis, settings), TaskSender(redis, settings)
    while not stop.wait(1):
        began = time.monotonic()
        sender.score(store.overdue())
        rounds.append(time.monotonic() - began)


def _run_workers(settings: Settings, count: int, number: int, load: Load, stop: Event, busy: Event, waits: Any) -> None:
    """Run a part of the workers, each in a thread with a connection of its own."""
    found: list[float] = []
    threads = [
        threading.Thread(target=_work, args=(settings, number * count + position, load, stop, busy, found))
        for position in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    waits.extend(found)


def _work(settings: Settings, number: int, load: Load, stop: Event, busy: Event, waits: list[float]) -> None:
    """Be one worker with one process; note, while all are ``busy``, how long it waits between two chunks."""
    redis: Any = connect(settings, patient=True)
    store, sender = JobStore(redis, settings), TaskSender(redis, settings)
    heartbeat = Heartbeat(redis, Queue.BULK.value, Node("host", number, 1))
    beat_again, free_since = 0.0, None

    def beat() -> None:
        nonlocal beat_again
        if time.monotonic() > beat_again:
            heartbeat.beat()
            beat_again = time.monotonic() + keys.HEARTBEAT_SECONDS

    while not stop.is_set():
        beat()
        answer = redis.brpop([keys.queue(Queue.BULK)], timeout=_POLL_SECONDS)
        if not answer:
            continue
        message = json.loads(answer[1])
        task = ScoreChunk.decode(json.loads(message["body"])[1])
        claimed = store.claim(task.job_id, task.chunk, message["headers"]["id"])
        if claimed is None:
            continue
        if free_since is not None and busy.is_set():
            waits.append(time.monotonic() - free_since)
        until = time.monotonic() + load.chunk_seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, settings.lease_seconds / 3))
            if left > settings.lease_seconds / 3:
                store.renew(task.job_id, task.chunk, claimed.owner)
            beat()
        sent = store.record(task.job_id, task.chunk, _SCORED)
        sender.score_chunks(task.job_id, sent)
        free_since = time.monotonic()


def _measure(redis: Any, seconds: float, rounds: list[float]) -> dict[str, Any]:
    """Watch the server for a while; return its figures a second."""
    before, began, first = _counters(redis), time.monotonic(), len(rounds)
    longest = 0
    while time.monotonic() - began < seconds:
        time.sleep(0.5)
        longest = max(longest, redis.llen(keys.queue(Queue.BULK)))
    after, passed, seen = _counters(redis), time.monotonic() - began, rounds[first:]
    rates = {name: round((after[name] - before[name]) / passed, 3) for name in before}
    return rates | {
        "longest_queue": longest,
        "sent_again": int(redis.hget(keys.TOTALS, "chunks:sent_again") or 0),
        "reconciler_round_ms": round(1000 * sum(seen) / max(1, len(seen)), 1),
    }


def _counters(redis: Any) -> dict[str, float]:
    """Return counters of the server that only grow."""
    info = redis.info("everything")
    commands = {name.removeprefix("cmdstat_"): stats for name, stats in info.items() if name.startswith("cmdstat_")}
    return {
        # Those in scripts included.
        "commands": info["total_commands_processed"],
        "scripts": commands.get("evalsha", {"calls": 0})["calls"],
        "waits_for_messages": commands.get("brpop", {"calls": 0})["calls"],
        "processor_seconds": info["used_cpu_user"] + info["used_cpu_sys"],
        "network_bytes": info["total_net_output_bytes"] + info["total_net_input_bytes"],
        "recorded": int(redis.hget(keys.TOTALS, "chunks:recorded") or 0),
    }


def _percentiles(waits: list[float]) -> dict[str, float]:
    """Return how long workers wait for the next chunk, in milliseconds."""
    if not waits:
        return {}
    places = {share: min(len(waits) - 1, len(waits) * share // 100) for share in (50, 99)}
    return {f"wait_ms_p{share}": round(1000 * waits[place], 1) for share, place in places.items()}


if __name__ == "__main__":
    main()
