"""Chunks in Redis: what workers and the reconciler do with them."""

import secrets
import time
from collections.abc import Iterator, Sequence
from typing import Any

from redis import Redis

from jobs.job_log import log_end, log_start
from jobs.messages import CorrectedRows, InputChunk, Queue, Rejects
from jobs.settings import Settings
from jobs.store import keys
from jobs.store.chunks import ClaimedChunk, ReplacedChunk, ScoredChunk
from jobs.store.heartbeat import Node, living
from jobs.store.job_record import JobRecord
from jobs.store.keys import JobKeys
from jobs.store.outputs import encode_output, output_text
from jobs.store.scripts import MAX_RESEND_SECONDS, register_script
from jobs.store.server_check import StoreCheck

# Delay before a chunk whose model could not be loaded is sent again.
_MODEL_RETRY_SECONDS = 2


class ChunkStore:
    """The chunks of jobs. Each method is one round trip to Redis unless its docstring says otherwise."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        # redis-py types every reply as `bytes | str | Awaitable`; here replies are bytes.
        self.redis: Any = redis
        self.check = StoreCheck(redis, settings)
        self._settings = settings
        # Never zero: each recorded chunk hands out the next, so a job with no chunk in flight would stall.
        self._window_expires, self._cached_window = 0.0, 2 * settings.bulk_processes
        uploads, chunks = (
            ("append", "seal", "correct", "abandon", "touch"),
            ("claim", "record", "renew", "release", "cannot_load"),
        )
        names = (*uploads, *chunks, "overdue", "end")
        self._scripts = {name: register_script(redis, name, "totals", "outbox", "common") for name in names}

    def _run(self, script: str, job_id: str, *arguments: Any, more_keys: Sequence[str] = ()) -> Any:
        job_keys = [*JobKeys.of(job_id).all(), keys.UNFINISHED, keys.JOBS, keys.TOTALS, *more_keys]
        return self._scripts[script](keys=job_keys, args=arguments)

    # Workers

    def claim(self, job_id: str, chunk: int, task: str) -> ClaimedChunk | None:
        """Lease a chunk, or return None if it is recorded, leased by another task, or its job has ended.

        A redelivered task takes over its own lease.
        """
        delivery = secrets.token_hex(8)
        answer = self._run("claim", job_id, job_id, chunk, task, delivery, self._settings.lease_seconds)
        if answer[0] != b"yours":
            return None
        if answer[5]:
            log_start(job_id)
        record = JobRecord(dict(zip(answer[4][::2], answer[4][1::2], strict=True)))
        rows, replaced = _decode_input(answer[3], answer[6], answer[7])
        return record.claimed_chunk(f"{task} {delivery}", int(answer[1]), int(answer[2]), rows, replaced)

    def renew(self, job_id: str, chunk: int, owner: str) -> bool:
        """Extend the lease; return False if ``owner`` no longer holds it."""
        return bool(self._run("renew", job_id, chunk, owner, self._settings.lease_seconds))

    def release(self, job_id: str, chunk: int, owner: str) -> bool:
        """Release a chunk after a failed attempt; return False if ``owner`` no longer held it."""
        return bool(self._run("release", job_id, chunk, owner, 1))

    def report_death(self, job_id: str, chunk: int, task: str, failed: bool) -> bool:
        """Release the chunk of a task whose process died; return False if the task held none.

        ``failed``: the process crashed or ran out of time, which uses up an attempt. Otherwise it was killed from
        outside, and its lease counts as lost.
        """
        return bool(self._run("release", job_id, chunk, f"{task} ", int(failed)))

    def cannot_load(self, job_id: str, chunk: int, owner: str, worker: Node, reason: str) -> None:
        """Release a chunk whose model this worker cannot load; another worker may, or this one later.

        The job fails once no live bulk worker has been able to load the model for ``model_wait_seconds``, with no chunk
        recorded in between. Its error then names the reason on each host.
        """
        seconds = (_MODEL_RETRY_SECONDS, self._settings.model_wait_seconds)
        alive = keys.alive(Queue.BULK.value)
        ending = self._run(
            "cannot_load", job_id, job_id, chunk, owner, worker.name, reason, *seconds, more_keys=[alive]
        )
        log_end(job_id, ending)

    def record(self, job_id: str, chunk: int, scored: ScoredChunk) -> list[int]:
        """Store a chunk's result unless it has one; return the numbers of the chunks to send next."""
        summary = [item for pair in scored.summary.items() for item in pair]
        has_rejects = scored.rejects or scored.originals
        rejects = Rejects(scored.rejects, scored.originals).encode() if has_rejects else b""
        answer = self._run(
            "record",
            job_id,
            job_id,
            chunk,
            encode_output(scored.typed or scored.output),
            rejects,
            scored.scored,
            scored.rejected,
            scored.scoring_failed,
            scored.warned,
            scored.repaired,
            self._window(),
            self._settings.lease_seconds,
            *summary,
        )
        log_end(job_id, *answer[2:])
        return list(answer[1]) if len(answer) > 1 else []

    def overdue(self) -> Iterator[tuple[str, int]]:
        """Yield (job id, chunk) of chunks to send again: neither recorded nor leased. One round trip per job."""
        ids = [raw.decode() for raw in self.redis.zrange(keys.UNFINISHED, 0, -1)]
        all_queued = int(self._all_queued(ids))
        for job_id in ids:
            grace = self._settings.lease_seconds
            due = self._run("overdue", job_id, grace, MAX_RESEND_SECONDS, all_queued, self._window())
            yield from ((job_id, int(chunk)) for chunk in due)
            if not due and not self.redis.exists(JobKeys.of(job_id).job):
                self.redis.zrem(keys.UNFINISHED, job_id)

    def _all_queued(self, ids: Sequence[str]) -> bool:
        """Return whether the queue holds at least as many messages as there are unclaimed chunks: none was lost."""
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.llen(keys.queue(Queue.BULK))
            for job_keys in map(JobKeys.of, ids):
                pipe.zcard(job_keys.inflight)
                pipe.hlen(job_keys.leases)
            queued, *counts = pipe.execute()
        return bool(queued >= sum(counts[0::2]) - sum(counts[1::2]))

    def _window(self) -> int:
        """Return how many chunks of a job may be in flight: two per live worker process, refreshed now and then."""
        if time.monotonic() > self._window_expires:
            self._window_expires = time.monotonic() + keys.ALIVE_SECONDS
            processes = sum(node.processes for node in living(self.redis, Queue.BULK.value))
            self._cached_window = 2 * max(processes, self._settings.bulk_processes)
        return self._cached_window


def _decode_input(rows: bytes, output: bytes | None, rejects: bytes | None) -> tuple[InputChunk, ReplacedChunk | None]:
    """Decode the rows to score and, of corrections, the results and rejects that they replace."""
    if output is None or rejects is None:
        return InputChunk.decode(rows), None
    corrected = CorrectedRows.decode(rows)
    replaced = ReplacedChunk(corrected.rows, output_text(output), Rejects.decode(rejects))
    return InputChunk(1, len(corrected.rows), corrected.data), replaced
