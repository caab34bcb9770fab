"""A quote too many or too few, of every kind at every place: no other record is lost, renumbered or changed."""

import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from model.census.income_features import FEATURES
from model.scorer import Scorer
from tests.fuzz.compare import check_file
from tests.fuzz.contract import Opened, open_file, rows
from tests.fuzz.pipeline import run
from tests.properties import examples

HEADER = [*(feature.name for feature in FEATURES), "note"]
VALUES = ["39", "State-gov", "Bachelors", "Never-married", "White", "Male", "40"]
NOTES = ["x", "a, b", 'say "hi"', "two\nlines", "two\r\nlines, one", "", '6" nail', "$78.07", "é"]
KINDS = [
    "no opening",
    "no closing",
    "another opening",
    "another closing",
    "one inside",
    "a lone one at the end",
    "a lone field at the end",
    "one at the start",
]
# A field more in the header is one that all rows lack.
HEADER_KINDS = [kind for kind in KINDS if kind != "a lone field at the end"]


def written(fields: list[str], quoted: bool) -> list[str]:
    special = [quoted or any(mark in field for mark in ',\n"') for field in fields]
    return ['"' + field.replace('"', '""') + '"' if one else field for field, one in zip(fields, special, strict=True)]


def spoilt(fields: list[str], at: int, kind: str) -> str:
    """A record with a quote too many or too few in, or after, one of its fields."""
    field = fields[at]
    if kind == "no opening":
        fields[at] = field.removeprefix('"')
    elif kind == "no closing":
        fields[at] = field.removesuffix('"')
    elif kind in ("another opening", "one at the start"):
        fields[at] = '"' + field
    elif kind == "another closing":
        fields[at] = field + '"'
    elif kind == "one inside":
        fields[at] = field[: len(field) // 2] + '"' + field[len(field) // 2 :]
    elif kind == "a lone one at the end":
        fields[-1] += '"'
    else:
        fields.append('"')
    return ",".join(fields)


@st.composite
def files(draw: st.DrawFn) -> tuple[list[str], int, bytes]:
    """The notes of sound records, the place of one with a stray quote (0: the header), and the file."""
    quoted = draw(st.booleans())
    notes = draw(st.lists(st.sampled_from(NOTES), min_size=1, max_size=8))
    records = [written([*VALUES, note], quoted) for note in notes]
    lines = [",".join(record) for record in [written(HEADER, quoted), *records]]
    place = draw(st.integers(0, len(notes)))
    fields = written(HEADER, quoted) if not place else records[place - 1].copy()
    at = draw(st.integers(0, len(fields) - 1))
    lines[place] = spoilt(fields, at, draw(st.sampled_from(KINDS if place else HEADER_KINDS)))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    return notes, place, (end.join(lines) + draw(st.sampled_from(["", end]))).encode()


SIZES = st.sampled_from([1, 7, 30, 90, 200, 1 << 22])


@examples(50, long=150)
@given(file=files(), block=st.integers(1, 80) | st.just(1 << 16), chunk=SIZES)
@example(
    file=(["x", "y"], 1, f'{",".join(HEADER)}\n{",".join(VALUES)},x"\n{",".join(VALUES)},y\n'.encode()),
    block=80,
    chunk=1,
)
@example(file=([""], 1, f'{",".join(HEADER)}\n{",".join(VALUES)},"'.encode()), block=80, chunk=1)
def test_a_stray_quote_changes_no_other_record(
    scorer: Scorer, file: tuple[list[str], int, bytes], block: int, chunk: int
) -> None:
    notes, place, data = file
    check_file(data, scorer, (block,), chunk)
    wanted = open_file(data, FEATURES)
    if not isinstance(wanted, Opened):
        assert place == 0, "only a header may have the file refused"
        return
    outcome = run(data, scorer, (block,), chunk)
    results = list(csv.reader(io.StringIO(outcome.output.decode(), newline="")))
    assert len(results) == sum(chunk.scored + chunk.rejected for chunk in outcome.chunks) == len(wanted.records)
    lines = notes[place - 1].count("\n") + 1 if place else 1
    # A record of several lines may become as many, of which the first has the stray quote; no line is lost.
    added = len(results) - len(notes)
    assert 0 <= added < lines
    others = results[: place - 1] + results[place + added :] if place else results
    expected = notes[: place - 1] + notes[place:] if place else notes
    shown = [(row[: len(VALUES)], row[len(VALUES)].replace("\r\n", "\n"), row[-1]) for row in others]
    assert shown == [(VALUES, note.replace("\r\n", "\n"), "") for note in expected]


@pytest.mark.parametrize(
    ("spoilt_record", "read_as"),
    [
        ('39,"State-gov,Bachelors,Never-married,White,Male,40,x', "x"),
        ('39,State-gov,Bachelors,Never-married,White,Male,40,"x', "x"),
        ('"39","State-gov,"Bachelors","Never-married","White","Male","40","x"', "x"),
        ('"39",State-gov","Bachelors","Never-married","White","Male","40","x"', None),
        ('39,State-gov,Bachelors,Never-married,White,Male,40,"6" nail"', None),
        ('39,State-gov,Bachelors,Never-married,White,Male,40,"x""', None),
        ('39,State-gov,Bachelors,Never-married,White,Male,40,$7"Table, 4""",5', None),
        ('39,State-gov,Bachelors,Never-married,White,Male,"40"",x', "x"),
        # Its quotes are sound, and there is no other: it lacks a delimiter, not a quote.
        ('39,State-gov,Bachelors,Never-married,White,Male,"40,x"', None),
        ('"39","State-gov","Bachelors","Never-married","White","Male","40,x"', None),
    ],
)
def test_a_record_is_repaired_where_there_is_one_way_to(
    scorer: Scorer, spoilt_record: str, read_as: str | None
) -> None:
    data = f"{','.join(HEADER)}\n{spoilt_record}\n".encode()
    outcome = run(data, scorer)
    [row] = csv.reader(io.StringIO(outcome.output.decode(), newline=""))
    assert (row[len(VALUES)] if not row[-1] else None) == read_as
    assert sum(chunk.repaired for chunk in outcome.chunks) == (read_as is not None)
    opened = open_file(data, FEATURES)
    assert isinstance(opened, Opened)
    assert [one.repaired for one in rows(opened, FEATURES)] == [read_as is not None]


def test_all_rows_of_a_large_file_are_repaired(scorer: Scorer) -> None:
    quoted = written([*VALUES, "x"], quoted=True)
    for at in range(len(quoted)):
        fields = [field[:-1] if place == at else field for place, field in enumerate(quoted)]
        data = "\n".join([",".join(HEADER), *[",".join(fields)] * 20_000]).encode()
        outcome = run(data, scorer)
        assert (
            sum(chunk.repaired for chunk in outcome.chunks) == sum(chunk.scored for chunk in outcome.chunks) == 20_000
        )


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("kind", HEADER_KINDS)
@pytest.mark.parametrize("at", range(len(HEADER)))
def test_a_stray_quote_in_the_header_costs_no_row(scorer: Scorer, at: int, kind: str, end: str) -> None:
    header = spoilt(written(HEADER, quoted=False), at, kind)
    data = end.join([header, *[",".join([*VALUES, "x"])] * 3, ""]).encode()
    outcome = run(data, scorer)
    assert [chunk.scored for chunk in outcome.chunks] == [3]
