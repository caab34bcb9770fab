"""Reading an upload: detecting dialect and header, cutting into chunks of whole records. Pure: no input or output."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from jobs.csv import records
from jobs.csv.header_quotes import read_header_text
from jobs.csv.records import MAX_FIELDS, RecordIndex, as_field, index_records, read_record
from jobs.errors import UploadRefused

DELIMITERS = (",", ";", "\t", "|", "^", "~")
MAX_SKIPPED_LINES = 20
SAMPLE_BYTES = 64 * 1024
"""The first bytes of a file, which tell how it is written."""
MAX_FIELD_BYTES = 1024 * 1024
MAX_COLUMNS = MAX_FIELDS - 1
# A chunk of tiny records would hold millions, each of which may be rejected with a message of its own.
MAX_CHUNK_ROWS = 32_768
# Rows that are indexed at once, about: the index of a block of tiny records takes far more memory than the block.
_MAX_INDEXED_ROWS = 4 * MAX_CHUNK_ROWS
_FIRST_CHUNK_BYTES = 256 * 1024

CountMatches = Callable[[Sequence[str]], tuple[int, int]]
"""Returns how many of the models' columns a header contains, and how many the models have."""


@dataclass(frozen=True, slots=True)
class Header:
    """The header of an upload: column names as spelt, its own bytes, and the dialect.

    ``size`` is the number of bytes up to the first record: whatever precedes the header, the header and its line end.
    ``line`` is the number of the header's line, from 1; ``preamble`` holds the lines before it, if they are not blank.
    ``is_broken``: a quote in it stands where none may.
    """

    columns: tuple[str, ...]
    raw: bytes
    delimiter: str
    line_end: bytes
    size: int
    line: int = 1
    preamble: bytes = b""
    is_broken: bool = False

    def with_columns(self, names: Sequence[str]) -> bytes:
        """Return the header of the results: its own bytes, then ``unused_names`` of the names, quoted if necessary."""
        added = (as_field(name, self.delimiter) for name in self.unused_names(names))
        return self.preamble + self.delimiter.encode().join([self.raw, *added])

    def first_columns(self, count: int) -> "Header":
        """Return a header with the first columns only."""
        _, end = read_record(self.raw, 0, len(self.raw), ord(self.delimiter)).fields[count - 1]
        return replace(self, columns=self.columns[:count], raw=self.raw[:end])

    def require_limits(self) -> None:
        """Raise UploadRefused ``too_wide`` if the header exceeds the limits of a record."""
        if len(self.columns) > MAX_COLUMNS:
            raise UploadRefused("too_wide", f"the header has more than {MAX_COLUMNS} columns")
        if len(self.raw) > records.MAX_RECORD_BYTES:
            raise UploadRefused("too_wide", f"the header is longer than {records.MAX_RECORD_BYTES} bytes")
        if read_record(self.raw, 0, len(self.raw), ord(self.delimiter)).longest > MAX_FIELD_BYTES:
            raise UploadRefused("too_wide", f"the header has a field longer than {MAX_FIELD_BYTES} bytes")

    def unused_names(self, wanted: Sequence[str]) -> list[str]:
        """Return the wanted column names, with ``_2``, ``_3``, … appended to those that the header already uses."""
        taken = {name.strip() for name in self.columns}
        names = []
        for name in wanted:
            free = next(c for c in (name, *(f"{name}_{n}" for n in range(2, MAX_COLUMNS + 3))) if c not in taken)
            taken.add(free)
            names.append(free)
        return names


