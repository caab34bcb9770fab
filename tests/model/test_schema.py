"""Headers are matched with features, and records are validated as a whole."""

import pytest

from model.census.income_features import FEATURES
from model.schema import Feature, FeatureKind, MissingColumn, Schema, normalise_name

SCHEMA = Schema(features=FEATURES)
NAMES = [feature.name for feature in FEATURES]
RECORD: dict[str, object] = {feature.name: feature.default for feature in FEATURES}


@pytest.mark.parametrize(
    "header",
    ["marital.status", "marital-status", "Marital Status", "marital_status", " MARITAL  STATUS ", "marital - status"],
)
def test_spellings_of_one_column(header: str) -> None:
    assert normalise_name(header) == "marital_status"
    match = SCHEMA.match_columns(["id", header])
    assert match.columns == {"marital_status": 1}
    assert match.extra == ("id",)


def test_the_census_header_matches_with_its_extra_columns() -> None:
    header = [
        "age",
        "workclass",
        "fnlwgt",
        "education",
        "education-num",
        "marital-status",
        "race",
        "sex",
        "hours-per-week",
        "income",
    ]
    match = SCHEMA.match_columns(header)
    assert match.columns == {
        "age": 0,
        "workclass": 1,
        "education": 3,
        "marital_status": 5,
        "race": 6,
        "sex": 7,
        "hours_per_week": 8,
    }
    assert match.extra == ("fnlwgt", "education-num", "income")
    assert not match.missing
    assert not match.duplicates


@pytest.mark.parametrize(
    ("feature", "header"), [("education", "Educaton"), ("hours_per_week", "Hours"), ("workclass", "Work-Clas")]
)
def test_a_close_header_is_proposed_as_it_was_spelt(feature: str, header: str) -> None:
    others = [name for name in NAMES if name != feature]
    match = SCHEMA.match_columns([*others, "zip", header])
    assert match.missing == (MissingColumn(feature, header),)


def test_a_missing_column_without_a_close_header() -> None:
    match = SCHEMA.match_columns(["", "zip", *NAMES[1:]])
    assert match.missing == (MissingColumn("age", None),)


def test_a_second_column_of_a_feature_is_a_duplicate() -> None:
    match = SCHEMA.match_columns([*NAMES, "AGE", "Marital Status"])
    assert match.duplicates == ("AGE", "Marital Status")
    assert match.columns["age"] == 0
    assert not match.missing


def test_a_valid_record_comes_back_typed_and_in_schema_order() -> None:
    record = {"extra": 1, **dict(reversed(RECORD.items())), "age": "39", "workclass": "?"}
    del record["hours_per_week"]
    values, faults, _ = SCHEMA.validate_record(record | {"Hours per Week": 40})
    assert not faults
    assert list(values) == NAMES
    assert (values["age"], values["workclass"], values["hours_per_week"]) == (39.0, None, 40.0)


def test_every_fault_of_a_record_is_reported() -> None:
    record = RECORD | {"age": 200, "education": "PhD", "sex": None}
    values, faults, _ = SCHEMA.validate_record(record)
    assert [(fault.column, fault.code) for fault in faults] == [
        ("age", "out_of_range"),
        ("education", "unknown_category"),
        ("sex", "missing"),
    ]
    assert list(values) == ["workclass", "marital_status", "race", "hours_per_week"]


def test_an_absent_feature_is_missing_and_a_close_key_is_proposed() -> None:
    record = {key: value for key, value in RECORD.items() if key != "education"}
    _, [fault], _ = SCHEMA.validate_record(record | {"eduction": "HS-grad"})
    assert (fault.code, fault.column, fault.suggestion, fault.value) == ("missing", "education", "eduction", None)
    assert fault.detail == "education is missing; did you mean 'eduction'?"


def test_a_key_that_could_be_two_features_is_said_to_be() -> None:
    schema = Schema(features=tuple(Feature(name=name, title=name, kind=FeatureKind.NUMBER) for name in ("A b", "a_b")))
    values, [fault], _ = schema.validate_record({"A-B": 1, "a_b": 2})
    assert values == {"a_b": 2.0}
    assert (fault.column, fault.suggestion) == ("A b", None)
    assert fault.detail == "A b is missing; 'A-B' could be 'A b' or 'a_b': write the name exactly"


def test_an_absent_feature_that_may_be_missing_is_no_fault() -> None:
    record = {key: value for key, value in RECORD.items() if key != "workclass"}
    values, faults, _ = SCHEMA.validate_record(record)
    assert not faults
    assert values["workclass"] is None


def test_whole_numbers_stay_whole_in_json() -> None:
    age = SCHEMA.model_dump(mode="json")["features"][0]
    assert [repr(age[member]) for member in ("minimum", "maximum", "default", "example")] == ["17", "90", "38", "39"]
    assert Schema.model_validate_json(SCHEMA.model_dump_json()) == SCHEMA


@pytest.mark.parametrize("header", ["Hours a week", "HOURS-A-WEEK", "hours.a_week"])
def test_titles_are_headers_too(header: str) -> None:
    schema = Schema(features=(number("hours", "Hours a week"), number("age", "Age (years)")))
    assert schema.match_columns(["age (YEARS)", header]).columns == {"age": 0, "hours": 1}
    assert schema.count_columns([header, "other"]) == 1


def test_a_name_wins_over_a_title() -> None:
    schema = Schema(features=(number("hours", "Time worked"), number("pay", "Hours")))
    match = schema.match_columns(["Time worked", "Hours", "pay"])
    assert (match.columns, match.duplicates, match.extra) == ({"hours": 1, "pay": 2}, (), ("Time worked",))


def test_titles_that_several_features_have_do_not_count() -> None:
    schema = Schema(features=(number("a", "Size"), number("b", "size")))
    assert schema.match_columns(["Size", "a", "b"]).columns == {"a": 1, "b": 2}
    assert [column.name for column in schema.match_columns(["Size", "b"]).missing] == ["a"]


def number(name: str, title: str) -> Feature:
    return Feature(name=name, title=title, kind=FeatureKind.NUMBER)
