"""Jobs in Redis. Their chunks are in ``chunk_store``; whatever must happen atomically is a Lua script."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from jobs.errors import StoreFull, TooManyJobs, UploadEnded, UploadForgotten
from jobs.job_log import log_end
from jobs.messages import InputChunk
from jobs.state import Job, JobState, job_of
from jobs.store import keys
from jobs.store.chunk_store import ChunkStore
from jobs.store.chunks import NewJob
from jobs.store.idempotency import FirstUpload, Overtaken
from jobs.store.keys import JobKeys

_SCAN_PAGE = 100
# Whoever is turned away is told to come again when a place is likely to be free: at the latest, and where that is open.
_MAX_RETRY_SECONDS = 600
_UNKNOWN_END_SECONDS = 10


class JobStore(ChunkStore):
    """Jobs, their chunks and results. Every method is one round trip to Redis unless it says otherwise."""

    # Uploads

    def check_room(self) -> None:
        """Two round trips.

        Raises:
            UnsuitableStore: when the store would lose jobs.
            TooManyJobs, StoreFull: when another upload must wait.
        """
        self.check.require()
        if self.redis.zcard(keys.UNFINISHED) >= self._settings.max_unfinished_jobs:
            most = self._settings.max_unfinished_jobs
            raise TooManyJobs(f"{most} jobs are waiting already", self._seconds_until_one_ends())
        self.check_memory()

    def _seconds_until_one_ends(self) -> int:
        """When the oldest job will have ended by its speed so far, within reason."""
        oldest = self.redis.zrange(keys.UNFINISHED, 0, 0)
        job = self.get(oldest[0].decode()) if oldest else None
        eta = job.eta_seconds if job else None
        return _UNKNOWN_END_SECONDS if eta is None else math.ceil(min(max(eta, 1), _MAX_RETRY_SECONDS))

    def check_memory(self) -> None:
        """Raises StoreFull when the server's memory is used up to the share that uploads may use."""
        memory = self.redis.info("memory")
        limit = memory.get("maxmemory", 0)
        if limit and memory["used_memory"] > self._settings.full_ratio * limit:
            raise StoreFull(
                "the store is full: try again when results have been downloaded and deleted or have expired"
            )

    def begin(self, new: NewJob) -> None:
        """Begin an upload; its keys expire if it stands still. Two round trips."""
        seconds, microseconds = self.redis.time()
        now = seconds + microseconds / 1_000_000
        fields: dict[Any, Any] = {
            "state": JobState.QUEUED.value,
            "model": new.model,
            "version": new.version,
            "filename": new.filename,
            "encoding": new.encoding,
            "delimiter": new.delimiter,
            "line_end": new.line_end,
            "threshold": "" if new.threshold is None else repr(new.threshold),
            "header": new.header,
            "input_header": new.input_header,
            "columns": json.dumps(dict(new.columns)),
            "width": new.width,
            "added": new.added,
            "explain": new.explain or 0,
            "warnings": int(new.warnings),
            "compared": "@".join(new.compared) if new.compared else "",
            "shown": int(new.shown),
            "created": now,
            "changed": now,
            "expires": now + self._settings.retention_seconds,
            "retention": self._settings.retention_seconds,
        }
        rows = ("scored", "rejected", "scoring_failed", "warned")
        counters = ("next", "chunks", "done", *rows, "revision", "sealed", "size")
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.hset(JobKeys.of(new.id).job, mapping={**fields, **dict.fromkeys(counters, 0)})
            pipe.expire(JobKeys.of(new.id).job, self._settings.upload_idle_seconds)
            pipe.zadd(keys.UNFINISHED, {new.id: now})
            pipe.expire(keys.UNFINISHED, self._settings.retention_seconds, nx=True)
            pipe.expire(keys.UNFINISHED, self._settings.retention_seconds, gt=True)
            pipe.execute()

    def append(self, job_id: str, number: int, chunk: InputChunk, hold: bool = False) -> list[int]:
        """Store chunk ``number`` of an upload; answers the chunks to send now (none with ``hold``).

        Raises:
            UploadForgotten, UploadEnded: when there is no upload to go on with.
        """
        settings = self._settings
        arguments = (number, chunk.encode(), self._window(), settings.lease_seconds, settings.upload_idle_seconds)
        return list(_expected(self._run("append", job_id, *arguments, int(hold))))

    def touch(self, job_id: str) -> None:
        """An upload still comes in, if slowly: its keys live on."""
        self._run("touch", job_id, self._settings.upload_idle_seconds)

    def seal(self, job_id: str, idempotency_key: str | None = None, **fields: str | bytes | int | float) -> list[int]:
        """The upload is whole, and durable from here on; answers the chunks to send now: none, if its job has failed.

        ``idempotency_key`` is the Redis key of the upload's idempotency key; the fields then hold ``fingerprint``.

        Raises:
            UploadForgotten, UploadEnded: when there is no upload to go on with.
            Overtaken: when another upload under the idempotency key was whole before.
        """
        flat = [item for pair in fields.items() for item in pair]
        arguments = (job_id, self._window(), self._settings.lease_seconds, *flat)
        answer = self._run("seal", job_id, *arguments, more_keys=[idempotency_key] if idempotency_key else [])
        if isinstance(answer, bytes) and answer.startswith(b"first "):
            raise Overtaken(FirstUpload(*answer.decode().split()[1:]), str(fields["fingerprint"]))
        sent, *endings = _expected(answer)
        log_end(job_id, *endings)
        return list(sent)

    def abandon(self, job_id: str) -> None:
        """Remove an upload that was refused or broke off; a job that is whole or has ended stays."""
        self._run("abandon", job_id, job_id)

    def remove(self, job_id: str) -> None:
        """Remove everything of a job."""
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.unlink(*JobKeys.of(job_id).all())
            pipe.zrem(keys.UNFINISHED, job_id)
            pipe.zrem(keys.JOBS, job_id)
            pipe.publish(keys.CHANGES, job_id)
            pipe.execute()

    # The reconciler

    def is_turn_to_reconcile(self, node: str) -> bool:
        """Whether this process is the one that reconciles: one at a time, the next after a few seconds' silence."""
        seconds = keys.ALIVE_SECONDS
        if self.redis.set(keys.RECONCILER, node, nx=True, ex=seconds):
            return True
        if self.redis.get(keys.RECONCILER) != node.encode():
            return False
        return bool(self.redis.expire(keys.RECONCILER, seconds))

    # Reading

    def get(self, job_id: str) -> Job | None:
        """The job, or None if it is unknown, expired, deleted or still being uploaded."""
        raw = self.redis.hgetall(JobKeys.of(job_id).job)
        return job_of(job_id, raw) if _shows(raw) else None

    def queue_position(self, job: Job) -> int | None:
        """How many unfinished jobs came before this one; 0 once it is running, None once it has ended."""
        if job.state.ended:
            return None
        rank = self.redis.zrank(keys.UNFINISHED, job.id) if job.state is JobState.QUEUED else 0
        return int(rank or 0)

    def page(self, limit: int, before: tuple[float, str] | None, state: JobState | None) -> list[Job]:
        """Up to ``limit`` jobs, newest first, that were created before the given (time, id); a round trip a page."""
        found: list[Job] = []
        more = True
        while more and len(found) < limit:
            ids, more = self._ids_before(before)
            found += [job for job in self._get_many([i for _, i in ids]) if job and state in (None, job.state)]
            before = ids[-1] if ids else before
        return found[:limit]

    def _ids_before(self, before: tuple[float, str] | None) -> tuple[list[tuple[float, str]], bool]:
        """A page of (time, id), and whether there may be more."""
        top = before[0] if before else "+inf"
        found = self.redis.zrevrangebyscore(keys.JOBS, top, "-inf", start=0, num=_SCAN_PAGE, withscores=True)
        pairs = [(score, raw.decode()) for raw, score in found]
        return [pair for pair in pairs if before is None or pair < before], len(found) == _SCAN_PAGE

    def _get_many(self, ids: Sequence[str]) -> list[Job | None]:
        with self.redis.pipeline(transaction=False) as pipe:
            for job_id in ids:
                pipe.hgetall(JobKeys.of(job_id).job)
            raws = pipe.execute()
        gone = [job_id for job_id, raw in zip(ids, raws, strict=True) if not raw]
        if gone:
            self.redis.zrem(keys.JOBS, *gone)
        return [job_of(job_id, raw) if _shows(raw) else None for job_id, raw in zip(ids, raws, strict=True)]

    def output(self, job_id: str, chunk: int) -> bytes | None:
        """A scored chunk as a Zstandard frame, or None if it is not there."""
        frame: bytes | None = self.redis.hget(JobKeys.of(job_id).output, str(chunk))
        return frame

    def rejects(self, job_id: str, chunk: int) -> bytes | None:
        """A chunk's lines of the rejects file, as ``Rejects`` encodes them, or None if it has none."""
        frame: bytes | None = self.redis.hget(JobKeys.of(job_id).rejects, str(chunk))
        return frame

    def chunks_with_rejects(self, job_id: str) -> list[int]:
        """Numbers of the chunks in which rows were rejected, in order."""
        return sorted(int(number) for number in self.redis.hkeys(JobKeys.of(job_id).rejects))

    def summary(self, job_id: str) -> dict[str, int]:
        """The job's counts of predictions, probabilities and faults so far."""
        raw = self.redis.hgetall(JobKeys.of(job_id).summary)
        return {name.decode(): int(count) for name, count in raw.items()}

    def cancel(self, job_id: str) -> None:
        """End a job that has not ended; chunks in hand are finished and thrown away."""
        log_end(job_id, self._run("end", job_id, job_id, JobState.CANCELED.value, ""))

    def fail(self, job_id: str, error: str) -> None:
        """End a job that cannot go on."""
        log_end(job_id, self._run("end", job_id, job_id, JobState.FAILED.value, error))


def _expected(answer: Any) -> list[Any]:
    """An upload's answer, if there is an upload to go on with."""
    if answer is None:
        raise UploadForgotten("the upload stood still for too long")
    if isinstance(answer, bytes):
        how, _, reason = answer.decode().partition(": ")
        raise UploadEnded(f"the job {how} before all of the file had come{reason and ': '}{reason}")
    return list(answer)


def _shows(raw: Mapping[bytes, bytes]) -> bool:
    return raw.get(b"sealed") == b"1" or raw.get(b"shown") == b"1"
