"""The main job on real input: the census file in every dress, uploaded, scored, downloaded, every row in its place."""

import csv
import gzip
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from model.census.income import load_records
from model.scorer import Scorer
from tests.stack import Stack

DATA = Path(__file__).parents[2] / "model" / "census" / "data"
ROWS = 32_561


@pytest.fixture(scope="module")
def census() -> str:
    return gzip.decompress((DATA / "adult.data.csv.gz").read_bytes()).decode()


@pytest.fixture(scope="module")
def expected(scorer: Scorer) -> list[str]:
    """The pipeline's own probabilities, in 6 decimals."""
    frame, _ = load_records("adult.data.csv.gz")
    return [f"{value:.6f}" for value in np.asarray(scorer.probabilities(frame))[:, 1]]


def as_it_is(text: str) -> bytes:
    return text.encode()


def with_semicolons(text: str) -> bytes:
    return text.replace(",", ";").encode()


def with_tabs(text: str) -> bytes:
    return text.replace(",", "\t").encode()


def with_crlf(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()


def with_a_byte_order_mark(text: str) -> bytes:
    return b"\xef\xbb\xbf" + text.encode()


def in_utf16(text: str) -> bytes:
    return text.encode("utf-16")


def with_every_field_quoted(text: str) -> bytes:
    quoted = io.StringIO()
    csv.writer(quoted, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(csv.reader(io.StringIO(text)))
    return quoted.getvalue().encode()


def with_quoted_newlines(text: str) -> bytes:
    """A column of notes whose line ends, delimiters and quotes stand at every place where a chunk may end."""
    header, *lines = text.splitlines()
    note = ',"first line\nsecond, ""line""\n\n"'
    return "\n".join([header + ",notes", *(line + note for line in lines)]).encode()


@pytest.mark.parametrize("dress", [
    as_it_is, with_semicolons, with_tabs, with_crlf, with_a_byte_order_mark, in_utf16, with_every_field_quoted,
    with_quoted_newlines,
])  # fmt: skip
def test_every_record_comes_back_scored_and_in_its_place(
    service: Stack, census: str, expected: list[str], dress: Callable[[str], bytes]
) -> None:
    job, results = service.score(dress(census), filename="people.csv")
    assert job["rows"] == {"total": ROWS, "scored": ROWS, "rejected": 0, "warned": 0, "repaired": 0}
    assert job["progress"] == 1
    encoding = "utf-16" if dress is in_utf16 else "utf-8-sig" if dress is with_a_byte_order_mark else "utf-8"
    text = results.decode(encoding)
    given = dress(census).decode("utf-16" if dress is in_utf16 else "utf-8-sig")
    read = [list(csv.reader(io.StringIO(t, newline=""), delimiter=job["delimiter"])) for t in (given, text)]
    assert [row[:-3] for row in read[1]] == read[0]
    assert read[1][0][-3:] == ["prediction", "probability", "error"]
    assert [row[-2] for row in read[1][1:]] == expected
    assert {row[-3] for row in read[1][1:] if float(row[-2]) >= 0.5} == {">50K"}
    assert {row[-1] for row in read[1][1:]} == {""}
    if dress is with_crlf:
        assert text.count("\r\n") == text.count("\n") == ROWS + 1


def test_the_records_keep_their_bytes(service: Stack, census: str) -> None:
    _, results = service.score(census.encode())
    given, scored = census.splitlines(), results.decode().splitlines()
    assert all(after.startswith(before + ",") for before, after in zip(given, scored, strict=True))