def read_header(data: bytes, count_matches: CountMatches, final: bool, delimiter: str | None = None) -> Header | None:
    """Read the header of an upload (UTF-8, without a byte order mark); return None if more bytes are needed.

    Unless it is given, or a first line ``sep=…`` names one, the delimiter is the candidate under which the header
    matches most of the models' columns. Up to ``MAX_SKIPPED_LINES`` lines are passed over where a later one matches
    more of them.

    Raises:
        UploadRefused: ``empty_file``, ``undecodable`` or ``too_wide``.
    """
    start = _skip_blank_lines(data)
    # Each candidate delimiter is tried. Before the end of the data, a candidate whose header line is not complete
    # could still match better, so the decision waits unless the best one already holds all of the models' columns.
    named, start_after = _separator_line(data, start)
    if named:
        start = _skip_blank_lines(data, start_after)
    if start == len(data):
        if final:
            raise UploadRefused("empty_file", "the file is empty: a CSV file with a header row is needed")
        return None
    candidates = [delimiter or named or ""] if delimiter or named else DELIMITERS
    best, is_settled = _find_header(data, start, candidates, count_matches, final)
    # No header may be longer than a record, so that more bytes cannot help.
    if best and (is_settled or len(data) - start > records.MAX_RECORD_BYTES):
        if b"\0" in best.raw:
            detail = "the header holds a NUL byte, which CSV cannot contain; a UTF-16 file needs a byte order mark"
            raise UploadRefused("undecodable", detail, row=0)
        best.require_limits()
        return best
    if final or len(data) - start > records.MAX_RECORD_BYTES:
        raise UploadRefused("too_wide", f"the header is longer than {records.MAX_RECORD_BYTES} bytes")
    return None


def _find_header(
    data: bytes, start: int, delimiters: Sequence[str], count_matches: CountMatches, final: bool
) -> tuple[Header | None, bool]:
    """Return the best header in the data, if any, and whether more data cannot bring a better one."""
    parsed = [_parse_header(data, start, delimiter, final, count_matches) for delimiter in delimiters]
    headers = [header for header in parsed if header]
    # Of those that match as many columns, the one that splits the line into the most.
    best = max(headers, key=lambda header: (count_matches(header.columns)[0], len(header.columns)), default=None)
    matched, wanted = count_matches(best.columns if best else ())
    if best and matched == wanted:
        return best, True
    later = _LaterLines.of(data, start, delimiters, count_matches, final)
    is_settled = later.is_settled and (len(headers) == len(parsed) or len(data) - start >= SAMPLE_BYTES)
    return later.best if later.matched > matched else best, final or is_settled


@dataclass(frozen=True, slots=True)
class _LaterLines:
    """The best header among the lines after the first, and whether no further line can be a better one."""

    best: Header | None
    matched: int
    is_settled: bool

    @classmethod
    def of(
        cls, data: bytes, start: int, delimiters: Sequence[str], count_matches: CountMatches, final: bool
    ) -> "_LaterLines":
        """Parse each of the lines as a header, up to the first that has all columns."""
        best, most, line_start = None, 0, start
        for _ in range(MAX_SKIPPED_LINES):
            line_start = data.find(b"\n", line_start, start + SAMPLE_BYTES) + 1
            if not line_start:
                return cls(best, most, len(data) - start >= SAMPLE_BYTES)
            for delimiter in delimiters:
                header = _parse_header(data, line_start, delimiter, final, count_matches)
                matched, wanted = count_matches(header.columns if header else ())
                if header and matched > most:
                    best, most = replace(header, preamble=data[start:line_start]), matched
                if matched == wanted:
                    return cls(best, most, is_settled=True)
        return cls(best, most, is_settled=True)


def _skip_blank_lines(data: bytes, start: int = 0) -> int:
    stripped = data[start : start + records.MAX_RECORD_BYTES].lstrip(b"\r\n")
    return start + min(len(data) - start, records.MAX_RECORD_BYTES) - len(stripped)


def _separator_line(data: bytes, start: int) -> tuple[str | None, int]:
    """Return the delimiter named by a first line ``sep=;``, as Excel writes it, and the offset after that line."""
    line_end = data.find(b"\n", start, start + 16)
    line = data[start:line_end].strip(b'\r"').lower() if line_end >= 0 else b""
    if line.startswith(b"sep=") and line[4:].decode("ascii", "replace") in DELIMITERS:
        return line[4:].decode("ascii"), line_end + 1
    return None, start


