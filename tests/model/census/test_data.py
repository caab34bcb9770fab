"""The training data is the complete, unaltered census data set."""

import gzip
import hashlib

import pytest

from model.census import census_model, income
from model.schema import Fault

ORIGINALS = [
    (census_model.TRAINING, b"", 32_561, "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d"),
    (
        census_model.HELD_OUT,
        b"|1x3 Cross validator\n",
        16_281,
        "a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05",
    ),
]


@pytest.mark.parametrize(("file", "first_line", "rows", "sha256"), ORIGINALS)
def test_records_are_those_of_the_original_byte_for_byte(file: str, first_line: bytes, rows: int, sha256: str) -> None:
    header, body = gzip.decompress((census_model.DATA / file).read_bytes()).split(b"\n", 1)
    assert header.startswith(b"age,workclass,fnlwgt,")
    assert body.count(b"\n") == rows
    assert hashlib.sha256(first_line + body + b"\n").hexdigest() == sha256


@pytest.mark.parametrize("file", [census_model.TRAINING, census_model.HELD_OUT])
def test_files_are_small_and_carry_no_name_or_time(file: str) -> None:
    content = (census_model.DATA / file).read_bytes()
    assert len(content) < 500_000
    assert content[3] == 0
    assert content[4:8] == bytes(4)


@pytest.mark.parametrize(("file", "first_line", "rows", "sha256"), ORIGINALS)
def test_loaded_records_are_clean_and_complete(file: str, first_line: bytes, rows: int, sha256: str) -> None:
    frame, labels = income.load_records(file)
    assert frame.shape == (rows, 7)
    assert list(frame.columns) == [feature.name for feature in income.FEATURES]
    assert set(labels) == set(census_model.CLASSES)
    assert frame.drop(columns="workclass").notna().all().all()


def test_the_schema_accepts_every_training_value_and_labels_every_category() -> None:
    frame, _ = income.load_records(census_model.TRAINING)
    assert 0.056 < frame["workclass"].isna().mean() < 0.057
    for feature in income.FEATURES:
        values = frame[feature.name].dropna().unique().tolist()
        assert not [value for value in values if isinstance(feature.parse(str(value)), Fault)]
        assert set(feature.labels) == set(feature.categories) == ({*values} if feature.categories else set())


def test_education_is_in_its_natural_order() -> None:
    raw = gzip.decompress((census_model.DATA / census_model.TRAINING).read_bytes()).decode()
    fields = [line.split(", ") for line in raw.splitlines()[1:]]
    levels = {record[3]: int(record[4]) for record in fields}
    education = next(feature for feature in income.FEATURES if feature.name == "education")
    assert [levels[category] for category in education.categories] == list(range(1, 17))
