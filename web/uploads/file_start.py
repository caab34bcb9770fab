"""How an upload is written: what its parameters say, and otherwise what its first bytes tell."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from jobs.csv.detection import FileStart, detect
from jobs.csv.dialect import Dialect
from jobs.csv.earlier_results import result_columns
from jobs.csv.reader import Header, read_header
from jobs.csv.records import index_records
from jobs.errors import Detail, UploadRefused
from jobs.store.chunks import NewJob
from model.card import Card
from model.joint_schema import joint_schema, match_columns
from model.parsing import NumberFormat
from model.schema import ColumnMatch, FeatureKind
from web.uploads.options import ScoringOptions, count_matches, parse_flag
from web.uploads.parameters import UploadForm

_NOT_DELIMITERS = "\"'\r\n\0\ufeff"
_DECIMAL_MARKS = (".", ",")


@dataclass(frozen=True, slots=True)
class StatedDialect:
    """What the parameters say about how a file is written; None where it is to be found out."""

    delimiter: str | None = None
    decimal: str | None = None
    drop_results: bool = False

    @classmethod
    def of(cls, form: UploadForm) -> "StatedDialect":
        """Return what the form says.

        Raises:
            UploadRefused: ``bad_parameter``.
        """
        delimiter, decimal = form.delimiter, form.decimal
        if delimiter and (len(delimiter) > 1 or delimiter in _NOT_DELIMITERS or "\ud800" <= delimiter <= "\udfff"):
            raise _bad("delimiter", f"{delimiter[:40]!r} is not one character that can separate fields")
        if decimal and decimal not in _DECIMAL_MARKS:
            raise _bad("decimal", f"{decimal[:40]!r} is neither . nor ,")
        return cls(delimiter or None, decimal or None, parse_flag("drop_results", form.drop_results))


def _bad(name: str, detail: str) -> UploadRefused:
    return UploadRefused("bad_parameter", f"{name}: {detail}", [Detail("bad_parameter", detail, name)])


def read_start(
    data: bytes, final: bool, stated: StatedDialect, options: ScoringOptions, has_byte_order_mark: bool
) -> tuple[FileStart, ColumnMatch] | None:
    """Return how a file is written that begins with these bytes, and its columns; None if more bytes are needed.

    Raises:
        UploadRefused: as ``detect`` and ``ScoringOptions.match_header``.
    """
    start = detect(data, count_matches(options.cards), final, stated.delimiter)
    if start is None:
        return None
    match = options.match_header(start.header, start.where)
    start = with_decimal_mark(start, match, options.cards, stated, has_byte_order_mark)
    return without_results(start, match) if stated.drop_results else (start, match)


def preview_start(
    data: bytes, stated: StatedDialect, options: ScoringOptions, has_byte_order_mark: bool
) -> tuple[FileStart, ColumnMatch]:
    """Return the same for the preview of a file, of which columns may be missing.

    Raises:
        UploadRefused: as ``detect``.
    """
    start = detect(data, count_matches(options.cards), final=True, delimiter=stated.delimiter)
    if start is None:
        raise UploadRefused("no_header", "no header row in the first bytes")
    match = match_columns(options.cards, start.header.columns)
    return with_decimal_mark(start, match, options.cards, stated, has_byte_order_mark), match


def read_translated_start(data: bytes, final: bool, dialect: Dialect, options: ScoringOptions) -> FileStart | None:
    """Return the start of a file that was translated before, as the rows of an earlier job were."""
    header = read_header(data, count_matches(options.cards), final, dialect.core_delimiter)
    if header is None:
        return None
    # Stored are the translated names; features are matched by those in the file.
    header = replace(header, columns=tuple(map(dialect.value_of, header.columns)))
    # No rows: everything about the dialect is known, but that blank lines at the beginning are none before the header.
    dialect = dialect.with_(skipped_lines=header.preamble.count(b"\n"))
    return FileStart(dialect, header, index_records(b"", ord(header.delimiter), final=False))


def read_source_start(header: Header, options: ScoringOptions) -> tuple[FileStart, ColumnMatch]:
    """Return the start of a file that is not CSV, as it is converted; columns may be missing."""
    dialect = Dialect(skipped_lines=header.preamble.count(header.line_end))
    start = FileStart(dialect, header, index_records(b"", ord(header.delimiter), final=False))
    return start, match_columns(options.cards, header.columns)


def with_header(new: NewJob, start: FileStart, options: ScoringOptions) -> NewJob:
    """Return the job with the header of its file; raise as ``ScoringOptions.match_header`` does."""
    header, dialect = start.header, start.dialect
    names = [dialect.text_of(name) for name in header.unused_names(options.result_columns)]
    return replace(
        new,
        dialect=dialect,
        delimiter=header.delimiter,
        line_end=header.line_end.decode(),
        header=header.with_columns(names),
        input_header=header.raw,
        columns=options.match_header(header, start.where).columns,
        width=len(header.columns),
    )


def without_results(start: FileStart, match: ColumnMatch) -> tuple[FileStart, ColumnMatch]:
    """Return the start without the columns that earlier results added to the file, and the columns that are left."""
    own = result_columns(start.header.columns, match.columns.values())
    if not own:
        return start, match
    header = start.header.first_columns(len(start.header.columns) - len(own))
    extra = tuple(name for name in match.extra if name in header.columns)
    return replace(start, header=header, dropped_results=len(own)), replace(match, extra=extra)


def with_decimal_mark(
    start: FileStart,
    match: ColumnMatch,
    cards: Sequence[Card],
    stated: StatedDialect,
    has_byte_order_mark: bool,
) -> FileStart:
    """Return the start with the decimal mark in its dialect: as stated, or as the numbers of the first rows show it.

    Where commas separate fields, numbers have a decimal point unless it is stated otherwise.
    """
    numbers = NumberFormat(stated.decimal or ".")
    # Without a mark, all numbers are whole: nothing shows how fractions would be written.
    has_marks = b"," in start.index.data or b"." in start.index.data
    if not stated.decimal and start.dialect.delimiter != "," and has_marks:
        numbers = NumberFormat.detect(_numbers(start, match, cards))
    dialect = start.dialect.with_(
        decimal=numbers.decimal, is_decimal_certain=numbers.is_certain, has_byte_order_mark=has_byte_order_mark
    )
    return replace(start, dialect=dialect)


def _numbers(start: FileStart, match: ColumnMatch, cards: Sequence[Card]) -> Iterator[str]:
    features = joint_schema(cards).features
    names = [feature.name for feature in features if feature.kind is FeatureKind.NUMBER]
    places = [match.columns[name] for name in names if name in match.columns]
    for row in start.rows():
        for at in places:
            yield row[at].strip()