def _parse_header(data: bytes, start: int, delimiter: str, final: bool, count_matches: CountMatches) -> Header | None:
    def has_all(names: Sequence[str]) -> bool:
        matched, wanted = count_matches(names)
        return matched == wanted

    read = read_header_text(data, start, delimiter, final, has_all)
    if read is None:
        return None
    line = 1 + data.count(b"\n", 0, start)
    line_end = read.line_end or b"\n"
    return Header(read.columns, read.raw, delimiter, line_end, read.end, line, is_broken=read.is_broken)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole records of an upload, byte for byte; ``first_row`` is the number of the first, counted from 1.

    ``open_quotes`` are the indexes of the records with a quote that no quote closes before the record limit or the end
    of the file, which the chunk alone does not show. ``is_totals``: they end the file and hold totals. ``is_typed``:
    they are a packed batch (``jobs.formats.typed``), not bytes of the upload.
    """

    data: bytes
    rows: int
    first_row: int
    open_quotes: tuple[int, ...] = ()
    is_totals: bool = False
    is_typed: bool = False


@dataclass(slots=True)
class Cutter:
    """Cuts the UTF-8 bytes after a header of ``width`` columns into chunks of whole records.

    The first chunks are small and each is up to twice as large as the one before, so that scoring starts early.
    ``feed`` and ``finish`` raise ``UploadRefused``: ``undecodable`` (a NUL) or ``too_wide``.
    """

    delimiter: str
    width: int
    chunk_bytes: int
    rows: int = 0
    _target: int = field(init=False)
    _blocks: list[bytes] = field(init=False, default_factory=list)
    _size: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._target = min(_FIRST_CHUNK_BYTES, self.chunk_bytes)

    def feed(self, block: bytes) -> Iterator[Chunk]:
        """Take the next bytes; yield the chunks that they complete."""
        self._blocks.append(block)
        self._size += len(block)
        if self._size >= self._target:
            yield from self._cut(final=False)

    def finish(self) -> Iterator[Chunk]:
        """Yield the remaining bytes as the last chunks."""
        yield from self._cut(final=True)

    def take(self, batch: bytes, rows: int) -> Iterator[Chunk]:
        """Yield what is left, which must be whole records, then a packed batch of so many rows as a chunk."""
        yield from self.finish()
        yield Chunk(batch, rows, self.rows + 1, is_typed=True)
        self.rows += rows

    def _cut(self, final: bool) -> Iterator[Chunk]:
        data = b"".join(self._blocks)
        index = index_records(data, ord(self.delimiter), final, self.width)
        self._check(index)
        # The incomplete record at the end is kept for the next cut. The target is at least twice its size, so that a
        # long record is not indexed again with every block.
        rest = data[index.consumed :]
        self._blocks, self._size = [rest], len(rest)
        target = min(2 * self._target, self.chunk_bytes) if len(index) else self._target
        # Records are tiny: index fewer bytes next time.
        if len(index) > _MAX_INDEXED_ROWS:
            target = index.consumed * _MAX_INDEXED_ROWS // len(index)
        self._target = max(target, 2 * len(rest))
        firsts = range(0, len(index), MAX_CHUNK_ROWS)
        bounds = [0, *index.starts[MAX_CHUNK_ROWS::MAX_CHUNK_ROWS].tolist(), index.consumed]
        open_quotes = index.owners(index.unclosed_at)
        for first, (start, end) in zip(firsts, pairwise(bounds), strict=False):
            own = open_quotes[slice(*np.searchsorted(open_quotes, [first, first + MAX_CHUNK_ROWS]))] - first
            rows = min(MAX_CHUNK_ROWS, len(index) - first)
            chunk = Chunk(data[start:end], rows, self.rows + 1, tuple(own.tolist()))
            self.rows += rows
            yield chunk

    def _check(self, index: RecordIndex) -> None:
        data = index.data
        if (nul := data.find(b"\0")) >= 0:
            row = self.rows + int(np.searchsorted(index.ends, nul, side="right")) + 1
            raise UploadRefused("undecodable", f"row {row} contains a NUL byte, which CSV cannot contain", row=row)
        lengths = index.ends - index.starts
        # Only a record that is as long can hold a field that is too long.
        for number in np.flatnonzero(lengths > MAX_FIELD_BYTES):
            self._check_long(index.record(int(number)), self.rows + int(number) + 1)
        if len(data) - index.consumed > records.MAX_RECORD_BYTES:
            line = data[index.consumed :].partition(b"\n")[0].removesuffix(b"\r")
            self._check_long(line, self.rows + len(index) + 1)

    def _check_long(self, record: bytes, row: int) -> None:
        if len(record) > records.MAX_RECORD_BYTES:
            raise UploadRefused("too_wide", f"row {row} is longer than {records.MAX_RECORD_BYTES} bytes", row=row)
        if read_record(record, 0, len(record), ord(self.delimiter)).longest > MAX_FIELD_BYTES:
            raise UploadRefused("too_wide", f"row {row} has a field longer than {MAX_FIELD_BYTES} bytes", row=row)
