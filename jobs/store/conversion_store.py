"""Conversions in Redis: blocks of uploaded files that are not CSV, and the chunks that are made of them.

A conversion is claimed, renewed and released like a chunk, under the number ``CONVERSION``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from redis import Redis

from jobs.errors import JobsError, NotDurable, StoreFull, UploadEnded, UploadForgotten
from jobs.job_log import log_end
from jobs.messages import CONVERSION, InputChunk, compress, decompress
from jobs.settings import Settings
from jobs.store.chunk_store import ChunkStore
from jobs.store.job_record import Encoded, JobField
from jobs.store.keys import JobKeys
from jobs.store.scripts import LOST, register_script

SOURCE_BLOCK_BYTES = 1024 * 1024
"""Size of the blocks in which a file is stored, before they are compressed."""


class ConversionLost(JobsError):
    """Raised when a converter no longer holds its lease, or its job has ended."""


class ConversionStore(ChunkStore):
    """Conversions of jobs' files. Each method is one round trip to Redis."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        super().__init__(redis, settings)
        names = ("append_source", "begin_conversion", "append_converted", "end_conversion")
        self._scripts |= {name: register_script(redis, name, "totals", "outbox", "common") for name in names}

    def check_memory(self, more: int = 0) -> None:
        """Raise ``StoreFull`` if, with so many more bytes, the server uses over ``full_ratio`` of its memory limit."""
        memory = self.redis.info("memory")
        limit = memory.get("maxmemory", 0)
        if limit and memory["used_memory"] + more > self._settings.full_ratio * limit:
            raise StoreFull(
                "the store is full: try again when results have been downloaded and deleted or have expired"
            )

    # Uploads

    def append_source(self, job_id: str, number: int, block: bytes) -> None:
        """Store block ``number`` of an upload that is to be converted.

        Raises:
            UploadForgotten, UploadEnded, NotDurable: the upload cannot go on.
            StorageFull, StorageUnavailable: the block could not be written to the object store.
        """
        stored = self.payloads.put(job_id, f"source/{number}", compress(block))
        blocks = InputChunk(0, number + 1, b"").encode()
        idle = self._settings.upload_idle_seconds
        check_upload(self._run("append_source", job_id, number, stored, blocks, CONVERSION, idle))

    # Workers

    def source_block(self, job_id: str, number: int) -> bytes:
        """Return a block of an upload.

        Raises:
            ConversionLost: the job is gone.
            DamagedBlob, StorageUnavailable: the object store has lost the block, or does not answer.
        """
        block = self.redis.hget(JobKeys.of(job_id).input, f"source:{number}")
        if block is None:
            raise ConversionLost("the file is gone")
        return decompress(self.payloads.get(block))

    def begin_conversion(self, job_id: str, owner: str, fields: Mapping[JobField, Encoded]) -> None:
        """Note the header of the file; raise ``ConversionLost`` if ``owner`` does not hold the conversion."""
        if not self._run("begin_conversion", job_id, CONVERSION, owner, *_flat(fields)):
            raise ConversionLost("another worker converts the file")

    def append_converted(self, job_id: str, owner: str, number: int, chunk: InputChunk, progress: float) -> list[int]:
        """Store chunk ``number`` unless it is there; return the chunks to send now.

        Raises:
            ConversionLost: ``owner`` does not hold the conversion.
        """
        settings = self._settings
        lease, rows = settings.lease_seconds, chunk.first_row + chunk.rows - 1
        answer = self._run(
            "append_converted",
            job_id,
            job_id,
            CONVERSION,
            owner,
            lease,
            number,
            self.payloads.put(job_id, str(number), chunk.encode()),
            self._window(),
            lease,
            progress,
            rows,
        )
        return _sent(job_id, answer)

    def end_conversion(
        self, job_id: str, owner: str, blocks: int, chunks: int, fields: Mapping[JobField, Encoded]
    ) -> list[int]:
        """Set what is known at the end and drop the file's blocks; return the chunks to send now.

        Raises:
            ConversionLost: ``owner`` does not hold the conversion, or the store has lost one of the chunks.
        """
        arguments = (job_id, CONVERSION, owner, self._window(), self._settings.lease_seconds, blocks, chunks)
        sent = _sent(job_id, self._run("end_conversion", job_id, *arguments, *_flat(fields)))
        self.payloads.discard_folder(job_id, "source")
        return sent


def _flat(fields: Mapping[JobField, Encoded]) -> list[Encoded]:
    return [item for name, value in fields.items() for item in (name.value, value)]


def _sent(job_id: str, answer: Sequence[Any] | None) -> list[int]:
    if answer is None:
        raise ConversionLost("the job has ended, another worker converts the file, or the store has lost a chunk")
    sent, *endings = answer
    log_end(job_id, *endings)
    return list(sent)


def check_upload(answer: Any) -> list[Any]:
    """Return a script's reply about an upload, or raise if the upload cannot go on."""
    if answer is None:
        raise UploadForgotten("the upload timed out")
    if answer == LOST.encode():
        raise NotDurable("the store has lost a part of the upload, as when its primary fails over; send the file again")
    if isinstance(answer, bytes):
        how, _, reason = answer.decode().partition(": ")
        raise UploadEnded(f"the job {how} before the upload was complete{reason and ': '}{reason}")
    return list(answer)
