"""What a run is asked to do."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

SECTIONS = ("bulk", "bad_input", "formats", "single", "mixed", "memory", "scaling", "breakdown")
CENSUS_ROWS = 32_561
MILLION = 1_000_000
SHEET_ROWS = 300_000
# Above this, a run of one contender takes long enough that a few of them say all.
BIG_ROWS = 2 * MILLION
_BIG_REPEATS = 2
_PLAIN_BIG_REPEATS = 1


@dataclass(frozen=True, slots=True)
class Options:
    """Sizes and repetitions. `rows` are ascending; `seconds` is the length of one measurement of single records."""

    only: tuple[str, ...]
    rows: tuple[int, ...]
    repeats: int
    rounds: int
    connections: tuple[int, ...]
    seconds: int

    @property
    def largest(self) -> int:
        """Rows of the largest file."""
        return self.rows[-1]

    @property
    def standard(self) -> int:
        """Rows of the file that most sections use: a million, or the largest asked for below that."""
        return max((rows for rows in self.rows if rows <= MILLION), default=self.rows[0])

    def repeats_of(self, rows: int) -> int:
        """How often a file of so many rows is scored."""
        return min(self.repeats, _BIG_REPEATS) if rows > BIG_ROWS else self.repeats

    def plain_repeats_of(self, rows: int) -> int:
        """The same for the plain script, which needs most of a machine's memory for a big file."""
        return min(self.repeats, _PLAIN_BIG_REPEATS) if rows > BIG_ROWS else self.repeats


@dataclass(frozen=True, slots=True)
class Request:
    """A command line: what to run, or that the report is to be written again from the numbers there are."""

    options: Options
    report_only: bool


def parse(arguments: Sequence[str] | None = None) -> Request:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures Scoreline side by side with others.")
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, by commas (default: %(default)s)")
    parser.add_argument("--rows", help="sizes of the bulk files, by commas (default: 32561,1000000,10000000)")
    parser.add_argument("--repeats", type=int, help="runs of each bulk contender (default: 5)")
    parser.add_argument("--rounds", type=int, help="rounds of single records (default: 3)")
    parser.add_argument("--connections", default="1,8,32,128", help="connections, by commas (default: %(default)s)")
    parser.add_argument("--seconds", type=int, help="length of one measurement of single records (default: 5)")
    parser.add_argument("--quick", action="store_true", help="a small run, to see that everything works")
    parser.add_argument("--report", action="store_true", help="write report and charts again, without measuring")
    given = parser.parse_args(arguments)
    only = tuple(given.only.split(","))
    if unknown := [name for name in only if name not in SECTIONS]:
        parser.error(f"no such section: {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    rows = _numbers(given.rows or ("2000,32561,100000" if given.quick else "32561,1000000,10000000"))
    options = Options(
        only=tuple(name for name in SECTIONS if name in only),
        rows=tuple(sorted(rows)),
        repeats=given.repeats or (2 if given.quick else 5),
        rounds=given.rounds or (1 if given.quick else 3),
        connections=_numbers(given.connections),
        seconds=given.seconds or (1 if given.quick else 5),
    )
    return Request(options, given.report)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part.replace("_", "")) for part in text.split(","))
