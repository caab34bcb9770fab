"""What goes into the store and comes out of it: a new job, a chunk to score, a scored chunk. Pure."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from jobs.messages import InputChunk


@dataclass(frozen=True, slots=True)
class NewJob:
    """What is known of a job when its header has been read.

    ``columns`` maps features to the header's columns. ``added`` is the number of columns that the results have more, up
    to ``error``, ``explain`` that of the features, each with its effect, that follow. ``compared`` is the name and
    version of a second model.
    """

    model: str
    version: str
    filename: str
    encoding: str
    delimiter: str
    line_end: str
    threshold: float | None
    header: bytes
    input_header: bytes
    columns: Mapping[str, int]
    width: int
    added: int = 3
    explain: int | None = None
    warnings: bool = False
    compared: tuple[str, str] | None = None
    shown: bool = False
    id: str = field(default_factory=lambda: secrets.token_hex(16))


@dataclass(frozen=True, slots=True)
class ClaimedChunk:
    """A chunk that a worker may score, with what it needs of the job.

    ``owner`` names its hold on the chunk: the task, and which delivery of it. ``attempt`` is one more than the failures
    that were by the chunk's doing; ``lost`` counts the holds on it that ended without a word of what became of them.
    """

    owner: str
    attempt: int
    lost: int
    chunk: InputChunk
    model: str
    version: str
    delimiter: str
    threshold: float | None
    columns: dict[str, int]
    width: int
    added: int = 3
    explain: int | None = None
    warnings: bool = False
    compared: tuple[str, str] | None = None

    @property
    def models(self) -> list[tuple[str, str]]:
        """Name and version of the model, and of the second one if two are compared."""
        return [(self.model, self.version), *([self.compared] if self.compared else [])]


@dataclass(frozen=True, slots=True)
class ScoredChunk:
    """What scoring a chunk gave: the two texts, uncompressed, the counts of rows, and counts for the summary.

    ``warned`` rows are scored ones. ``field_counts`` are those of the records that have another number of fields than
    the header, by their place in the chunk.
    """

    output: bytes
    rejects: bytes
    scored: int
    rejected: int
    warned: int = 0
    scoring_failed: int = 0
    summary: Mapping[str, int] = field(default_factory=dict)
    field_counts: Mapping[int, int] = field(default_factory=dict)
