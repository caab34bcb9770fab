"""The contract's table 'Reading an uploaded CSV', value by value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.census.income_features import AGE, EDUCATION, HOURS_PER_WEEK, WORKCLASS
from model.schema import Fault, Feature, FeatureKind, UnseenPolicy, Warned

WEIGHT = Feature(name="weight", title="Weight", kind=FeatureKind.NUMBER, unit="kg", minimum=0)
POPULATION = Feature(name="population", title="Population", kind=FeatureKind.NUMBER, minimum=0, maximum=40_000_000)
READING = Feature(name="reading", title="Reading", kind=FeatureKind.NUMBER, missing_allowed=True)
ANSWER = Feature(name="answer", title="Answer", kind=FeatureKind.CATEGORY, categories=("None", "NA", "Some"))


@pytest.mark.parametrize(
    ("feature", "text", "meaning"),
    [
        (AGE, "39", 39.0),
        (AGE, " 39 ", 39.0),
        (AGE, "\u00a039\t", 39.0),
        (AGE, "39.0", 39.0),
        (AGE, "3.9e1", 39.0),
        (AGE, "+39.", 39.0),
        (AGE, "039", 39.0),
        (AGE, "17", 17.0),
        (AGE, "90", 90.0),
        (WEIGHT, ".5", 0.5),
        (WEIGHT, "1E3", 1000.0),
        (WEIGHT, "-0", 0.0),
        (READING, "-12.75e-1", -1.275),
        (WORKCLASS, "Private", "Private"),
        (WORKCLASS, "  pRIVATE", "Private"),
        (WORKCLASS, "self-emp-NOT-inc", "Self-emp-not-inc"),
    ],
)
def test_accepted(feature: Feature, text: str, meaning: object) -> None:
    assert feature.parse(text) == meaning


@pytest.mark.parametrize(
    "marker", ["", "  ", "?", " ? ", "NA", "na", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None"]
)
def test_missing_is_used_where_allowed_and_rejected_elsewhere(marker: str) -> None:
    assert WORKCLASS.parse(marker) is None
    assert READING.parse(marker) is None
    for feature in (AGE, EDUCATION):
        fault = feature.parse(marker)
        assert isinstance(fault, Fault)
        assert (fault.code, fault.column, fault.value) == ("missing", feature.name, marker.strip())


def test_a_category_named_like_a_missing_marker_is_that_category() -> None:
    assert ANSWER.parse("none") == "None"
    assert ANSWER.parse("na") == "NA"
    fault = ANSWER.parse("null")
    assert isinstance(fault, Fault)
    assert fault.code == "missing"


@pytest.mark.parametrize(
    "text",
    [
        "abc",
        "1,234",
        "39,5",
        "0x10",
        "\uff13\uff19",
        "\u0663\u0669",
        "inf",
        "-Infinity",
        "1e999",
        "1_000",
        "3 9",
        "--3",
        ".",
        "e5",
        "1e",
        "39y",
        "$39",
        "39%",
        "\u221239",
        "39\x00",
    ],
)
@pytest.mark.parametrize("feature", [AGE, WEIGHT])
def test_not_a_number(feature: Feature, text: str) -> None:
    fault = feature.parse(text)
    assert isinstance(fault, Fault)
    assert fault.code == "not_a_number"
    assert "number" in fault.detail


@pytest.mark.parametrize(
    ("feature", "text", "code", "detail"),
    [
        (AGE, "abc", "not_a_number", "'abc' is not a number"),
        (AGE, "39.5", "not_an_integer", "39.5 is not a whole number"),
        (AGE, "39.0000001", "not_an_integer", "39.0000001 is not a whole number"),
        (AGE, "120", "out_of_range", "120 is outside 17..90"),
        (AGE, "16", "out_of_range", "16 is outside 17..90"),
        (AGE, "-39", "out_of_range", "-39 is outside 17..90"),
        (HOURS_PER_WEEK, "0", "out_of_range", "0 is outside 1..99"),
        (WEIGHT, "-0.001", "out_of_range", "-0.001 is outside 0.."),
        (POPULATION, "-1", "out_of_range", "-1 is outside 0..40000000"),
        (
            WORKCLASS,
            "Privat",
            "unknown_category",
            "'Privat' is not a category of workclass; did you mean 'Private'?",
        ),
        (WORKCLASS, "Zzz", "unknown_category", "'Zzz' is not a category of workclass"),
        (EDUCATION, "", "missing", "education is missing; one of its 16 categories is needed"),
        (AGE, "NA", "missing", "age is missing; a whole number in 17..90 is needed"),
    ],
)
def test_faults_say_what_was_wrong_and_what_would_be_right(feature: Feature, text: str, code: str, detail: str) -> None:
    fault = feature.parse(text)
    assert isinstance(fault, Fault)
    assert (fault.code, fault.detail, fault.column, fault.value) == (code, detail, feature.name, text)


def test_a_human_label_leads_to_its_category() -> None:
    fault = WORKCLASS.parse("Self-employed, incorporated")
    assert isinstance(fault, Fault)
    assert fault.suggestion == "Self-emp-inc"


@pytest.mark.parametrize("feature", [AGE, WORKCLASS])
def test_long_values_are_cut_in_messages(feature: Feature) -> None:
    fault = feature.parse("x" * 1_000_000)
    assert isinstance(fault, Fault)
    assert len(fault.value or "") == 100
    assert len(fault.detail) < 200


@pytest.mark.parametrize(
    ("feature", "value", "meaning"),
    [
        (AGE, 39, 39.0),
        (AGE, 39.0, 39.0),
        (AGE, "39", 39.0),
        (WORKCLASS, "private", "Private"),
        (WORKCLASS, None, None),
        (READING, None, None),
        (AGE, True, "not_a_number"),
        (AGE, 39.5, "not_an_integer"),
        (AGE, 120, "out_of_range"),
        (AGE, float("inf"), "not_a_number"),
        (READING, float("nan"), "not_a_number"),
        (AGE, 10**400, "not_a_number"),
        pytest.param(AGE, -(10**5000), "not_a_number", id="huge number"),
        (AGE, None, "missing"),
        (AGE, [39], "not_a_number"),
        (AGE, {"age": 39}, "not_a_number"),
        (WORKCLASS, False, "unknown_category"),
        (WORKCLASS, 9, "unknown_category"),
        pytest.param(WORKCLASS, 10**5000, "unknown_category", id="huge category"),
        (WORKCLASS, ["Private"], "unknown_category"),
    ],
)
def test_json_values(feature: Feature, value: object, meaning: object) -> None:
    parsed = feature.parse_json(value)
    assert (parsed.code if isinstance(parsed, Fault) else parsed) == meaning


@given(st.text(max_size=200))
def test_any_text_means_something(text: str) -> None:
    age, workclass = AGE.parse(text), WORKCLASS.parse(text)
    assert isinstance(age, Fault) or 17 <= float(str(age)) <= 90
    assert isinstance(workclass, Fault) or workclass is None or workclass in WORKCLASS.categories


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_no_json_value_raises(value: object) -> None:
    AGE.parse_json(value)
    WORKCLASS.parse_json(value)


MONTH = Feature(
    name="month", title="Month", kind=FeatureKind.NUMBER, integer=True, minimum=1, maximum=6, unseen=UnseenPolicy.WARN
)
GAPS = MONTH.model_copy(update={"unseen": UnseenPolicy.MISSING, "missing_allowed": True})
PLACE = Feature(
    name="place", title="Place", kind=FeatureKind.CATEGORY, categories=(" JFK", "LGA"), unseen=UnseenPolicy.WARN
)


@pytest.mark.parametrize(
    ("feature", "text", "code", "value"),
    [
        (MONTH, "12", "out_of_range", 12.0),
        (MONTH, "3.5", "not_an_integer", 3.5),
        (PLACE, "EWR", "unknown_category", "EWR"),
        (PLACE.model_copy(update={"pandas_dtype": "category"}), "EWR", "unknown_category", None),
        (
            MONTH.model_copy(update={"unseen": UnseenPolicy.MISSING, "missing_allowed": True}),
            "12",
            "out_of_range",
            None,
        ),
    ],
)
def test_what_never_occurred_in_training_is_scored_with_a_warning(
    feature: Feature, text: str, code: str, value: object
) -> None:
    found = feature.read(text)
    assert isinstance(found, Warned)
    assert (found.fault.code, found.value) == (code, value)
    assert feature.parse(text) == value


def test_what_is_no_value_of_its_kind_is_rejected_whatever_the_policy() -> None:
    for feature, text in ((MONTH, "June"), (MONTH, ""), (PLACE, "")):
        assert isinstance(feature.read(text), Fault)


def test_a_category_keeps_the_spelling_that_the_pipeline_knows() -> None:
    assert PLACE.parse("JFK") == PLACE.parse(" jfk ") == " JFK"
    cases = PLACE.model_copy(update={"categories": ("Yes", "yes", "no")})
    assert (cases.parse("yes"), cases.parse("Yes"), cases.parse("NO")) == ("yes", "Yes", "no")
    fault = cases.read("YES")
    assert isinstance(fault, Warned)
    assert fault.fault.code == "unknown_category"


def test_categories_that_are_numbers_are_read_as_numbers() -> None:
    classes = Feature(
        name="class", title="Class", kind=FeatureKind.CATEGORY, categories=("1", "2"), pandas_dtype="category[int64]"
    )
    assert classes.parse("1.0") == classes.parse_json(1) == classes.parse_json(1.0) == "1"


def test_an_empty_text_is_a_value_where_missing_ones_were_filled_with_it() -> None:
    filled = Feature(name="text", title="Text", kind=FeatureKind.TEXT, missing_words=("NA",))
    assert filled.parse("") == filled.parse_json(None) == ""
    assert filled.model_copy(update={"missing_allowed": True}).parse("NA") is None
