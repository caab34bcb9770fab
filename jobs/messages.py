"""Names of tasks and queues, task arguments, and how chunks are encoded. Job messages carry ids, never rows."""

import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self

import zstandard

_CHUNK_HEADER = struct.Struct("<QI")
_PAIR = struct.Struct("<II")
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
    def decode(cls, arguments: dict[str, Any]) -> Self:
        """Return the message with these keyword arguments."""
        return cls(**arguments)


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
    def decode(cls, arguments: dict[str, Any]) -> Self:
        """Return the message with these keyword arguments."""
        return cls(tuple(arguments["ids"]), tuple(arguments["requests"]))


@dataclass(frozen=True, slots=True)
class InputChunk:
    """Rows to be scored: the number of the first row, the row count, and the bytes."""

    first_row: int
    rows: int
    data: bytes

    def encode(self) -> bytes:
        """Encode as two integers followed by the Zstandard-compressed bytes."""
        return _CHUNK_HEADER.pack(self.first_row, self.rows) + compress(self.data)

    @classmethod
    def decode(cls, stored: bytes) -> Self:
        """Decode what ``encode`` returned."""
        first_row, rows = _CHUNK_HEADER.unpack_from(stored)
        return cls(first_row, rows, decompress(stored[_CHUNK_HEADER.size :]))


@dataclass(frozen=True, slots=True)
class Rejects:
    """A chunk's lines of the rejects file.

    ``field_counts`` maps the index of each ragged record, from 0, to its number of fields, which the lines do not show.
    """

    lines: bytes
    field_counts: Mapping[int, int]

    def encode(self) -> bytes:
        """Encode as two Zstandard frames: the lines, which is all that a download needs, and the field counts."""
        pairs = b"".join(map(_PAIR.pack, self.field_counts, self.field_counts.values()))
        return compress(self.lines) + compress(pairs)

    @classmethod
    def decode(cls, stored: bytes) -> Self:
        """Decode what ``encode`` returned."""
        reader = zstandard.ZstdDecompressor().decompressobj()
        lines = reader.decompress(stored)
        return cls(lines, dict(_PAIR.iter_unpack(decompress(reader.unused_data))))


def compress(data: bytes) -> bytes:
    """Compress into one Zstandard frame, at the fastest level that still compresses CSV well."""
    return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(data)


def decompress(frame: bytes) -> bytes:
    """Decompress a frame; bytes after it are ignored."""
    return zstandard.ZstdDecompressor().decompress(frame)
