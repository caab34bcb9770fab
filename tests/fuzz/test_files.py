"""Files of every dialect with every fault at every place become what the contract says, record by record."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from model.census.income_features import FEATURES
from model.scorer import Scorer
from tests.fuzz.compare import check_file
from tests.fuzz.contract import Limits, Opened, Refused, open_file, rows
from tests.fuzz.files import File, csv_files
from tests.properties import examples

BLOCKS = st.lists(st.integers(1, 80) | st.just(1 << 16), min_size=1, max_size=4).map(tuple)
CHUNKS = st.sampled_from([1, 30, 90, 200, 1 << 22])


@examples(100)
@given(file=csv_files(FEATURES), blocks=BLOCKS, chunk=CHUNKS)
def test_every_record_becomes_what_the_contract_says(
    scorer: Scorer, file: File, blocks: tuple[int, ...], chunk: int
) -> None:
    wanted = open_file(file.data, FEATURES)
    assert isinstance(wanted, Opened)
    for row, record in zip(rows(wanted, FEATURES), file.records, strict=True):
        if not (row.repaired and record.whole in ("malformed", "ragged")):
            assert (row.broken, [(f.code, f.column) for f in row.faults]) == (record.whole or "", list(record.faults))
    check_file(file.data, scorer, blocks, chunk)


GOOD = {
    "age": "39",
    "workclass": "State-gov",
    "education": "Bachelors",
    "marital_status": "Never-married",
    "race": "White",
    "sex": "Male",
    "hours_per_week": "40",
}
HEADER, RECORD = ",".join(GOOD) + ",note", ",".join(GOOD.values())
SOUND = st.sampled_from(["x", '"a\nb"', '"q ""w"""', '6" nail', '"x"y', "", "é"]).map(f"{RECORD},{{}}\n".format)
# No quote in them closes one that was opened before.
PLAIN = st.sampled_from(["x", "", "é", "a b"]).map(f"{RECORD},{{}}\n".format)
# What has the file refused, at whatever place.
FATAL = st.sampled_from([f"{RECORD},\0\n", f'{RECORD},"a\0b"\n', "\0\n", f'\0{RECORD},"open\n'])
ENDLESS = st.sampled_from([f"{RECORD},{'x' * 90}\n", f'{RECORD},"{"x" * 90}"\n', f"{RECORD}{',x' * 99}\n", "x" * 300])
UNCLOSED = st.sampled_from([f'{RECORD},"{"x" * 180}"\n', f'{RECORD},"{"x" * 180}\n', f'{RECORD},"{"x," * 90}"\n'])


@examples(50)
@given(
    before=st.lists(SOUND, max_size=4),
    fatal=FATAL,
    after=st.lists(PLAIN, max_size=4),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    blocks=BLOCKS,
    chunk=CHUNKS,
)
def test_a_file_that_cannot_be_read_is_refused_with_the_row(
    scorer: Scorer, before: list[str], fatal: str, after: list[str], encoding: str, blocks: tuple[int, ...], chunk: int
) -> None:
    data = "".join([HEADER + "\n", *before, fatal, *after]).encode(encoding)
    wanted = open_file(data, FEATURES)
    assert isinstance(wanted, Refused)
    assert {row for _, row in wanted.reasons} >= {len(before) + 1}
    check_file(data, scorer, blocks, chunk)


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> Limits:
    limits = Limits(field=80, record=200, columns=20)
    monkeypatch.setattr("jobs.csv.reader.MAX_FIELD_BYTES", limits.field)
    monkeypatch.setattr("jobs.csv.records.MAX_RECORD_BYTES", limits.record)
    monkeypatch.setattr("jobs.csv.reader.MAX_COLUMNS", limits.columns)
    return limits


@examples(80)
@given(
    before=st.lists(SOUND, max_size=4),
    wide=ENDLESS | UNCLOSED,
    after=st.lists(SOUND | FATAL | ENDLESS | UNCLOSED, max_size=4),
    blocks=BLOCKS,
    chunk=CHUNKS,
)
def test_what_is_too_long_is_refused_with_its_row(
    scorer: Scorer, narrow: Limits, before: list[str], wide: str, after: list[str], blocks: tuple[int, ...], chunk: int
) -> None:
    data = "".join([HEADER + "\n", *before, wide, *after]).encode()
    wanted = open_file(data, FEATURES, narrow)
    assert isinstance(wanted, Refused)
    check_file(data, scorer, blocks, chunk, narrow)


