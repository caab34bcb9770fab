"""The chunks of jobs in Redis, as workers and the reconciler handle them."""

import json
import secrets
import time
from collections.abc import Iterator, Sequence
from typing import Any

from redis import Redis

from jobs.job_log import log_end, log_start
from jobs.messages import InputChunk, Queue, Rejects, compress
from jobs.settings import Settings
from jobs.state import named_version, number
from jobs.store import keys
from jobs.store.chunks import ClaimedChunk, ScoredChunk
from jobs.store.heartbeat import Node, living
from jobs.store.keys import JobKeys
from jobs.store.scripts import register_script
from jobs.store.server_check import StoreCheck

# Longest time between two sendings of a chunk that nobody has taken.
_MAX_GRACE_SECONDS = 60
# A chunk that a host could not load the model of is sent again after this time.
_PAUSE_SECONDS = 2


class ChunkStore:
    """The chunks of jobs. Every method is one round trip to Redis unless it says otherwise."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        # redis-py types each answer as decoded or not; ours are bytes.
        self.redis: Any = redis
        self.check = StoreCheck(redis, settings)
        self._settings = settings
        # Never none: a job of which nothing has been handed out would wait for its first result for ever.
        self._window_until, self._known_window = 0.0, 2 * settings.bulk_processes
        uploads, chunks = (
            ("append", "seal", "abandon", "touch"),
            ("claim", "record", "renew", "give_back", "cannot_load"),
        )
        names = (*uploads, *chunks, "overdue", "end")
        self._scripts = {name: register_script(redis, name, "totals", "common") for name in names}

    def _run(self, script: str, job_id: str, *arguments: Any, more_keys: Sequence[str] = ()) -> Any:
        job_keys = [*JobKeys.of(job_id).all(), keys.UNFINISHED, keys.JOBS, keys.TOTALS, *more_keys]
        return self._scripts[script](keys=job_keys, args=arguments)

    # Workers

    def claim(self, job_id: str, chunk: int, task: str) -> ClaimedChunk | None:
        """Take a chunk to score it, or None when there is nothing to do: done, ended, or in another's hands.

        A task that is delivered again takes its own chunk over.
        """
        delivery = secrets.token_hex(8)
        answer = self._run("claim", job_id, job_id, chunk, task, delivery, self._settings.lease_seconds)
        if answer[0] != b"yours":
            return None
        if answer[5]:
            log_start(job_id)
        raw = dict(zip(answer[4][::2], answer[4][1::2], strict=True))
        return ClaimedChunk(
            owner=f"{task} {delivery}",
            attempt=int(answer[1]),
            lost=int(answer[2]),
            chunk=InputChunk.decode(answer[3]),
            model=raw[b"model"].decode(),
            version=raw[b"version"].decode(),
            delimiter=raw[b"delimiter"].decode(),
            threshold=number(raw.get(b"threshold")),
            columns=json.loads(raw[b"columns"]),
            width=int(raw[b"width"]),
            added=int(raw.get(b"added", 3)),
            explain=int(raw.get(b"explain", 0)) or None,
            warnings=raw.get(b"warnings") == b"1",
            compared=named_version(raw.get(b"compared")),
        )

    def renew(self, job_id: str, chunk: int, owner: str) -> bool:
        """Keep a claimed chunk for another lease; False when it is no longer ours."""
        return bool(self._run("renew", job_id, chunk, owner, self._settings.lease_seconds))

    def give_back(self, job_id: str, chunk: int, owner: str) -> bool:
        """Give a claimed chunk back at once, an attempt used up by its own doing; False when it was no longer ours."""
        return bool(self._run("give_back", job_id, chunk, owner, 1))

    def report_death(self, job_id: str, chunk: int, task: str, failed: bool) -> bool:
        """Give back a chunk that a task was working on when its process died; False when it was not.

        ``failed`` says that the process died by itself or took too long, which is an attempt used up; if it was killed,
        that is a hold lost.
        """
        return bool(self._run("give_back", job_id, chunk, f"{task} ", int(failed)))

    def cannot_load(self, job_id: str, chunk: int, owner: str, worker: Node, reason: str) -> None:
        """Give a claimed chunk back since this worker cannot load its model: another one may, or this one later.

        The job fails when that has been so for a while for every bulk worker that lives, and no chunk was recorded in
        between; its error then has the reason on each host.
        """
        seconds = (_PAUSE_SECONDS, self._settings.model_wait_seconds)
        alive = keys.alive(Queue.BULK.value)
        ending = self._run(
            "cannot_load", job_id, job_id, chunk, owner, worker.name, reason, *seconds, more_keys=[alive]
        )
        log_end(job_id, ending)

    def record(self, job_id: str, chunk: int, scored: ScoredChunk) -> list[int]:
        """Store a chunk's result if there is none yet; answers the chunks to send next."""
        summary = [item for pair in scored.summary.items() for item in pair]
        rejects = Rejects(scored.rejects, scored.field_counts).encode() if scored.rejects else b""
        answer = self._run(
            "record",
            job_id,
            job_id,
            chunk,
            compress(scored.output),
            rejects,
            scored.scored,
            scored.rejected,
            scored.scoring_failed,
            scored.warned,
            self._window(),
            self._settings.lease_seconds,
            *summary,
        )
        log_end(job_id, *answer[2:])
        return list(answer[1]) if len(answer) > 1 else []

    def overdue(self) -> Iterator[tuple[str, int]]:
        """Chunks to be sent: those sent and neither recorded nor leased, or never; one round trip a job."""
        ids = [raw.decode() for raw in self.redis.zrange(keys.UNFINISHED, 0, -1)]
        all_queued = int(self._all_queued(ids))
        for job_id in ids:
            grace = self._settings.lease_seconds
            due = self._run("overdue", job_id, grace, _MAX_GRACE_SECONDS, all_queued, self._window())
            yield from ((job_id, int(chunk)) for chunk in due)
            if not due and not self.redis.exists(JobKeys.of(job_id).job):
                self.redis.zrem(keys.UNFINISHED, job_id)

    def _all_queued(self, ids: Sequence[str]) -> bool:
        """Whether the queue holds at least as many messages as there are chunks that nobody has taken."""
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.llen(keys.queue(Queue.BULK))
            for job_keys in map(JobKeys.of, ids):
                pipe.zcard(job_keys.inflight)
                pipe.hlen(job_keys.leases)
            queued, *counts = pipe.execute()
        return bool(queued >= sum(counts[0::2]) - sum(counts[1::2]))

    def _window(self) -> int:
        """Most chunks of a job under way: two for each process that lives, asked for now and then."""
        if time.monotonic() > self._window_until:
            self._window_until = time.monotonic() + keys.ALIVE_SECONDS
            processes = sum(node.processes for node in living(self.redis, Queue.BULK.value))
            self._known_window = 2 * max(processes, self._settings.bulk_processes)
        return self._known_window
