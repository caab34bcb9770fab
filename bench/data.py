"""The files that are scored: the census as it is, seeded resamples of it, and files with something wrong in every row.

Written once into ``.bench/data``.
"""

import gzip
import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import xlsxwriter

from bench.options import CENSUS_ROWS
from bench.places import DATA, ROOT
from bench.progress import say

SEED = 20_241_104
RECORDS = 1000
FEATURES = ("age", "workclass", "education", "marital_status", "race", "sex", "hours_per_week")
_SOURCE = ROOT / "model" / "census" / "data" / "adult.data.csv.gz"
_BLOCK_ROWS = 250_000

Fields = list[bytes]
# The columns' places: age 0, workclass 1, education 3.
BAD_ROWS: dict[str, Callable[[int, Fields], Fields]] = {
    "a number out of range": lambda _, fields: [b"200", *fields[1:]],
    "an unknown category": lambda _, fields: [*fields[:3], b"Bachelor", *fields[4:]],
    "an unknown category, each another": lambda row, fields: [*fields[:3], b"Bachelor%d" % row, *fields[4:]],
    "a number that is none, each another": lambda row, fields: [b"x%d" % row, *fields[1:]],
    # A file in which no row at all has the header's width is refused.
    "a field too few, but for the first row": lambda row, fields: fields[:-1] if row else fields,
    "text after a closing quote": lambda _, fields: [fields[0], b'"Private"x', *fields[2:]],
    "a lone quote as one more field": lambda _, fields: [*fields, b'"'],
}
# Nothing is wrong with these rows.
ODD_ROWS: dict[str, Callable[[int, Fields], Fields]] = {
    "a quote inside a field": lambda _, fields: [*fields[:2], fields[2] + b'" nail', *fields[3:]],
}
REPAIRED_ROWS: dict[str, Callable[[int, Fields], Fields]] = {
    "a quote too many, repaired": lambda _, fields: [fields[0], b'"' + fields[1], *fields[2:]],
    "a quote too many before the last field, repaired": lambda _, fields: [*fields[:-1], b'"' + fields[-1]],
}
EVERY_FIELD_QUOTED = "every field quoted"
# The same with all fields quoted: to be compared with a file in which they are, and no quote is missing.
QUOTED_BAD_ROWS: dict[str, Callable[[int, Fields], Fields]] = {
    "every field quoted, text after a closing quote": lambda _, fields: [fields[0], fields[1] + b"x", *fields[2:]],
}
QUOTED_REPAIRED_ROWS: dict[str, Callable[[int, Fields], Fields]] = {
    "every field quoted, a closing quote missing, repaired": lambda _, fields: [
        *fields[:3],
        fields[3][:-1],
        *fields[4:],
    ],
    "every field quoted, the last quote missing, repaired": lambda _, fields: [*fields[:-1], fields[-1][:-1]],
    "every field quoted, an opening quote twice, repaired": lambda _, fields: [
        *fields[:3],
        b'"' + fields[3],
        *fields[4:],
    ],
}
# Rows with one fault after the other.
MIXED_ROWS = {
    "stray quotes of all kinds": [*list(BAD_ROWS)[-2:], *ODD_ROWS, *REPAIRED_ROWS],
    "every field quoted, stray quotes of all kinds": [*QUOTED_BAD_ROWS, *QUOTED_REPAIRED_ROWS],
}
_SPOIL = BAD_ROWS | ODD_ROWS | REPAIRED_ROWS | QUOTED_BAD_ROWS | QUOTED_REPAIRED_ROWS


def census_file(rows: int) -> Path:
    """A census file of so many rows: the original for 32,561, else a resample with jitter on its numbers."""
    path = DATA / f"census-{rows}.csv"
    if not path.exists():
        say(f"writing {rows:,} rows")
        with _written(path) as target:
            if rows == CENSUS_ROWS:
                target.write_bytes(gzip.decompress(_SOURCE.read_bytes()))
            else:
                _write_resample(target, rows)
    return path


def table_file(rows: int, kind: str) -> Path:
    """The rows of `census_file` as CSV or in one of the `FORMATS`."""
    clean = census_file(rows)
    if kind == "csv":
        return clean
    path = clean.with_suffix(f".{kind}")
    if not path.exists():
        say(f"writing {rows:,} rows as {kind}")
        with _written(path) as target:
            FORMATS[kind](pa_csv.read_csv(clean), target)
    return path


def _write_workbook(table: pa.Table, path: Path) -> None:
    book = xlsxwriter.Workbook(path, {"constant_memory": True})
    sheet = book.add_worksheet()
    sheet.write_row(0, 0, table.column_names)
    for batch in table.to_batches(max_chunksize=_BLOCK_ROWS):
        for at, row in enumerate(zip(*batch.to_pydict().values(), strict=True), sheet.dim_rowmax + 1):
            sheet.write_row(at, 0, row)
    book.close()


