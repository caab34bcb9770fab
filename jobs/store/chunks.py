"""Values that go into the store and come out of it: a new job, a claimed chunk, a scored chunk. Pure."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from jobs.csv.dialect import Dialect
from jobs.messages import CorrectedRows, InputChunk, Rejects
from jobs.state import NOBODY, Owner, Visibility
from jobs.store.outputs import TypedOutput


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job whose header has been read.

    ``columns`` maps features to column numbers of the header. ``added`` is the number of result columns up to and
    including ``error``; ``explain`` is the number of (feature, effect) pairs of columns that follow. ``compared`` is
    the name and version of a second model. ``delimiter`` and the header are those of the translated file (``dialect``);
    ``codec`` is Python's name of its encoding. ``shown`` makes the job visible before its upload is complete.

    ``added_columns`` are the names of all result columns and whether they hold numbers. A file that is not CSV has a
    ``format``, a ``sheet`` if one was asked for, and no header before it is converted, when columns of earlier results
    are dropped if ``drop_results`` says so.
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
    dialect: Dialect = field(default_factory=Dialect)
    codec: str = "utf-8"
    added_columns: tuple[tuple[str, bool], ...] = ()
    format: str = "csv"
    sheet: str | None = None
    drop_results: bool = False
    owner: Owner = NOBODY
    visibility: Visibility = Visibility.PRIVATE
    id: str = field(default_factory=lambda: secrets.token_hex(16))


@dataclass(frozen=True, slots=True)
class Corrections:
    """Corrected records of the job ``corrects``, by the numbers of their chunks.

    The model had failed on ``scoring_failed`` of them.
    """

    corrects: str
    chunks: Mapping[int, CorrectedRows]
    scoring_failed: int = 0
    owner: Owner = NOBODY
    visibility: Visibility = Visibility.PRIVATE

    @property
    def rows(self) -> int:
        """Number of corrected rows."""
        return sum(len(chunk.rows) for chunk in self.chunks.values())


@dataclass(frozen=True, slots=True)
class ReplacedChunk:
    """What a chunk of corrections replaces: the results of the whole chunk and its rejects, both uncompressed.

    ``rows`` are the numbers of the corrected rows, ascending.
    """

    rows: tuple[int, ...]
    output: bytes
    rejects: Rejects


@dataclass(frozen=True, slots=True)
class ClaimedChunk:
    """A chunk that a worker holds a lease on, with what it needs of the job.

    ``owner`` identifies the lease: the task id and the delivery. ``attempt`` is one more than the number of failures
    that the chunk itself caused. ``lost`` counts leases that ended without a report: a killed process, a dead host, an
    unreachable store. ``chunk`` holds the rows to score: all of the chunk, or only its corrected ones, and then
    ``replaced`` is what their results go into. ``of_json``: the file was one of JSON lines. ``stored_input`` is what
    the store holds for the rows, ``traceparent`` the trace of the upload.
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
    replaced: ReplacedChunk | None = None
    dialect: Dialect = field(default_factory=Dialect)
    input_header: bytes = b""
    of_json: bool = False
    stored_input: bytes = b""
    traceparent: str = ""

    @property
    def models(self) -> list[tuple[str, str]]:
        """Name and version of the model, and of the second one if the job compares two."""
        return [(self.model, self.version), *([self.compared] if self.compared else [])]


@dataclass(frozen=True, slots=True)
class ScoredChunk:
    """The result of scoring a chunk: result and reject lines (uncompressed), row counts, and counts for the summary.

    Results of typed rows stay typed: they are ``typed``, and ``output`` is empty.

    ``warned`` rows are a subset of the scored ones, ``repaired`` rows had a quote too many or too few. ``originals``
    maps the index of each record that the results do not hold as it came to its bytes. Of corrected rows, the row
    counts are theirs alone, and those for the summary are less what they counted before.
    """

    output: bytes
    rejects: bytes
    scored: int
    rejected: int
    warned: int = 0
    scoring_failed: int = 0
    summary: Mapping[str, int] = field(default_factory=dict)
    repaired: int = 0
    originals: Mapping[int, bytes] = field(default_factory=dict)
    typed: TypedOutput | None = None
