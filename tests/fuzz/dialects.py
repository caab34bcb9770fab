"""The same file in another dialect, and back, character by character: slow and obvious, written from the contract."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from jobs.csv.dialect import Dialect
from model.scorer import Scorer
from tests.fuzz.contract import Opened, open_file, unquoted
from tests.fuzz.pipeline import run
from tests.jobs.csv.reference_reader import Record, read, read_robustly

QUOTES = str.maketrans("'\"", "\"'")
RETURNS = str.maketrans("\r\n", "\n\r")
SECTION = "\u00a7"
FAULT = re.compile(r"(?:^|; )([a-z_]+)(?: in ([a-z_]+))?: ")


@dataclass(frozen=True)
class Spelling:
    """How a file differs from one with double quotes that are doubled, LF and ``;`` as the delimiter."""

    apostrophes: bool = False
    returns: bool = False
    escapes: bool = False
    section_signs: bool = False

    @property
    def dialect(self) -> Dialect:
        """What the product is told of it."""
        return Dialect(
            delimiter=SECTION if self.section_signs else ";",
            line_end="\r" if self.returns else "\n",
            quote="'" if self.apostrophes else '"',
            escape="\\" if self.escapes else "",
        )

    def spelt(self, plain: str, width: int) -> str:
        """A plain file, with LF alone, without backslashes, apostrophes and section signs, in this spelling."""
        text = "".join(self._record(one, width) for one in read_robustly(plain, ";", width)) if self.escapes else plain
        return self._marks(text)

    def _record(self, record: Record, width: int) -> str:
        """A record whose doubled quotes are escaped, if it is sound.

        In a broken one, either of two quotes may be the one too many; of an escaped quote, that is certain not to be.
        """
        fields = record.fields
        if not record.malformed and len(fields) == width:
            fields = [_escaped(field) if field.startswith('"') else field for field in fields]
        return ";".join(fields) + record.line_end

    def values(self, text: str, width: int) -> list[tuple[list[str], list[str]]]:
        """The values of each record of a file in this spelling, with what was added to it: answers and codes of faults.

        The former are those of the plain file. Of the faults, the texts may tell how a value is spelt.
        """
        swapped = self._swapped(text)
        if self.escapes:
            swapped = swapped.replace('\\"', '""').replace("\\\\", "\\")
        rows = [list(map(unquoted, one.fields)) for one in read(swapped, self.dialect.delimiter).records]
        own = [[value.replace(self.dialect.delimiter, ";") for value in row[:width]] for row in rows]
        return [(first, _without_words(row[width:])) for first, row in zip(own, rows, strict=True)]

    def _marks(self, text: str) -> str:
        return self._swapped(text).replace(";", self.dialect.delimiter)

    def _swapped(self, text: str) -> str:
        text = text.translate(QUOTES) if self.apostrophes else text
        return text.translate(RETURNS) if self.returns else text


def _escaped(field: str) -> str:
    return '"' + field[1:-1].replace('""', '\\"') + '"'


def _without_words(added: list[str]) -> list[str]:
    *answers, error = added
    return [*answers, *(" ".join(found) for found in FAULT.findall(error))]


def check_spelling(plain: str, spelling: Spelling, scorer: Scorer, blocks: Sequence[int], chunk_bytes: int) -> None:
    """Send a plain file through as it is and in a spelling, and compare what they mean."""
    opened = open_file(plain.encode(), scorer.card.features)
    if not isinstance(opened, Opened):
        return
    width = len(opened.columns)
    wanted = run(plain.encode(), scorer, blocks, chunk_bytes)
    found = run(spelling.spelt(plain, width).encode(), scorer, blocks, chunk_bytes, spelling.dialect)
    assert found.refused is None, found.refused
    assert spelling.values(found.output.decode(), width) == Spelling().values(wanted.output.decode(), width)
    counts = [[(one.scored, one.rejected, one.repaired) for one in outcome.chunks] for outcome in (found, wanted)]
    sums = [list(map(sum, zip(*rows, strict=True))) for rows in counts]
    assert sums[0] == sums[1], sums
