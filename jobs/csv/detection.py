"""Finding out how a file is written, from its first bytes and from the columns that the models need. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import numpy as np

from jobs.csv.dialect import RUNS_OF_SPACES, Dialect, Translator
from jobs.csv.reader import DELIMITERS, SAMPLE_BYTES, CountMatches, Header, read_header
from jobs.csv.records import RecordIndex, index_records, unquote
from jobs.errors import UploadRefused

# A file with fewer rows is scored even if none of them has the header's width: each is rejected for its own reason.
_MIN_UNFIT_ROWS = 20
_MIN_QUOTED = _MIN_ESCAPED = 2
_ANY_DELIMITER = rb"[,;\t|^~ ]"
_DELIMITER_NAMES = {
    ",": "a comma",
    ";": "a semicolon",
    "\t": "a tab",
    "|": "a vertical bar",
    RUNS_OF_SPACES: "spaces",
}


@dataclass(frozen=True, slots=True)
class FileStart:
    """What the first bytes of a file tell: its dialect, its header, and the records up to there.

    ``dropped_names`` is the number of empty names at the end of the header that were dropped. ``dropped_results`` is
    that of columns after the header's which earlier results added, and which are to be dropped from each record.
    """

    dialect: Dialect
    header: Header
    index: RecordIndex
    dropped_names: int = 0
    dropped_results: int = 0

    @property
    def where(self) -> str:
        """Which line was taken as the header, for messages."""
        name = delimiter_name(self.dialect.delimiter)
        return f"line {self.header.line} was taken as the header, with {name} as delimiter"

    def rows(self) -> Iterator[list[str]]:
        """Yield the values of the records that are as wide as the header."""
        for number in np.flatnonzero(_fits(self.index, len(self.header.columns))).tolist():
            texts = (unquote(text).decode("utf-8", "replace") for text in self.index.fields(number))
            yield [self.dialect.value_of(text) for text in texts]


def delimiter_name(delimiter: str) -> str:
    """Return what people call a delimiter."""
    return _DELIMITER_NAMES.get(delimiter, repr(delimiter))


def detect(sample: bytes, count_matches: CountMatches, final: bool, delimiter: str | None = None) -> FileStart | None:
    """Return how a file is written that begins with these bytes (UTF-8); None if more are needed.

    Of all ways to read it, the one is chosen under which the header has most of the models' columns and then most
    records have its width; the ordinary one if in doubt.

    Raises:
        UploadRefused: as ``read_header``, and ``no_row_fits``.
    """
    if not final and len(sample) < SAMPLE_BYTES:
        return None
    # As on classic Mac OS. A carriage return among the last two bytes may belong to a CRLF.
    only_returns = b"\n" not in sample.removesuffix(b"\n") and b"\r" in sample[:-2]
    plain = Dialect(delimiter=delimiter or ",", line_end="\r" if only_returns else "\n")
    best = _Reading.of(sample, plain, count_matches, final, delimiter)
    # Each variant builds on the best reading so far, since a file may differ from the ordinary in several ways at once.
    for changes, min_gain in _variants(sample, delimiter):
        dialect = best.dialect.with_(**changes)
        reading = _Reading.of(sample, dialect, count_matches, final, changes.get("delimiter") or delimiter)
        if reading.gains(best) >= min_gain:
            best = reading
    if best.refused:
        raise best.refused
    return best.start and _without_empty_names(best.start)


def _variants(sample: bytes, delimiter: str | None) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield other ways in which the file may be written, and how many more records each must read to be likely."""
    marks = re.escape(delimiter.encode()) if delimiter else _ANY_DELIMITER
    begins, ends = rb"(?:\A|(?<=" + marks + rb")|(?<=[ \r\n]))", rb"(?= *(?:" + marks + rb"|[\r\n]|\Z))"
    if len(re.findall(begins + rb"'[^'\r\n]*'" + ends, sample)) >= _MIN_QUOTED:
        # Where double quotes begin fields as well, apostrophes have to read more records, and not just as many.
        yield {"quote": "'"}, int(re.search(begins + b'"', sample) is not None)
    if b'\\"' in sample or b"\\'" in sample:
        # A single record may be just a broken one.
        yield {"escape": "\\"}, _MIN_ESCAPED
    for mark in (delimiter,) if delimiter else DELIMITERS:
        if mark != RUNS_OF_SPACES and _spaced_quote(mark).search(sample):
            yield {"is_spaced": True, "delimiter": mark}, 0
    if not delimiter and b" " in sample:
        yield {"is_spaced": False, "delimiter": RUNS_OF_SPACES}, 1


