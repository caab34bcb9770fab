"""Whole columns are parsed as their texts are one by one."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from model.census.income_features import AGE, EDUCATION, WORKCLASS
from model.parsing import NumberFormat
from model.schema import Fault, Feature, FeatureKind, UnseenPolicy, Warned
from model.validate import parse_distinct
from tests.properties import examples

ANY = Feature(name="any", title="Any", kind=FeatureKind.NUMBER, missing_allowed=True)
WARNED = {"unseen": UnseenPolicy.WARN}
COUNT = Feature(name="count", title="Count", kind=FeatureKind.NUMBER, integer=True, minimum=0, maximum=50, **WARNED)
KINDS = Feature(name="kinds", title="Kinds", kind=FeatureKind.CATEGORY, categories=(" Private", "none", "9"), **WARNED)
GAPS = COUNT.model_copy(update={"name": "gaps", "unseen": UnseenPolicy.MISSING, "missing_allowed": True})
SMALL = Feature(name="small", title="Small", kind=FeatureKind.NUMBER, maximum=10)
SENTINEL = ANY.model_copy(update={"name": "sentinel", "missing_words": ("", "99", "-1.0", "?")})
FEATURES = [AGE, ANY, SMALL, EDUCATION, WORKCLASS, COUNT, GAPS, KINDS, SENTINEL]
PIECES = ["39", "0", "1", ".", "-", "+", "e", "E5", ",", " ", "'", '"', "\\", "\n", "é", "ß", "٣", "…", "a", "N/A", "?"]
WORDS = ["Bachelors", "bachelors ", "BACHELOR", "Private", "none", "NaN", "99", "many", "1e999", "1" * 400, "x" * 150]
TEXTS = st.sampled_from(WORDS) | st.lists(st.sampled_from(PIECES), max_size=6).map("".join)
COMMAS = st.sampled_from(["1.234", "1,5", "1.5", "39,0", "39", "1.234,5", "0.123", "12.34", "1.234.567", ",5", "1,"])
FORMATS = [NumberFormat(mark, certain) for mark in ".," for certain in (True, False)]
NUMBERS = st.floats().map(repr) | st.decimals().map(str) | st.integers().map(str)


def one_by_one(
    feature: Feature, texts: list[str], numbers: NumberFormat
) -> tuple[list[Any], dict[int, Fault], dict[int, Fault]]:
    values, faults, warnings = [], {}, {}
    for place, text in enumerate(texts):
        value = feature.read(text, len(faults) < 100, numbers)
        if isinstance(value, Fault):
            faults[place] = value
            value = None
        if isinstance(value, Warned):
            warnings[place] = value.fault
            value = value.value
        values.append(value)
    return values, faults, warnings


@pytest.mark.parametrize(
    "feature", [AGE, ANY, SMALL, EDUCATION, WORKCLASS, COUNT, GAPS, KINDS, SENTINEL], ids=lambda feature: feature.name
)
@examples(60, long=150)
@given(st.lists(TEXTS | NUMBERS | COMMAS, unique=True, max_size=30), st.booleans(), st.sampled_from(FORMATS))
@example([str(number) for number in range(300)], False, FORMATS[0])
@example(["-1.0", "-1", "99", "99.0", ""], False, FORMATS[0])
@example(["1.234", "1.234,56", "39,0", "1,5", "1.5", "0.123", "1.23.4", "1.234.567"], False, FORMATS[1])
@example([f"Bachelor {number}" for number in range(150)] + ["masters", "?", "'", "x" * 101], True, FORMATS[0])
def test_a_column_is_parsed_as_its_texts_are(
    feature: Feature, texts: list[str], filled: bool, numbers: NumberFormat
) -> None:
    if filled:
        texts = list(dict.fromkeys([f"word {number}" for number in range(110)] + texts))
    expected, faults, warnings = one_by_one(feature, texts, numbers)
    parsed = parse_distinct(feature, pa.array(texts, pa.string()), numbers)
    values = [None if value is None or value != value else value for value in parsed.values.tolist()]
    assert values == expected
    assert parsed.at_fault.tolist() == list(faults)
    assert parsed.faults.codes.to_pylist() == [fault.code for fault in faults.values()]
    assert parsed.faults.values.to_pylist() == [fault.value or "" for fault in faults.values()]
    assert parsed.faults.details.to_pylist() == [fault.detail for fault in faults.values()]
    assert parsed.faults.column == feature.name
    assert parsed.unusual.tolist() == list(warnings)
    assert parsed.warnings.codes.to_pylist() == [fault.code for fault in warnings.values()]


def test_numbers_with_many_digits_are_what_python_reads() -> None:
    generator = np.random.default_rng(0)
    digits = ["".join(map(str, generator.integers(0, 10, generator.integers(1, 90)))) for _ in range(4000)]
    texts = list(
        dict.fromkeys([f"{a}.{b}e{n % 199 - 99}" for n, (a, b) in enumerate(zip(digits, digits[::-1], strict=True))])
    )
    assert parse_distinct(ANY, pa.array(texts)).values.tolist() == [float(text) for text in texts]