FORMATS: dict[str, Callable[[pa.Table, Path], object]] = {
    "parquet": pq.write_table,
    "jsonl": lambda table, path: path.write_text(
        table.to_pandas().to_json(orient="records", lines=True, force_ascii=False)
    ),
    "xlsx": _write_workbook,
}


def bad_file(rows: int, kind: str) -> Path:
    """The file of `census_file`, with every row changed in the given way, or with every field quoted."""
    clean = census_file(rows)
    path = DATA / f"census-{rows}-{kind.replace(' ', '-').replace(',', '')}.csv"
    if not path.exists():
        say(f"writing {rows:,} rows with {kind}")
        with _written(path) as target, clean.open("rb") as lines, target.open("wb") as out:
            out.write(next(lines))
            out.writelines(_spoilt(lines, kind))
    return path


def counts_of(rows: int, kind: str) -> dict[str, int]:
    """How many of the rows of `bad_file` are rejected, and how many repaired."""
    kinds = MIXED_ROWS.get(kind, [kind])
    shares = {one: len(range(place, rows, len(kinds))) for place, one in enumerate(kinds)}
    rejected = sum(share for one, share in shares.items() if one in BAD_ROWS | QUOTED_BAD_ROWS)
    rejected -= "but for the first row" in kind
    repaired = sum(share for one, share in shares.items() if one in REPAIRED_ROWS | QUOTED_REPAIRED_ROWS)
    return {"rejected": rejected, "repaired": repaired}


def records() -> list[dict[str, Any]]:
    """Records for single predictions, the same each time."""
    frame = _census()[list(FEATURES)].sample(RECORDS, random_state=SEED)
    found: list[dict[str, Any]] = json.loads(frame.to_json(orient="records"))
    return found


def sample_rows(rows: int, count: int) -> list[int]:
    """Some row numbers, from 0, ascending, the first and the last among them; the same each time."""
    chosen = random.Random(SEED).sample(range(rows), min(count, rows))
    return sorted({0, rows - 1, *chosen})


def lines_at(path: Path, wanted: list[int]) -> tuple[list[bytes], int]:
    """The records with the given numbers, from 0, without their line ends, and the number of all records.

    For files whose records are lines.
    """
    found, want, count = [], iter([*wanted, -1]), 0
    with path.open("rb") as lines:
        next(lines)
        following = next(want)
        for count, line in enumerate(lines, 1):
            if count - 1 == following:
                found.append(line.rstrip(b"\r\n"))
                following = next(want)
    return found, count


def _census() -> pd.DataFrame:
    frame = pd.read_csv(_SOURCE, skipinitialspace=True)
    frame.columns = [name.replace("-", "_") for name in frame.columns]
    return frame


def _write_resample(path: Path, rows: int) -> None:
    census, rng = _census(), np.random.default_rng(SEED)
    options = pa_csv.WriteOptions(include_header=False, quoting_style="none")
    with path.open("wb") as out:
        out.write(",".join(name.replace("_", "-") for name in census.columns).encode() + b"\n")
        for start in range(0, rows, _BLOCK_ROWS):
            block = census.iloc[rng.integers(0, len(census), min(_BLOCK_ROWS, rows - start))]
            table = pa.Table.from_pandas(_jittered(block, rng), preserve_index=False)
            pa_csv.write_csv(table, out, options)


def _jittered(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    count = len(frame)
    gain, loss = frame["capital_gain"], frame["capital_loss"]
    return frame.assign(
        age=(frame["age"] + rng.integers(-3, 4, count)).clip(17, 90),
        hours_per_week=(frame["hours_per_week"] + rng.integers(-3, 4, count)).clip(1, 99),
        fnlwgt=(frame["fnlwgt"] * rng.uniform(0.8, 1.25, count)).astype(np.int64),
        capital_gain=gain + np.where(gain > 0, rng.integers(0, 100, count), 0),
        capital_loss=loss + np.where(loss > 0, rng.integers(0, 100, count), 0),
    )


def _spoilt(lines: Iterator[bytes], kind: str) -> Iterator[bytes]:
    spoilers = [_SPOIL[one] for one in MIXED_ROWS.get(kind, [kind]) if one in _SPOIL]
    is_quoted = kind.startswith(EVERY_FIELD_QUOTED)
    for row, line in enumerate(lines):
        fields = line[:-1].split(b",")
        fields = [b'"' + field + b'"' for field in fields] if is_quoted else fields
        yield b",".join(spoilers[row % len(spoilers)](row, fields) if spoilers else fields) + b"\n"


@contextmanager
def _written(path: Path) -> Iterator[Path]:
    """A path to write to, which becomes the file when all has been written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    yield partial
    partial.rename(path)