def _spaced_quote(delimiter: str) -> re.Pattern[bytes]:
    mark = re.escape(delimiter.encode())
    return re.compile(mark + rb" +[\"']|[\"'] +" + mark)


@dataclass(frozen=True, slots=True)
class _Reading:
    """A file's first bytes read in one dialect, and how well that works: columns found, then records that fit."""

    dialect: Dialect
    start: FileStart | None
    matched: int = -1
    fit: int = 0
    refused: UploadRefused | None = None

    def gains(self, other: "_Reading") -> float:
        """Return how many more records fit than in another reading; infinity where more columns are found."""
        if self.matched == other.matched:
            return self.fit - other.fit
        return inf if self.matched > other.matched else -inf

    @classmethod
    def of(
        cls, sample: bytes, dialect: Dialect, count_matches: CountMatches, final: bool, delimiter: str | None
    ) -> "_Reading":
        translator = Translator(dialect)

        def count(names: Sequence[str]) -> tuple[int, int]:
            return count_matches([dialect.value_of(name) for name in names])

        try:
            data = translator.feed(sample) + (translator.finish() if final else b"")
            header = read_header(data, count, final, dialect.core_delimiter if delimiter else None)
        except UploadRefused as refused:
            return cls(dialect, None, refused=refused)
        if header is None:
            return cls(dialect, None)
        index = index_records(data[header.size :], ord(header.delimiter), final, len(header.columns))
        written = dialect.with_(
            delimiter=dialect.delimiter if delimiter else header.delimiter,
            line_end=dialect.line_end if dialect.line_end == "\r" else header.line_end.decode(),
            skipped_lines=header.preamble.count(b"\n"),
        )
        header = replace(header, columns=tuple(map(dialect.value_of, header.columns)))
        fit = int(np.count_nonzero(_fits(index, len(header.columns))))
        return cls(written, FileStart(written, header, index), count_matches(header.columns)[0], fit)


def _fits(index: RecordIndex, width: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return which records have the width, shape (n,)."""
    fits: np.ndarray[tuple[int], np.dtype[np.bool_]] = index.field_counts == width
    fits[index.malformed] = False
    return fits


def _may_fit_repaired(index: RecordIndex, width: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return which of the malformed records have enough delimiters for the width, inside quotes or outside."""
    # Which of the delimiters a broken quote hides is known only when it is repaired, or cannot be.
    bounds = (index.starts[index.malformed], index.ends[index.malformed])
    first, last = (np.searchsorted(index.all_delimiter_offsets, offsets) for offsets in bounds)
    return np.asarray(last - first >= width - 1)


def _without_empty_names(start: FileStart) -> FileStart:
    """Drop empty names at the end of the header, if most records have as many fields fewer.

    Raises:
        UploadRefused: ``no_row_fits``.
    """
    header, width = start.header, len(start.header.columns)
    named = width
    while named > 1 and not header.columns[named - 1].strip():
        named -= 1
    counts = start.index.field_counts
    records = np.bincount(counts[counts <= width], minlength=width + 1)
    # Of the widths that dropping empty names can give, the one that most records have; the largest if in doubt.
    kept = width - int(np.argmax(records[named:][::-1]))
    if kept < width and records[kept]:
        return replace(start, header=header.first_columns(kept), dropped_names=width - kept)
    if len(counts) >= _MIN_UNFIT_ROWS and not records[width] and not _may_fit_repaired(start.index, width).any():
        most = int(np.argmax(np.bincount(counts)))
        detail = f"none of the first {len(counts)} rows has the {width} fields of the header; most have {most}"
        raise UploadRefused("no_row_fits", f"{detail}; {start.where}")
    return start