HEADERS = st.lists(
    st.sampled_from([*GOOD, *GOOD, "Age", "marital.status", "note", "seks", "12", "3.5", "", "sep=;", '"a\nb"', "\0"]),
    max_size=14,
)


@examples(100)
@given(
    names=HEADERS | st.permutations(list(GOOD)) | st.permutations([*GOOD, "Sex"]) | st.just([*GOOD, *["c"] * 20]),
    delimiter=st.sampled_from(",;\t|"),
    lead=st.sampled_from(["", "\n", "\r\n", "sep=;\n", "sep=,\r\n", "sep=x\n", "\ufeff"]),
    body=st.sampled_from(["", "\n", "\n\n\r\n", f"\n{RECORD}", f"\r\n{RECORD}\n", "\n,\n"]),
    blocks=BLOCKS,
)
def test_a_header_is_taken_or_refused(
    scorer: Scorer, narrow: Limits, names: list[str], delimiter: str, lead: str, body: str, blocks: tuple[int, ...]
) -> None:
    data = (lead + delimiter.join(names) + body.replace(",", delimiter)).encode()
    check_file(data, scorer, blocks, 1 << 20, narrow)


NUMBERS = st.sampled_from([
    *("39", "39,0", "39,", "39,5", "39.0", "39.", "1.234", "1.234,0", "1.234.567", "12.345,678", "0.039", "0,039"),
    *(",5", "39,0e0", "3,9E1", "+39,0", "-1,0", "39,0,0", "1.23,4", "1,234", "1,234.5", ".39", "1e1", "", "?", "abc"),
    "３９,0",
])  # fmt: skip


@examples(100)
@given(
    numbers=st.lists(st.tuples(NUMBERS, NUMBERS, st.sampled_from(["", '"', " "])), min_size=1, max_size=5),
    delimiter=st.sampled_from(";\t|,"),
    note=st.sampled_from(["x", "1,5", '6" nail', '"a\nb"', 'x"']),
    blocks=BLOCKS,
    chunk=CHUNKS,
)
@example(numbers=[("39", "1.234.567", "")], delimiter=";", note="x", blocks=(65536,), chunk=1)
def test_the_decimal_mark_of_a_file_is_found_and_never_guessed(
    scorer: Scorer, numbers: list[tuple[str, str, str]], delimiter: str, note: str, blocks: tuple[int, ...], chunk: int
) -> None:
    lines = [HEADER.replace(",", delimiter)]
    for age, hours, quote in numbers:
        texts = [f'"{text}"' if delimiter in text else f"{quote}{text}{quote}" for text in (age, hours)]
        lines.append(delimiter.join([texts[0], *RECORD.split(",")[1:-1], texts[1], note]))
    check_file("\n".join([*lines, ""]).encode(), scorer, blocks, chunk)


LABELS = st.sampled_from(
    ["Total", "SUM:", " Grand total ", "Summe =", "\u03a3", '"Total"', "Totals of", "x", "", '"Total']
)


@examples(100)
@given(
    rows=st.lists(SOUND, max_size=3),
    label=LABELS,
    at=st.integers(0, 7),
    filled=st.sets(st.integers(0, 7), max_size=6),
    width=st.integers(1, 9),
    end=st.sampled_from(["", "\n", "\r\n", "\n\n", f"\n{RECORD},x\n", "\nTotal\n"]),
    blocks=BLOCKS,
    chunk=CHUNKS,
)
def test_totals_below_the_last_row_are_no_record(
    scorer: Scorer, rows: list[str], label: str, at: int, filled: set[int], width: int, end: str,
    blocks: tuple[int, ...], chunk: int,
) -> None:  # fmt: skip
    values = [*RECORD.split(","), "n", "more"]
    fields = [label if place == at else values[place] if place in filled else "" for place in range(width)]
    line = ",".join(fields)
    if line:
        check_file("".join([HEADER + "\n", *rows, line, end]).encode(), scorer, blocks, chunk)
