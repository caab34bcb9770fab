"""Jobs in Redis. Workers' commands are in ``chunk_store``; whatever must be atomic is a Lua script."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from redis.commands.core import Script

from jobs.errors import NotDurable, TooManyJobs
from jobs.job_log import log_end
from jobs.messages import InputChunk
from jobs.state import Job, JobState
from jobs.store import keys
from jobs.store.chunks import Corrections, NewJob
from jobs.store.conversion_store import ConversionStore, check_upload
from jobs.store.idempotency import FirstUpload, Overtaken
from jobs.store.job_record import Fields, JobField, JobRecord
from jobs.store.keys import JobKeys
from jobs.store.scripts import register_script
from jobs.store.user_limits import UserLimits
from jobs.tracing import traceparent

_SCAN_PAGE = 100
# Share of a command's time limit that replicas have to confirm a job.
_WAIT_SHARE = 0.8
# Bounds of Retry-After when the service is full: its maximum, and the value where no estimate is known.
_MAX_RETRY_SECONDS = 600
_DEFAULT_RETRY_SECONDS = 10


class JobStore(ConversionStore):
    """Jobs, their chunks and results. Each method is one round trip to Redis unless its docstring says otherwise."""

    @cached_property
    def user_limits(self) -> UserLimits:
        """The limits per user."""
        return UserLimits(self.redis, self._settings)

    @cached_property
    def _confirm(self) -> Script:
        return register_script(self.redis, "confirm")

    # Uploads

    def check_room(self) -> None:
        """Check that another upload may begin. Two round trips.

        Raises:
            UnsuitableStore: the store would lose jobs.
            TooManyJobs, StoreFull, NotDurable, StorageUnavailable: the client should retry later.
        """
        self.check.require()
        self.storage_check.require()
        if self.redis.zcard(keys.UNFINISHED) >= self._settings.max_unfinished_jobs:
            limit = self._settings.max_unfinished_jobs
            raise TooManyJobs(f"{limit} jobs are waiting already", self._estimate_retry_seconds())
        self.check_memory()
        self._check_replicas()

    def _estimate_retry_seconds(self) -> int:
        """Estimate when the oldest job will end, within bounds."""
        oldest = self.redis.zrange(keys.UNFINISHED, 0, 0)
        job = self.get(oldest[0].decode()) if oldest else None
        eta = job.eta_seconds if job else None
        return _DEFAULT_RETRY_SECONDS if eta is None else math.ceil(min(max(eta, 1), _MAX_RETRY_SECONDS))

    def check_copy(self, job_id: str) -> None:
        """Raise ``StoreFull`` if there is no memory for a copy of the job's results. Two round trips."""
        self.check_memory(int(self.redis.memory_usage(JobKeys.of(job_id).output, samples=0) or 0))

    def begin(self, new: NewJob) -> None:
        """Begin an upload; its keys expire if it stalls. Two round trips."""
        seconds, microseconds = self.redis.time()
        now = seconds + microseconds / 1_000_000
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.hset(JobKeys.of(new.id).job, mapping=JobRecord.encode_new(new, now, self._settings.retention_seconds))
            pipe.expire(JobKeys.of(new.id).job, self._settings.upload_idle_seconds)
            pipe.zadd(keys.UNFINISHED, {new.id: now})
            # NX for a new set, GT for one that is there: GT alone never applies to a key without a lifetime.
            pipe.expire(keys.UNFINISHED, self._settings.retention_seconds, nx=True)
            pipe.expire(keys.UNFINISHED, self._settings.retention_seconds, gt=True)
            pipe.execute()

    def append(self, job_id: str, number: int, chunk: InputChunk, hold: bool = False) -> list[int]:
        """Store chunk ``number`` of an upload; return the chunks to send now (none with ``hold``).

        Raises:
            UploadForgotten, UploadEnded: the upload cannot go on.
            StorageFull, StorageUnavailable: the chunk could not be written to the object store.
        """
        settings = self._settings
        stored = self.payloads.put(job_id, str(number), chunk.encode())
        arguments = (number, stored, self._window(), settings.lease_seconds, settings.upload_idle_seconds)
        return list(check_upload(self._run("append", job_id, *arguments, int(hold))))

    def touch(self, job_id: str) -> None:
        """Keep a slow upload from expiring."""
        self._run("touch", job_id, self._settings.upload_idle_seconds)

    def seal(
        self,
        job_id: str,
        idempotency_key: str | None = None,
        *,
        total: int | None,
        size: int = 0,
        encoding: str | None = None,
        codec: str | None = None,
        fingerprint: str | None = None,
        options: NewJob | None = None,
        chunks: int | None = None,
        blocks: int = 0,
    ) -> list[int]:
        """Mark the upload as complete and durable; return the chunks to send now (none if its job has failed).

        ``idempotency_key`` is the Redis key of the upload's idempotency key, which needs a ``fingerprint``. ``options``
        replace those that the upload began with: form fields may follow the file. ``total`` is None for a file whose
        rows are only counted when it is converted. ``chunks``, or ``blocks`` of a file that is to be converted, is how
        many the upload has stored.

        Raises:
            UploadForgotten, UploadEnded: the upload cannot go on.
            NotDurable: the store has lost some of it.
            Overtaken: another upload under the idempotency key was complete before.
        """
        fields: Fields = {JobField.SIZE: size}
        if total is not None:
            fields[JobField.TOTAL] = total
        if encoding is not None:
            fields[JobField.ENCODING] = encoding
        if codec is not None:
            fields[JobField.CODEC] = codec
        if fingerprint is not None:
            fields[JobField.FINGERPRINT] = fingerprint
        if options is not None:
            fields |= JobRecord.encode_options(options)
        flat = [item for name, value in fields.items() for item in (name.value, value)]
        stored = ("" if chunks is None else chunks, blocks)
        arguments = (job_id, self._window(), self._settings.lease_seconds, *stored, *flat)
        answer = self._run("seal", job_id, *arguments, more_keys=[idempotency_key] if idempotency_key else [])
        if isinstance(answer, bytes) and answer.startswith(b"first "):
            raise Overtaken(FirstUpload(*answer.decode().split()[1:]), str(fingerprint))
        sent, *endings = check_upload(answer)
        log_end(job_id, *endings)
        return list(sent)

    def confirm(self, job_id: str) -> None:
        """Wait until as many replicas as the settings ask for have the job. Two round trips, or none.

        Raises:
            NotDurable: too few have it in time.
        """
        wanted = self._settings.store_replicas
        if not wanted:
            return
        with self.redis.pipeline(transaction=False) as pipe:
            # Both on one connection: WAIT is about what that has written.
            self._confirm(keys=[JobKeys.of(job_id).job], client=pipe)
            pipe.wait(wanted, int(_WAIT_SHARE * 1000 * self._settings.store_timeout_seconds))
            has_job, replicas = pipe.execute()
        if not has_job or replicas < wanted:
            raise NotDurable(_few_replicas(replicas if has_job else 0, wanted))

    def confirm_or_remove(self, job_id: str) -> None:
        """Confirm a new job, or remove it. Raises as ``confirm`` does."""
        try:
            self.confirm(job_id)
        except NotDurable:
            self.remove(job_id)
            raise

    def _check_replicas(self) -> None:
        """Raise ``NotDurable`` if too few replicas are connected. One round trip, or none."""
        wanted = self._settings.store_replicas
        if wanted and (connected := int(self.redis.info("replication").get("connected_slaves", 0))) < wanted:
            raise NotDurable(_few_replicas(connected, wanted))

    def correct(
        self, job_id: str, corrections: Corrections, idempotency_key: str | None = None, fingerprint: str = ""
    ) -> list[int] | None:
        """Create a job that corrects rejected rows of another one; return the chunks to send now.

        None if the corrected job is gone. ``idempotency_key`` is as in ``seal``.

        Raises:
            Overtaken: another request under the idempotency key was complete before.
            StorageFull, StorageUnavailable: the rows could not be written to the object store.
        """
        chunks = [
            item
            for number, rows in corrections.chunks.items()
            for item in (number, self.payloads.put(job_id, str(number), rows.encode()))
        ]
        settings = self._settings
        counts = (corrections.rows, corrections.scoring_failed)
        limits = (self._window(), settings.lease_seconds, settings.retention_seconds)
        more_keys = [*JobKeys.of(corrections.corrects).all(), *([idempotency_key] if idempotency_key else [])]
        whose = (corrections.owner.id, corrections.owner.name, corrections.visibility.value)
        arguments = (job_id, corrections.corrects, *limits, fingerprint, *counts, *whose, traceparent(), *chunks)
        answer = self._run("correct", job_id, *arguments, more_keys=more_keys)
        if isinstance(answer, bytes):
            raise Overtaken(FirstUpload(*answer.decode().split()[1:]), fingerprint)
        return None if answer is None else list(answer[0])

    def abandon(self, job_id: str) -> None:
        """Remove an incomplete upload; keep a job whose upload is complete or that has visibly ended."""
        self._run("abandon", job_id, job_id)

    def remove(self, job_id: str) -> None:
        """Delete all data of a job."""
        with self.redis.pipeline(transaction=True) as pipe:
            pipe.unlink(*JobKeys.of(job_id).all())
            pipe.zrem(keys.UNFINISHED, job_id)
            pipe.zrem(keys.JOBS, job_id)
            pipe.publish(keys.changes(job_id), "")
            pipe.execute()

    # The reconciler

    def is_turn_to_reconcile(self, node: str) -> bool:
        """Return whether this process holds the reconciler lock; it passes on after a few seconds of silence."""
        seconds = keys.LOCK_SECONDS
        if self.redis.set(keys.RECONCILER, node, nx=True, ex=seconds):
            return True
        # The lock may pass on between these commands. Two reconcilers at once do no harm: their scripts are atomic.
        if self.redis.get(keys.RECONCILER) != node.encode():
            return False
        return bool(self.redis.expire(keys.RECONCILER, seconds))

    # Reading

    def get(self, job_id: str) -> Job | None:
        """Return the job, or None if it is unknown, expired, deleted or still being uploaded."""
        return _decode(job_id, self.redis.hgetall(JobKeys.of(job_id).job))

    def queue_position(self, job: Job) -> int | None:
        """Return the number of unfinished jobs ahead of this one: 0 once it runs, None once it has ended."""
        if job.state.ended:
            return None
        rank = self.redis.zrank(keys.UNFINISHED, job.id) if job.state is JobState.QUEUED else 0
        return int(rank or 0)

    def page(
        self,
        limit: int,
        before: tuple[float, str] | None,
        state: JobState | None,
        lists: Sequence[str] = (keys.JOBS,),
    ) -> list[Job]:
        """Return up to ``limit`` jobs, newest first, created before (time, id).

        ``lists`` are the keys of the lists to read. Two round trips per page scanned.
        """
        found: list[Job] = []
        more = True
        while more and len(found) < limit:
            ids, more = self._ids_before(before, lists)
            jobs = self._get_many([i for _, i in ids], lists)
            found += [job for job in jobs if job and state in (None, job.state)]
            before = ids[-1] if ids else before
        return found[:limit]

    def scan(
        self, before: tuple[float, str] | None, lists: Sequence[str] = (keys.JOBS,)
    ) -> Iterator[tuple[tuple[float, str], Job | None]]:
        """Yield (time, id) and the job, newest first, of those created before (time, id); None if it is gone.

        Two round trips per page scanned.
        """
        more = True
        while more:
            ids, more = self._ids_before(before, lists)
            yield from zip(ids, self._get_many([i for _, i in ids], lists), strict=True)
            before = ids[-1] if ids else before

    def _ids_before(
        self, before: tuple[float, str] | None, lists: Sequence[str]
    ) -> tuple[list[tuple[float, str]], bool]:
        """Return one page of (time, id) of all lists, and whether there may be more."""
        top = before[0] if before else "+inf"
        with self.redis.pipeline(transaction=False) as pipe:
            for name in lists:
                pipe.zrevrangebyscore(name, top, "-inf", start=0, num=_SCAN_PAGE, withscores=True)
            found = pipe.execute()
        # The scan begins at the time of the last job listed, as others may have the same; those listed are left out.
        # A job may be in several lists.
        pairs = sorted({(score, raw.decode()) for part in found for raw, score in part}, reverse=True)[:_SCAN_PAGE]
        more = any(len(part) == _SCAN_PAGE for part in found) or len(pairs) == _SCAN_PAGE
        return [pair for pair in pairs if before is None or pair < before], more

    def _get_many(self, ids: Sequence[str], lists: Sequence[str]) -> list[Job | None]:
        with self.redis.pipeline(transaction=False) as pipe:
            for job_id in ids:
                pipe.hgetall(JobKeys.of(job_id).job)
            raws = pipe.execute()
        # The set of jobs does not notice when a job expires.
        gone = [job_id for job_id, raw in zip(ids, raws, strict=True) if not raw]
        if gone:
            with self.redis.pipeline(transaction=False) as pipe:
                for name in lists:
                    pipe.zrem(name, *gone)
                pipe.execute()
        return [_decode(job_id, raw) for job_id, raw in zip(ids, raws, strict=True)]

    def output(self, job_id: str, chunk: int) -> bytes | None:
        """Return a scored chunk as a Zstandard frame, or None if it is not recorded.

        Raises:
            DamagedBlob, StorageUnavailable: the object store has lost it, or does not answer.
        """
        return self._payload(JobKeys.of(job_id).output, chunk)

    def output_sizes(self, job: Job) -> list[int] | None:
        """Return the sizes of all scored chunks as CSV; None if they are unknown."""
        names = [f"size:{chunk}" for chunk in range(job.chunks)]
        raw = self.redis.hmget(JobKeys.of(job.id).output, names) if names else []
        # The version before writes -1 for typed rows.
        return None if None in raw or b"-1" in raw else list(map(int, raw))

    def rejects(self, job_id: str, chunk: int) -> bytes | None:
        """Return a chunk's rejects as ``Rejects`` encodes them, or None if it has none. Raises as ``output`` does."""
        return self._payload(JobKeys.of(job_id).rejects, chunk)

    def _payload(self, key: str, chunk: int) -> bytes | None:
        stored: bytes | None = self.redis.hget(key, str(chunk))
        return None if stored is None else self.payloads.get(stored)

    def chunks_with_rejects(self, job_id: str) -> list[int]:
        """Return the numbers of the chunks with rejected rows, ascending."""
        return sorted(int(number) for number in self.redis.hkeys(JobKeys.of(job_id).rejects))

    def summary(self, job_id: str) -> dict[str, int]:
        """Return the job's summary counts so far; ``model.monitoring.counts`` names them."""
        raw = self.redis.hgetall(JobKeys.of(job_id).summary)
        return {name.decode(): int(count) for name, count in raw.items()}

    def columns(self, job_id: str) -> dict[str, int]:
        """Return which column of the input, from 0, holds which feature; none if the job is gone."""
        raw = self.redis.hget(JobKeys.of(job_id).job, JobField.COLUMNS.value)
        return dict(json.loads(raw)) if raw else {}

    def cancel(self, job_id: str) -> None:
        """Cancel a job that has not ended. Results of chunks in progress are discarded."""
        log_end(job_id, self._run("end", job_id, job_id, JobState.CANCELED.value, "", ""))

    def fail(self, job_id: str, error: str, problem: str = "") -> None:
        """Fail a job that has not ended; ``problem`` is the code and the errors of a file that was refused, as JSON."""
        self._fail(job_id, error, problem)


def _few_replicas(having: int, wanted: int) -> str:
    return f"{having} of {wanted} replicas of the store (SCORELINE_STORE_REPLICAS) have what was sent; try again"


def _decode(job_id: str, raw: Mapping[bytes, bytes]) -> Job | None:
    record = JobRecord(raw)
    return record.job(job_id) if record.visible else None
