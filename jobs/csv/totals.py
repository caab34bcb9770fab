"""Find the totals that spreadsheets put below the last row. Pure."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace

from jobs.csv.dialect import Dialect
from jobs.csv.reader import Chunk
from jobs.csv.records import read_record, unquote

# Casefolded, with what spreadsheets write in several languages.
_WORDS = frozenset({
    "total", "totals", "grand total", "sum", "\u03c3", "\u2211", "summe", "gesamt", "gesamtsumme", "insgesamt", "somme",
    "suma", "totale", "totaal",
})  # fmt: skip
_MAX_LINE_BYTES = 64 * 1024


def is_label(value: str) -> bool:
    """Return whether a field is the label of totals."""
    return value.strip().casefold().rstrip(" :=") in _WORDS


@dataclass
class TotalsFinder:
    """Holds back the last record of a chunk if it looks like totals, until it is known whether the file ends there.

    ``columns`` are the numbers of the features' columns.
    """

    dialect: Dialect
    columns: Collection[int]
    _held: Chunk | None = field(init=False, default=None)

    def feed(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        """Yield the chunks, all but a last record that looks like totals."""
        for chunk in chunks:
            if self._held:
                yield self._held
                self._held = None
            if chunk.is_typed:  # a last row that may be totals is not in it
                yield chunk
                continue
            rest, self._held = self._split(chunk)
            if rest:
                yield rest

    def finish(self) -> Iterator[Chunk]:
        """Yield the totals that end the file, if it has any, as a chunk of their own."""
        if self._held:
            yield replace(self._held, is_totals=True)

    def _split(self, chunk: Chunk) -> tuple[Chunk | None, Chunk | None]:
        """Return the chunk without a last record that looks like totals, and that record; None for an empty part."""
        text = chunk.data.rstrip(b"\r\n")
        start = text.rfind(b"\n", max(0, len(text) - _MAX_LINE_BYTES)) + 1
        if not self._looks_like_totals(text[start:]):
            return chunk, None
        rows = chunk.rows - 1
        totals = Chunk(chunk.data[start:], 1, chunk.first_row + rows)
        return replace(chunk, data=chunk.data[:start], rows=rows) if rows else None, totals

    def _looks_like_totals(self, line: bytes) -> bool:
        # With an odd number of quotes, the line may be the end of a record of several lines.
        if len(line) >= _MAX_LINE_BYTES or line.count(b'"') % 2:
            return False
        read = read_record(line, 0, len(line), ord(self.dialect.core_delimiter))
        texts = [unquote(line[start:end]).decode("utf-8", "replace") for start, end in read.fields]
        values = [self.dialect.value_of(text).strip() for text in texts]
        label = next((at for at, value in enumerate(values) if is_label(value)), None)
        if label is None:
            return False
        others = [at for at in self.columns if at != label]
        empty = [at for at in others if at >= len(values) or not values[at]]
        # Totals leave most columns empty; a row of values in which such a word occurs does not.
        return 2 * len(empty) > len(others)
