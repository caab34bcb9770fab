"""Names of tasks and queues, task arguments, and how chunks are encoded. Job messages carry ids, never rows."""

import struct
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cached_property
from itertools import accumulate
from typing import Any, Self

import zstandard

from jobs.errors import UnknownMessage, UploadRefused
from jobs.version import PROTOCOL

_CHUNK_HEADER = struct.Struct("<QI")
# Mark a chunk in the number of its rows, which is far smaller.
_TOTALS_FLAG, _TYPED_FLAG = 1 << 31, 1 << 30
_ZSTD_LEVEL = 1


class Queue(StrEnum):
    """The Celery queues; each has worker processes of its own."""

    BULK = "bulk"
    INTERACTIVE = "interactive"


class Task(StrEnum):
    """The tasks by name: the web sends them without importing their code."""

    SCORE_CHUNK = "scoreline.score_chunk"
    CONVERT = "scoreline.convert"
    PREDICT = "scoreline.predict"


CONVERSION = -1
"""The number under which the conversion of a job's file is sent, leased and renewed, as if it were a chunk."""


@dataclass(frozen=True, slots=True)
class ScoreChunk:
    """Arguments of the task that scores one chunk of a job, or, for the chunk ``CONVERSION``, converts its file."""

    job_id: str
    chunk: int

    def encode(self) -> dict[str, Any]:
        """Return the keyword arguments of the task."""
        return asdict(self)

    @classmethod
    def decode(cls, arguments: Mapping[str, Any], protocol: int = PROTOCOL) -> Self:
        """Return the message with these keyword arguments; raise ``UnknownMessage`` if this version has none such."""
        match dict(arguments):
            case {"job_id": str(job_id), "chunk": int(chunk), **rest} if not rest and protocol <= PROTOCOL:
                return cls(job_id, chunk)
        raise _unknown(arguments, protocol)


@dataclass(frozen=True, slots=True)
class Predict:
    """Arguments of the task that answers single predictions.

    The first message carries the requests, which spares the worker a round trip. A message that is sent again carries
    ids alone: the worker then takes the requests from the store, which counts the attempt.
    """

    ids: tuple[str, ...]
    requests: tuple[Mapping[str, Any], ...] = ()

    def encode(self) -> dict[str, Any]:
        """Return the keyword arguments of the task."""
        return {"ids": self.ids, "requests": self.requests}

    @classmethod
    def decode(cls, arguments: Mapping[str, Any], protocol: int = PROTOCOL) -> Self:
        """Return the message with these keyword arguments; raise ``UnknownMessage`` if this version has none such."""
        match dict(arguments):
            case {"ids": [*ids], "requests": [*requests], **rest} if not rest and protocol <= PROTOCOL:
                return cls(tuple(ids), tuple(requests))
        raise _unknown(arguments, protocol)


def _unknown(arguments: Mapping[str, Any], protocol: int) -> UnknownMessage:
    return UnknownMessage(f"a message of protocol {protocol} with {', '.join(sorted(arguments)) or 'nothing'}")


@dataclass(frozen=True, slots=True)
class InputChunk:
    """Rows to be scored: the number of the first row, the row count, and the bytes.

    ``open_quotes`` are the indexes, from 0, of the records with a quote that no quote closes, and ``is_totals`` marks
    the totals that end a file; the bytes of the chunk do not show either. ``is_typed``: they are a packed batch of a
    Parquet or Arrow file (``jobs.formats.typed``) instead of CSV.
    """

    first_row: int
    rows: int
    data: bytes
    open_quotes: tuple[int, ...] = ()
    is_totals: bool = False
    is_typed: bool = False

    def encode(self) -> bytes:
        """Encode as two integers and a Zstandard frame with the bytes; open quotes follow in another one, if any.

        A packed batch is compressed already, and stays as it is.
        """
        if self.is_typed:
            return _CHUNK_HEADER.pack(self.first_row, self.rows | _TYPED_FLAG) + self.data
        rows = self.rows | _TOTALS_FLAG if self.is_totals else self.rows
        encoded = _CHUNK_HEADER.pack(self.first_row, rows) + compress(self.data)
        return encoded + compress(array("I", self.open_quotes).tobytes()) if self.open_quotes else encoded

    @classmethod
    def decode(cls, stored: bytes) -> Self:
        """Decode what ``encode`` returned."""
        first_row, rows = _CHUNK_HEADER.unpack_from(stored)
        if rows & _TYPED_FLAG:
            return cls(first_row, rows & ~_TYPED_FLAG, stored[_CHUNK_HEADER.size :], is_typed=True)
        data, rest = _first_frame(stored[_CHUNK_HEADER.size :])
        open_quotes = tuple(array("I", decompress(rest))) if rest else ()
        return cls(first_row, rows & ~_TOTALS_FLAG, data, open_quotes, bool(rows & _TOTALS_FLAG))


