"""Are the results right? Every row there, in its place, and the probability that the plain script gives it."""

import csv
import io
from pathlib import Path

from bench import data
from bench.places import RUN
from bench.plain import run_plain

SAMPLE = 2000
# Two roundings of the same number to 6 decimals may differ by one in the last place.
_TOLERANCE = 1.000001e-6


class WrongResults(Exception):
    """Raised when results are not those of the plain script."""


def check_results(source: Path, results: Path, rows: int) -> str:
    """Compare a scored file with the plain script's answers for a sample of its rows; a sentence that says so.

    Raises:
        WrongResults: with the first row that differs.
    """
    wanted = data.sample_rows(rows, SAMPLE)
    mine, count = data.lines_at(results, wanted)
    if count != rows:
        raise WrongResults(f"{count:,} rows of results for {rows:,} rows")
    theirs, _ = data.lines_at(source, wanted)
    for row, before, after in zip(wanted, theirs, mine, strict=True):
        if not after.startswith(before + b","):
            raise WrongResults(f"row {row + 1} is {after!r}, but was {before!r}")
    expected = _plain_probabilities(source, theirs)
    furthest = 0.0
    for row, line, probability in zip(wanted, mine, expected, strict=True):
        found = float(line.rsplit(b",", 2)[1])
        furthest = max(furthest, abs(found - probability))
        if furthest > _TOLERANCE:
            raise WrongResults(f"row {row + 1} has {found}, the plain script says {probability}")
    return f"{rows:,} rows back, {len(wanted):,} of them compared: the furthest off by {furthest:.7f}"


def _plain_probabilities(source: Path, lines: list[bytes]) -> list[float]:
    sample, target = RUN / "sample.csv", RUN / "sample.scored.csv"
    with source.open("rb") as file:
        header = next(file)
    sample.write_bytes(header + b"".join(line + b"\n" for line in lines))
    run_plain(sample, target)
    rows = csv.DictReader(io.StringIO(target.read_text()))
    return [float(row["probability"]) for row in rows]
