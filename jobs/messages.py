"""Names of tasks and queues, and what travels with them. Messages about jobs carry ids, never rows."""

import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self

import zstandard

_CHUNK_HEAD = struct.Struct("<QI")
_PAIR = struct.Struct("<II")
_ZSTD_LEVEL = 1


class Queue(StrEnum):
    """The queues; each has worker processes of its own."""

    BULK = "bulk"
    INTERACTIVE = "interactive"


class Task(StrEnum):
    """The tasks by name, so that the web need not import their code."""

    SCORE_CHUNK = "scoreline.score_chunk"
    PREDICT = "scoreline.predict"


@dataclass(frozen=True, slots=True)
class ScoreChunk:
    """Asks a bulk worker for one chunk of a job."""

    job_id: str
    chunk: int

    def encode(self) -> dict[str, Any]:
        """Keyword arguments of the task."""
        return asdict(self)

    @classmethod
    def decode(cls, arguments: dict[str, Any]) -> Self:
        """The message with these keyword arguments."""
        return cls(**arguments)


@dataclass(frozen=True, slots=True)
class Predict:
    """Asks an interactive worker for single predictions.

    The first time, the requests travel along, so that the worker need not fetch them; what is sent again is asked for
    by id, and counted.
    """

    ids: tuple[str, ...]
    requests: tuple[Mapping[str, Any], ...] = ()

    def encode(self) -> dict[str, Any]:
        """Keyword arguments of the task."""
        return {"ids": self.ids, "requests": self.requests}

    @classmethod
    def decode(cls, arguments: dict[str, Any]) -> Self:
        """The message with these keyword arguments."""
        return cls(tuple(arguments["ids"]), tuple(arguments["requests"]))


@dataclass(frozen=True, slots=True)
class InputChunk:
    """Rows waiting to be scored, as they lie in Redis: the first row's number, how many, and their bytes."""

    first_row: int
    rows: int
    data: bytes

    def encode(self) -> bytes:
        """Two numbers, then the rows compressed with Zstandard."""
        return _CHUNK_HEAD.pack(self.first_row, self.rows) + compress(self.data)

    @classmethod
    def decode(cls, stored: bytes) -> Self:
        """The chunk that ``encode`` made this from."""
        first_row, rows = _CHUNK_HEAD.unpack_from(stored)
        return cls(first_row, rows, decompress(stored[_CHUNK_HEAD.size :]))


@dataclass(frozen=True, slots=True)
class Rejects:
    """A chunk's lines of the rejects file, as they lie in Redis, and what they do not tell.

    ``field_counts`` are the numbers of fields of those records that have another than the header, by their place in the
    chunk, from 0.
    """

    lines: bytes
    field_counts: Mapping[int, int]

    def encode(self) -> bytes:
        """The lines as one Zstandard frame, which is all that a download needs, and the numbers as another."""
        pairs = b"".join(map(_PAIR.pack, self.field_counts, self.field_counts.values()))
        return compress(self.lines) + compress(pairs)

    @classmethod
    def decode(cls, stored: bytes) -> Self:
        """What ``encode`` made this from."""
        reader = zstandard.ZstdDecompressor().decompressobj()
        lines = reader.decompress(stored)
        return cls(lines, dict(_PAIR.iter_unpack(decompress(reader.unused_data))))


def compress(data: bytes) -> bytes:
    """One Zstandard frame at the fastest level that still shrinks CSV well; the frame tells its size."""
    return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(data)


def decompress(frame: bytes) -> bytes:
    """What ``compress`` made this frame from; what follows it counts for nothing."""
    return zstandard.ZstdDecompressor().decompress(frame)
