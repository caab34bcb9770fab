"""Chunks in Redis: what workers and the reconciler do with them."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from redis import Redis

from jobs.errors import DamagedBlob, StorageUnavailable
from jobs.job_log import log_end, log_left, log_sent_again, log_start
from jobs.messages import CorrectedRows, InputChunk, Queue, Rejects, ScoreChunk
from jobs.settings import Settings
from jobs.state import JobState
from jobs.store import keys
from jobs.store.chunks import ClaimedChunk, ReplacedChunk, ScoredChunk
from jobs.store.heartbeat import Node, living
from jobs.store.job_record import JobRecord
from jobs.store.keys import JobKeys
from jobs.store.outputs import encode_output, output_text
from jobs.store.payloads import Payloads
from jobs.store.scripts import MAX_RESEND_SECONDS, register_script
from jobs.store.server_check import StoreCheck
from jobs.store.storage_check import StorageCheck

_CHUNKS_PER_PROCESS = 2
# Jobs that one run of a script looks at, so that other commands need not wait for long.
_JOBS_PER_SCRIPT = 100
# Delay before a chunk whose model could not be loaded is sent again.
_MODEL_RETRY_SECONDS = 2
# The same of a chunk that waits for the object store.
_STORAGE_RETRY_SECONDS = 2
# The same of a chunk that is for another version of Scoreline.
_OTHER_VERSION_RETRY_SECONDS = 2


class ChunkStore:
    """The chunks of jobs. Each method is one round trip to Redis unless its docstring says otherwise."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        # redis-py types every reply as `bytes | str | Awaitable`; here replies are bytes.
        self.redis: Any = redis
        self.check = StoreCheck(redis, settings)
        self.payloads = Payloads(settings)
        self.storage_check = StorageCheck(redis, self.payloads)
        self._settings = settings
        # Never zero: each recorded chunk hands out the next, so a job with no chunk in flight would stall.
        self._window_expires, self._cached_window = 0.0, _CHUNKS_PER_PROCESS * settings.bulk_processes
        self._share_again = 0.0
        uploads, chunks = (
            ("append", "seal", "correct", "abandon", "touch"),
            ("claim", "record", "renew", "release", "postpone", "hand_back", "cannot_load"),
        )
        names = (*uploads, *chunks, "overdue", "end")
        self._scripts = {name: register_script(redis, name, "totals", "outbox", "common") for name in names}

    def _run(self, script: str, job_id: str, *arguments: Any, more_keys: Sequence[str] = ()) -> Any:
        job_keys = [*JobKeys.of(job_id).all(), keys.UNFINISHED, keys.JOBS, keys.TOTALS, *more_keys]
        return self._scripts[script](keys=job_keys, args=arguments)

    # Workers

    def claim(self, job_id: str, chunk: int, task: str) -> ClaimedChunk | None:
        """Lease a chunk, or return None if it is recorded, leased by another task, or its job has ended.

        A redelivered task takes over its own lease. None also if a newer version of Scoreline began the job; if the
        object store does not answer, in which case the chunk is postponed; and if it has lost the rows: the job fails
        then.
        """
        delivery = secrets.token_hex(8)
        answer = self._run("claim", job_id, job_id, chunk, task, delivery, self._settings.lease_seconds)
        if answer[0] == b"foreign":
            log_left(job_id)
            self.hand_back(job_id, chunk)
        if answer[0] != b"yours":
            return None
        if answer[5]:
            log_start(job_id)
        record = JobRecord(dict(zip(answer[4][::2], answer[4][1::2], strict=True)))
        owner, stored = f"{task} {delivery}", (answer[3], answer[6], answer[7])
        try:
            rows, replaced = _decode_input(*(field and self.payloads.get(field) for field in stored))
        except StorageUnavailable:
            self.postpone(job_id, chunk, owner)
            return None
        except DamagedBlob as error:
            self._fail(job_id, f"the rows of chunk {chunk} are lost: {error}")
            return None
        claimed = record.claimed_chunk(owner, int(answer[1]), int(answer[2]), rows, replaced)
        return replace(claimed, stored_input=answer[3]) if self.payloads.external else claimed

    def renew(self, job_id: str, chunk: int, owner: str) -> bool:
        """Extend the lease; return False if ``owner`` no longer holds it."""
        return bool(self._run("renew", job_id, chunk, owner, self._settings.lease_seconds))

    def release(self, job_id: str, chunk: int, owner: str) -> bool:
        """Release a chunk after a failed attempt; return False if ``owner`` no longer held it."""
        return bool(self._run("release", job_id, chunk, owner, 1, self._settings.lease_seconds))

    def report_death(self, job_id: str, chunk: int, task: str, failed: bool) -> bool:
        """Release the chunk of a task whose process died; return False if the task held none.

        ``failed``: the process crashed or ran out of time, which uses up an attempt. Otherwise it was killed from
        outside, and its lease counts as lost.
        """
        return bool(self._run("release", job_id, chunk, f"{task} ", int(failed), self._settings.lease_seconds))

    def postpone(self, job_id: str, chunk: int, owner: str) -> None:
        """Release a chunk that cannot be scored while the object store does not answer or is full."""
        self._run("postpone", job_id, chunk, owner, _STORAGE_RETRY_SECONDS)

    def hand_back(self, job_id: str, chunk: int) -> None:
        """Leave a chunk that waits to another worker: this one does not understand its message or job."""
        self._run("hand_back", job_id, chunk, _OTHER_VERSION_RETRY_SECONDS)

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

    def record(self, job_id: str, chunk: int, scored: ScoredChunk, claimed: ClaimedChunk | None = None) -> list[int]:
        """Store a chunk's result unless it has one; return the numbers of the chunks to send next.

        With an object store, only who holds the lease may record: the one that ``claimed`` the chunk.

        Raises:
            StorageFull, StorageUnavailable: the result could not be written to the object store.
        """
        summary = [item for pair in scored.summary.items() for item in pair]
        has_rejects = scored.rejects or scored.originals
        rejects = Rejects(scored.rejects, scored.originals).encode() if has_rejects else b""
        output = self.payloads.put(job_id, f"{chunk}.output", encode_output(scored.typed or scored.output))
        if rejects:
            rejects = self.payloads.put(job_id, f"{chunk}.rejects", rejects)
        answer = self._run(
            "record",
            job_id,
            job_id,
            chunk,
            output,
            rejects,
            scored.scored,
            scored.rejected,
            scored.scoring_failed,
            scored.warned,
            scored.repaired,
            self._window(),
            self._settings.lease_seconds,
            scored.typed.size if scored.typed else len(scored.output),
            claimed.owner if claimed and self.payloads.external else "",
            *summary,
        )
        if claimed and answer[0] == b"recorded":
            self.payloads.discard([claimed.stored_input])
        log_end(job_id, *answer[2:])
        return list(answer[1]) if len(answer) > 1 else []

    def _fail(self, job_id: str, error: str, problem: str = "") -> None:
        log_end(job_id, self._run("end", job_id, job_id, JobState.FAILED.value, error, problem))

    def overdue(self) -> list[ScoreChunk]:
        """Return the chunks to send: those that were lost with their message or worker, and what the window allows.

        Two round trips, and one per hundred unfinished jobs.
        """
        self._share_window()
        ids = [raw.decode() for raw in self.redis.zrange(keys.UNFINISHED, 0, -1)]
        due = []
        for first in range(0, len(ids), _JOBS_PER_SCRIPT):
            arguments = (self._settings.lease_seconds, MAX_RESEND_SECONDS, self._window())
            answer = self._run("overdue", "", *arguments, *ids[first : first + _JOBS_PER_SCRIPT])
            for raw, lost, handed_out in zip(answer[0::3], answer[1::3], answer[2::3], strict=True):
                job_id = raw.decode()
                log_sent_again(job_id, map(int, lost))
                due += [ScoreChunk(job_id, int(chunk)) for chunk in (*lost, *handed_out)]
        return due

    def _share_window(self) -> None:
        """Tell all processes, now and then, how many chunks the live bulk workers can have in flight."""
        if time.monotonic() > self._share_again:
            self._share_again = time.monotonic() + keys.HEARTBEAT_SECONDS
            processes = sum(node.processes for node in living(self.redis, Queue.BULK.value))
            self.redis.set(keys.WINDOW, _CHUNKS_PER_PROCESS * processes, ex=keys.WINDOW_SECONDS)

    def _window(self) -> int:
        """Return how many chunks may be in flight: two per live worker process, as the reconciler last counted them."""
        if time.monotonic() > self._window_expires:
            self._window_expires = time.monotonic() + keys.HEARTBEAT_SECONDS
            least = _CHUNKS_PER_PROCESS * self._settings.bulk_processes
            self._cached_window = max(int(self.redis.get(keys.WINDOW) or 0), least)
        return self._cached_window


def _decode_input(rows: bytes, output: bytes | None, rejects: bytes | None) -> tuple[InputChunk, ReplacedChunk | None]:
    """Decode the rows to score and, of corrections, the results and rejects that they replace."""
    if output is None or rejects is None:
        return InputChunk.decode(rows), None
    corrected = CorrectedRows.decode(rows)
    replaced = ReplacedChunk(corrected.rows, output_text(output), Rejects.decode(rejects))
    return InputChunk(1, len(corrected.rows), corrected.data), replaced