@dataclass(frozen=True, slots=True)
class CorrectedRows:
    """Corrected records of one chunk: their row numbers, ascending, and the records, each with its line end."""

    rows: tuple[int, ...]
    data: bytes

    def encode(self) -> bytes:
        """Encode as the number of rows, the rows, and the Zstandard-compressed records."""
        numbers = struct.pack(f"<I{len(self.rows)}Q", len(self.rows), *self.rows)
        return numbers + compress(self.data)

    @classmethod
    def decode(cls, stored: bytes) -> Self:
        """Decode what ``encode`` returned."""
        (count,) = struct.unpack_from("<I", stored)
        layout = struct.Struct(f"<I{count}Q")
        return cls(layout.unpack_from(stored)[1:], decompress(stored[layout.size :]))


@dataclass(frozen=True, eq=False)
class Originals(Mapping[int, bytes]):
    """Records as they came, by their indexes: these, unsigned, the records' lengths, and their bytes together."""

    indexes: "array[int]"
    lengths: "array[int]"
    data: bytes

    @classmethod
    def of(cls, records: Mapping[int, bytes]) -> Self:
        """Return the same records."""
        if isinstance(records, cls):
            return records
        return cls(array("I", records), array("I", map(len, records.values())), b"".join(records.values()))

    def __getitem__(self, index: int) -> bytes:
        return self._records[index]

    def __iter__(self) -> Iterator[int]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self.indexes)

    @cached_property
    def _records(self) -> dict[int, bytes]:
        ends = accumulate(self.lengths)
        records = (self.data[end - length : end] for end, length in zip(ends, self.lengths, strict=True))
        return dict(zip(self.indexes, records, strict=True))


@dataclass(frozen=True, slots=True)
class Rejects:
    """A chunk's lines of the rejects file.

    ``originals`` maps the index, from 0, of each record that the results do not hold as it came to its bytes.
    """

    lines: bytes
    originals: Mapping[int, bytes]

    def encode(self) -> bytes:
        """Encode as Zstandard frames: the lines, which is all that a download needs; indexes and lengths; records."""
        originals = Originals.of(self.originals)
        numbers = originals.indexes + originals.lengths
        return compress(self.lines) + compress(numbers.tobytes()) + compress(originals.data)

    @classmethod
    def decode(cls, stored: bytes) -> Self:
        """Decode what ``encode`` returned; raise ``UploadRefused`` if an earlier version encoded it."""
        lines, rest = _first_frame(stored)
        encoded, rest = _first_frame(rest)
        if not rest:
            detail = (
                "an earlier version scored the job, and did not keep rejected rows as they came; upload the file again"
            )
            raise UploadRefused("malformed_body", detail)
        numbers = array("I", encoded)
        count = len(numbers) // 2
        return cls(lines, Originals(numbers[:count], numbers[count:], decompress(rest)))


def compress(data: bytes) -> bytes:
    """Compress into one Zstandard frame, at the fastest level that still compresses CSV well."""
    return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(data)


def _first_frame(frames: bytes) -> tuple[bytes, bytes]:
    """Decompress the first of several frames; return it and the bytes after it."""
    reader = zstandard.ZstdDecompressor().decompressobj()
    return reader.decompress(frames), reader.unused_data


def decompress(frame: bytes) -> bytes:
    """Decompress a frame; bytes after it are ignored."""
    return zstandard.ZstdDecompressor().decompress(frame)
