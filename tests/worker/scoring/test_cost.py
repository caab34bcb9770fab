"""What a chunk costs, without a clock: no Python per row, each text parsed once, memory in proportion."""

import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pytest

from jobs.csv.reader import Cutter
from jobs.messages import InputChunk
from model.schema import Feature
from model.scorer import Scorer
from tests.worker.scoring.test_score_chunk import LAYOUT
from web.jobs.formula_escaping import formula_escaper
from worker.scoring.score_chunk import score_chunk

Kind = Callable[[int], str]
ROWS = 3000
GOOD = "State-gov,Bachelors,Never-married,White,Male"

CHUNKS: dict[str, Kind] = {
    "clean": lambda n: f"{20 + n % 60},{GOOD},{1 + n % 99}",
    "quoted": lambda n: f'"{20 + n % 60}","State-gov","Bachelors","Never-married","White","Male","{1 + n % 99}"',
    "missing": lambda n: f"?,{GOOD},40",
    "words for numbers": lambda n: f"word{n},{GOOD},40",
    "out of range": lambda n: f"{1000 + n},{GOOD},40",
    "not whole": lambda n: f"39.{n:06}1,{GOOD},40",
    "unknown categories": lambda n: f"39,job {n},Bachelors,Never-married,White,Male,40",
    "too few": lambda n: f"39,{n}",
    "too many": lambda n: f"39,{GOOD},40,more {n}",
    "malformed": lambda n: f'"39"{n},{GOOD},40',
    "escaped by a backslash": lambda n: f'"\\"{n}\\"",{GOOD},40',
    "bare returns": lambda n: f"39\r{n},{GOOD},40",
    "quotes as they are": lambda n: f'39,6" {n},Bachelors,Never-married,White,Male,40',
    "formulas": lambda n: f"=A{n},{GOOD},40",
}
# The texts of these are parsed twice: as those of candidates, some of which are not taken, and of repaired records.
REPAIRED: dict[str, Kind] = {
    "a quote missing": lambda n: (
        f'"{20 + n % 60}","State-gov,"Bachelors","Never-married","White","Male","{1 + n % 99}"'
    ),
}


def chunk_of(kind: str, rows: int) -> bytes:
    return "".join((CHUNKS | REPAIRED)[kind](row) + "\n" for row in range(rows)).encode()


def score(data: bytes, scorer: Scorer) -> int:
    """Cuts, scores and makes harmless; answers how many bytes there were, read and written."""
    [chunk] = [*(cutter := Cutter(",", LAYOUT.width, 1 << 30)).feed(data), *cutter.finish()]
    scored = score_chunk(InputChunk(1, chunk.rows, chunk.data), LAYOUT, [scorer], None)
    return len(data) + len(scored.rejects) + len(formula_escaper(",")(scored.output))


@contextmanager
def counted_calls() -> Iterator[Counter[str]]:
    """Counts calls of functions, Python's and others."""
    calls: Counter[str] = Counter()

    def count(frame: Any, event: str, function: Any) -> None:
        calls[event] += 1

    sys.setprofile(count)
    try:
        yield calls
    finally:
        sys.setprofile(None)


@pytest.mark.parametrize("kind", [*CHUNKS, *REPAIRED])
def test_twice_the_rows_are_not_twice_the_calls(scorer: Scorer, kind: str) -> None:
    few, many = chunk_of(kind, ROWS), chunk_of(kind, 2 * ROWS)
    score(few, scorer)
    with counted_calls() as calls:
        score(few, scorer)
    with counted_calls() as more:
        score(many, scorer)
    assert more.total() - calls.total() < ROWS / 5


@pytest.mark.parametrize("kind", [*CHUNKS, *REPAIRED])
def test_a_text_is_parsed_once_however_often_it_stands(
    scorer: Scorer, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: Counter[tuple[str, str]] = Counter()
    parse = Feature.parse

    def counting(feature: Feature, text: str, suggest: bool = True) -> Any:
        parsed[feature.name, text] += 1
        return parse(feature, text, suggest)

    monkeypatch.setattr(Feature, "parse", counting)
    score(chunk_of(kind, ROWS), scorer)
    assert set(parsed.values()) <= {1}
    assert parsed.total() <= 100 + len(LAYOUT.columns)


@pytest.mark.parametrize("kind", [*CHUNKS, *REPAIRED])
def test_a_chunk_takes_a_few_times_the_memory_of_what_is_read_and_written(scorer: Scorer, kind: str) -> None:
    data = chunk_of(kind, 5 * ROWS)
    size = score(data, scorer)
    pool = pa.default_memory_pool()
    counted = pa.proxy_memory_pool(pool)
    pa.set_memory_pool(counted)
    tracemalloc.start()
    try:
        score(data, scorer)
        peak = tracemalloc.get_traced_memory()[1] + counted.max_memory()
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(pool)
    assert peak < 6 * size
