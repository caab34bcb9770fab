"""An uploaded file that is not CSV: stored as it comes; a worker converts it.

What is wrong with a small one is found before the upload is accepted, in a process of its own; with a large one, by the
worker, and the job fails.
"""

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import structlog

from jobs.csv.reader import Header
from jobs.csv.records import as_field
from jobs.errors import UploadRefused
from jobs.formats.detection import Format
from jobs.formats.frames import ReadOptions
from jobs.formats.process import ReaderKilled, SourceReader, reading, sheets_hint
from jobs.settings import Settings
from jobs.store.conversion_store import SOURCE_BLOCK_BYTES
from jobs.store.job_store import JobStore
from jobs.store.room import wait_for_room
from model.joint_schema import joint_schema
from web.request_limits import MAX_CHECKED_BYTES
from web.uploads.options import ScoringOptions

log = structlog.stdlib.get_logger(__name__)

_CHECK_SECONDS = 20.0
_MAX_CHECKS = 4
_checks = threading.BoundedSemaphore(_MAX_CHECKS)


class SourceFile:
    """Stores one upload block by block, and checks a small one at its end."""

    def __init__(self, store: JobStore, settings: Settings, kind: Format) -> None:
        self.kind, self.job_id = kind, ""
        self._store, self._settings = store, settings
        self._buffer, self.blocks, self._size = bytearray(), 0, 0
        # A copy for the check, on disk: many uploads may come in at once.
        self._copy: IO[bytes] | None = tempfile.TemporaryFile()  # noqa: SIM115 - closed once it is checked or too large

    def feed(self, block: bytes) -> None:
        """Take the next bytes. Raises as ``JobStore.append_source`` and ``check_memory`` do."""
        self._size += len(block)
        self._buffer += block
        if self._copy:
            self._copy.write(block)
            if self._size > MAX_CHECKED_BYTES:
                self._copy.close()
                self._copy = None
        while len(self._buffer) >= SOURCE_BLOCK_BYTES:
            self._store_block(bytes(self._buffer[:SOURCE_BLOCK_BYTES]))
            del self._buffer[:SOURCE_BLOCK_BYTES]

    def _store_block(self, block: bytes) -> None:
        def store() -> None:
            # Before the first block, ``check_room`` has just looked.
            if self.blocks:
                self._store.check_memory()
            self._store.append_source(self.job_id, self.blocks, block)

        wait_for_room(store, self._settings.upload_idle_seconds, lambda: self._store.touch(self.job_id))
        self.blocks += 1

    def finish(self, options: ScoringOptions, sheet: str | None) -> None:
        """Store the rest, once all form fields are known.

        Raises:
            UploadRefused: the file is small, and something is wrong with it.
        """
        if not self._size:
            raise UploadRefused("empty_file", "the file is empty")
        if self._buffer:
            self._store_block(bytes(self._buffer))
        if self._copy:
            with self._copy:
                _check(self._copy, read_options(self._settings, self.kind, sheet, options), options)


def read_options(settings: Settings, kind: Format, sheet: str | None, options: ScoringOptions) -> ReadOptions:
    """Return how to read a file for these models."""
    names = [feature.name for feature in joint_schema(options.cards).features]
    return ReadOptions(kind, sheet, names, settings.max_upload_bytes, settings.worker_memory_mib)


def header_of(reader: SourceReader) -> Header:
    """Return the header of a file as that of the CSV which it becomes."""
    names = reader.header.names
    raw = b",".join(as_field(name, ",") for name in names)
    # With its line end.
    return Header(
        tuple(names), raw, ",", b"\n", len(raw) + 1, preamble=reader.header.preamble.encode("utf-8", "replace")
    )


@contextmanager
def checking(file: IO[bytes], options: ReadOptions) -> Iterator[SourceReader | None]:
    """Read a small file; None if many others are being read.

    Raises:
        UploadRefused: the file cannot be read.
        ReaderKilled: it takes too long.
    """
    # Nobody waits: without the check, the upload is accepted, and the worker says what is wrong.
    if not _checks.acquire(blocking=False):
        yield None
        return
    try:
        with reading(file, options, _CHECK_SECONDS) as reader:
            yield reader
    finally:
        _checks.release()


def _check(file: IO[bytes], read: ReadOptions, options: ScoringOptions) -> None:
    try:
        with checking(file, read) as reader:
            if reader is None:
                return
            options.match_header(header_of(reader), sheets=sheets_hint(reader.header))
            if next(reader.rows, None) is None:
                raise UploadRefused("no_rows", "the file has a header but no rows")
    except ReaderKilled:
        log.info("file not checked", format=read.format.value)  # the worker will tell what is wrong
