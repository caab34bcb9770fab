"""Values that go into the store and come out of it: a new job, a claimed chunk, a scored chunk. Pure."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from jobs.messages import InputChunk
from jobs.state import NOBODY, Owner, Visibility


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job whose header has been read.

    ``columns`` maps features to column numbers of the header. ``added`` is the number of result columns up to and
    including ``error``; ``explain`` is the number of (feature, effect) pairs of columns that follow. ``compared`` is
    the name and version of a second model. ``shown`` makes the job visible before its upload is complete.
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
    owner: Owner = NOBODY
    visibility: Visibility = Visibility.PRIVATE
    id: str = field(default_factory=lambda: secrets.token_hex(16))


@dataclass(frozen=True, slots=True)
class ClaimedChunk:
    """A chunk that a worker holds a lease on, with what it needs of the job.

    ``owner`` identifies the lease: the task id and the delivery. ``attempt`` is one more than the number of failures
    that the chunk itself caused. ``lost`` counts leases that ended without a report: a killed process, a dead host, an
    unreachable store.
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
        """Name and version of the model, and of the second one if the job compares two."""
        return [(self.model, self.version), *([self.compared] if self.compared else [])]


@dataclass(frozen=True, slots=True)
class ScoredChunk:
    """The result of scoring a chunk: result and reject lines (uncompressed), row counts, and counts for the summary.

    ``warned`` rows are a subset of the scored ones. ``field_counts`` maps the index of each ragged record in the chunk
    to its number of fields.
    """

    output: bytes
    rejects: bytes
    scored: int
    rejected: int
    warned: int = 0
    scoring_failed: int = 0
    summary: Mapping[str, int] = field(default_factory=dict)
    field_counts: Mapping[int, int] = field(default_factory=dict)
