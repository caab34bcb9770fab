"""The way of a file through the product's own pure parts, as web and worker go it, cut wherever a test likes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle

from jobs.csv.decoding import Utf8Decoder
from jobs.csv.detection import FileStart
from jobs.csv.dialect import Dialect, Translator
from jobs.csv.reader import Chunk, Cutter, Header, read_header
from jobs.csv.records import index_records
from jobs.csv.totals import TotalsFinder
from jobs.errors import UploadRefused
from jobs.messages import InputChunk
from jobs.store.chunks import ScoredChunk
from model.card import Card
from model.scorer import Scorer
from web.uploads.file_start import StatedDialect, with_decimal_mark
from web.uploads.options import ScoringOptions
from worker.scoring.parse import Layout
from worker.scoring.score_chunk import score_chunk


@dataclass
class Outcome:
    """What became of a file: its scored chunks, or why it was refused."""

    encoding: str = ""
    header: Header | None = None
    chunks: list[ScoredChunk] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    refused: tuple[str, int | None] | None = None
    dialect: Dialect = field(default_factory=Dialect)

    @property
    def output(self) -> bytes:
        return self.dialect.restore(b"".join(chunk.output for chunk in self.chunks))

    @property
    def rejects(self) -> bytes:
        return self.dialect.restore(b"".join(chunk.rejects for chunk in self.chunks))


def run(
    data: bytes,
    scorer: Scorer,
    blocks: Sequence[int] = (1 << 16,),
    chunk_bytes: int = 1 << 22,
    dialect: Dialect | None = None,
) -> Outcome:
    """Send a file through, in blocks of the given sizes, over and over, and chunks of about as many bytes.

    What is found out about a file is its delimiter and decimal mark; the rest of its ``dialect`` is given, if any.
    """
    outcome, layout = Outcome(dialect=dialect or Dialect()), None
    try:
        for chunk in cut(data, scorer.card, blocks, chunk_bytes, outcome):
            assert outcome.header is not None
            layout = layout or _layout(data, outcome.header, scorer.card, outcome.dialect)
            outcome.rows.append(chunk.rows)
            sent = InputChunk(chunk.first_row, chunk.rows, chunk.data, chunk.open_quotes, chunk.is_totals)
            scored = score_chunk(InputChunk.decode(sent.encode()), layout, [scorer], None)
            assert scored.scored + scored.rejected == chunk.rows
            outcome.chunks.append(scored)
        if not outcome.rows:
            outcome.refused = ("no_rows", None)
    except UploadRefused as refused:
        outcome.refused = (refused.code, refused.errors[0].row)
    return outcome


def cut_all(data: bytes, card: Card, blocks: Sequence[int], chunk_bytes: int, outcome: Outcome) -> list[Chunk]:
    """A file's chunks, not scored; none if it is refused, and the outcome says why."""
    try:
        chunks = list(cut(data, card, blocks, chunk_bytes, outcome))
    except UploadRefused as refused:
        outcome.refused = (refused.code, refused.errors[0].row)
        return []
    outcome.refused = None if chunks else ("no_rows", None)
    return chunks


def cut(data: bytes, card: Card, blocks: Sequence[int], chunk_bytes: int, outcome: Outcome) -> Iterator[Chunk]:
    """A file's chunks, as the web cuts them; what is found out meanwhile goes into the outcome."""
    text, translator = Utf8Decoder(), Translator(outcome.dialect)
    head, cutter, totals = b"", None, TotalsFinder(Dialect(), ())
    for block, final in _pieces(data, blocks):
        new = translator.feed(text.finish() if final else text.feed(block)) + (translator.finish() if final else b"")
        if cutter is None:
            head += new
            header = _header(head, card, final, outcome.dialect)
            outcome.encoding = text.encoding
            if header is None:
                continue
            columns = _options(card).match_header(header).columns.values()
            totals = TotalsFinder(_written(header, outcome.dialect), columns)
            outcome.header, cutter, new = (
                header,
                Cutter(header.delimiter, len(header.columns), chunk_bytes),
                head[header.size :],
            )
        if new:
            yield from totals.feed(cutter.feed(new))
        outcome.encoding = text.encoding
        if final:
            yield from totals.feed(cutter.finish())
            yield from totals.finish()


def _layout(data: bytes, header: Header, card: Card, dialect: Dialect) -> Layout:
    """The layout of a file that is read to its end before its decimal mark is decided, as small files are."""
    text, translator, options = Utf8Decoder(), Translator(dialect), _options(card)
    rows = (translator.feed(text.feed(data) + text.finish()) + translator.finish())[header.size :]
    width = len(header.columns)
    start = FileStart(
        _written(header, dialect), header, index_records(rows, ord(header.delimiter), final=True, width=width)
    )
    match = options.match_header(header)
    dialect = with_decimal_mark(start, match, options.cards, StatedDialect(), has_byte_order_mark=False).dialect
    return Layout(header.delimiter, width, match.columns, dialect=dialect)


def _written(header: Header, dialect: Dialect) -> Dialect:
    """The dialect with the header's delimiter, unless the core reads another character in its place."""
    return dialect if not dialect.delimiter.isascii() else dialect.with_(delimiter=header.delimiter)


def _options(card: Card) -> ScoringOptions:
    return ScoringOptions((card,), threshold=None, explain=None)


def _header(head: bytes, card: Card, final: bool, dialect: Dialect) -> Header | None:
    schema = card.record_schema
    # No candidate for a delimiter: the one that the core reads in its place is told.
    delimiter = None if dialect.delimiter.isascii() else dialect.core_delimiter
    return read_header(head, lambda names: (schema.count_columns(names), len(schema.features)), final, delimiter)


def _pieces(data: bytes, blocks: Sequence[int]) -> Iterator[tuple[bytes, bool]]:
    at = 0
    for size in cycle(blocks):
        if at >= len(data):
            break
        yield data[at : at + size], False
        at += size
    yield b"", True
