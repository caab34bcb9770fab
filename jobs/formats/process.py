"""Read a file in a process of its own, which may crash or take too much memory without harm to this one."""

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

import structlog

from jobs.errors import Detail, UploadRefused
from jobs.fork_server.client import ForkedProcess, Program, fork_server
from jobs.formats.frames import (
    END_FRAME,
    ERROR_FRAME,
    FRAME,
    HEADER_FRAME,
    REFUSAL_FRAME,
    ROWS,
    TYPED_FRAME,
    ReadOptions,
)

log = structlog.stdlib.get_logger(__name__)

# Signals sent from outside, by a person or the system.
EXTERNAL_SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGQUIT, signal.SIGINT, signal.SIGHUP)
_MAX_SHOWN, _MAX_SHOWN_SHEETS = 40, 10


class ReaderKilled(OSError):
    """Raised when the process that reads a file was ended from outside; it can be started again."""


@dataclass(frozen=True, slots=True)
class SourceHeader:
    """The columns of a file; ``schema`` is an Arrow schema as base64, in which the columns come back.

    ``preamble`` holds the rows above the header of a sheet as lines of CSV.
    """

    names: list[str]
    sheets: list[str]
    sheet: str | None
    schema: str | None
    preamble: str = ""


def sheets_hint(header: SourceHeader) -> str:
    """Return what a refusal of the header adds: which sheet was read, and which others there are, if any."""
    others = [repr(sheet[:_MAX_SHOWN]) for sheet in header.sheets if sheet != header.sheet]
    if not others or header.sheet is None:
        return ""
    listed = ", ".join(others[:_MAX_SHOWN_SHEETS]) + (", …" if len(others) > _MAX_SHOWN_SHEETS else "")
    return f"; the sheet {header.sheet[:_MAX_SHOWN]!r} was read, there are also {listed}: choose one with 'sheet'"


@dataclass(frozen=True, slots=True)
class SourceRows:
    """Some rows as CSV; ``progress`` is the part of the file read so far, 0..1 (0 if it is not known anew).

    ``size`` and ``is_typed`` are as in ``Rows``.
    """

    text: bytes
    rows: int
    progress: float
    size: int
    is_typed: bool = False


@dataclass(slots=True)
class SourceReader:
    """The output of the process: first ``header``, then the rows; after these, ``kinds`` of values per column."""

    header: SourceHeader
    rows: Iterator[SourceRows]
    kinds: list[list[str]] | None = None


@contextmanager
def reading(file: IO[bytes], options: ReadOptions, seconds: float | None = None) -> Iterator[SourceReader]:
    """Read a file, a temporary one of this process, in another process. It ends with the context, or after ``seconds``.

    Raises:
        UploadRefused: the file cannot be read; while the rows are read, too.
        ReaderKilled: the process was ended from outside.
    """
    file.flush()
    process = fork_server.run(Program.READ_FILE, options.encode().encode(), [file.fileno()])
    timer = threading.Timer(seconds or 0, process.kill) if seconds else None
    if timer:
        timer.start()
    try:
        yield _reader(process)
    finally:
        if timer:
            timer.cancel()
            timer.join()
        process.close()


def _reader(process: ForkedProcess) -> SourceReader:
    frames = _frames(process)
    kind, payload = next(frames)
    if kind != HEADER_FRAME:  # pragma: no cover - the first frame, unless the process refuses the file
        raise ValueError(f"frame {kind!r} instead of the header")
    reader = SourceReader(SourceHeader(**json.loads(payload)), iter(()))
    reader.rows = _rows(reader, frames)
    return reader


def _rows(reader: SourceReader, frames: Iterator[tuple[bytes, bytes]]) -> Iterator[SourceRows]:
    for kind, payload in frames:
        if kind == END_FRAME:
            reader.kinds = json.loads(payload)
            return
        rows, progress, size = ROWS.unpack_from(payload)
        yield SourceRows(payload[ROWS.size :], rows, progress, size, kind == TYPED_FRAME)


def _frames(process: ForkedProcess) -> Iterator[tuple[bytes, bytes]]:
    """Yield the frames up to the end; raise what the process reports, or what its own end means."""
    while True:
        head = process.stdout.read(FRAME.size)
        if len(head) < FRAME.size:
            raise _failure(process)
        kind, size = FRAME.unpack(head)
        payload = process.stdout.read(size)
        if len(payload) < size:
            raise _failure(process)
        if kind == REFUSAL_FRAME:
            code, detail, row = json.loads(payload)
            raise UploadRefused(code, detail, [Detail(code, detail, row=row)])
        if kind == ERROR_FRAME:
            raise _failure(process, payload.decode())
        yield kind, payload
        if kind == END_FRAME:
            return


def _failure(process: ForkedProcess, error: str | None = None) -> Exception:
    """Return what the end of a process without a report means; ``error``: type and place of an exception."""
    status = process.wait()
    if status is None:
        return ReaderKilled("the fork server was ended")
    if -status in EXTERNAL_SIGNALS:
        return ReaderKilled(f"the process that read the file was ended by signal {-status}")
    log.warning("file reader failed", status=status, error=error)
    return UploadRefused("unreadable_file", "the file cannot be read: it is damaged, or needs too much memory")
