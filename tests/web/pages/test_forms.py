"""The form for a single prediction: its fields, what they accept, and the messages beside them."""

from pathlib import Path
from urllib.parse import parse_qs

import pytest

from model.card import Card
from model.catalog import Catalog
from model.schema import Feature, FeatureKind, UnseenPolicy
from web.pages import forms
from web.pages.counterfactuals import variants

GRADE = Feature(
    name="grade", title="Grade", kind=FeatureKind.NUMBER, minimum=1, maximum=6, integer=True, unseen=UnseenPolicy.WARN
)
PLAN = Feature(
    name="plan", title="Plan", kind=FeatureKind.CATEGORY, categories=(" basic", "none", "a b"), unseen=UnseenPolicy.WARN
)
NOTE = Feature(name="note", title="Note", kind=FeatureKind.TEXT)


@pytest.fixture(scope="module")
def card(models: Path) -> Card:
    return Catalog(models, "income").card()


def with_features(card: Card, *features: Feature) -> Card:
    return card.model_copy(update={"features": features})


def number(name: str) -> Feature:
    return Feature(name=name, title=name, kind=FeatureKind.NUMBER)


def test_ids_are_unique_and_valid_whatever_the_features_are_called(card: Card) -> None:
    names = ("A b", "a_b", "a-b", "%", "größe", "file", "threshold", "id", "age", "age-error", "outcome", "", "\n")
    ids = [field.id for field in forms.blank_fields(with_features(card, *map(number, names)), {})]
    every = [f"{own}{part}" for own in ids for part in ("", "-hint", "-error", "-warning", "-list")]
    assert len(set(every)) == len(every)
    assert all(own.isascii() and own[0].isalpha() and not any(map(str.isspace, own)) for own in every)


def test_limits_are_enforced_only_where_they_reject(card: Card) -> None:
    strict = GRADE.model_copy(update={"unseen": UnseenPolicy.REJECT})
    fields = forms.blank_fields(with_features(card, GRADE, strict, PLAN, number("any")), {})
    assert [field.control for field in fields] == ["text", "number", "list", "text"]
    hints = ["In training: 1 to 6", "1 to 6", "In training:  basic, none, a b", None]
    assert [field.limits for field in fields] == hints


@pytest.mark.parametrize(
    ("policy", "allowed", "treatment"),
    [
        (UnseenPolicy.WARN, False, "It is scored anyway."),
        (UnseenPolicy.MISSING, True, "It is treated as missing."),
        (UnseenPolicy.REJECT, False, None),
    ],
)
def test_an_unseen_value_is_treated_according_to_its_policy(
    card: Card, policy: UnseenPolicy, allowed: bool, treatment: str | None
) -> None:
    update = {"unseen": policy, "missing_allowed": allowed}
    own = with_features(card, GRADE.model_copy(update=update), PLAN.model_copy(update=update))
    parsed = forms.parse_form(own, {"grade": "9", "plan": "gold"}, {})
    grade, plan = forms.fields(own, {}, parsed.typed, parsed.faults, parsed.warnings)
    if treatment is None:
        assert grade.error
        assert plan.error
        assert (grade.warning, plan.warning) == (None, None)
    else:
        assert grade.warning == f"“9” is outside the range seen in training. {treatment}"
        assert plan.warning == f"“gold” was not seen in training. {treatment}"
        assert (grade.error, plan.error) == (None, None)
        assert grade.described_by == "field-1-hint field-1-warning"


def test_texts_and_names_keep_their_own_line_ends(card: Card) -> None:
    own = with_features(card, NOTE, number("a\nb"))
    parsed = forms.parse_form(own, {"note": " one\r\ntwo ", "a\r\nb": "1"}, {})
    assert parsed.values == {"note": " one\ntwo ", "a\nb": 1.0}


def test_a_record_that_may_be_too_long_for_a_link_is_posted(card: Card) -> None:
    assert forms.method(card, {}) == "get"
    many = with_features(card, *(number(f"column_{n}") for n in range(751)))
    assert forms.method(many, {}) == forms.method(with_features(card, NOTE), {}) == "post"
    short, long = (forms.fields(with_features(card, NOTE), {}, {"note": "ä" * n}) for n in (10, 700))
    link = forms.link("/models/x/prediction", short)
    assert link is not None
    assert parse_qs(link.partition("?")[2]) == {"note": ["ä" * 10]}
    assert forms.link("/models/x/prediction", long) is None


def test_a_field_for_negative_numbers_has_no_number_pad(card: Card) -> None:
    signed = number("change").model_copy(update={"minimum": -5})
    (field,) = forms.blank_fields(with_features(card, signed), {})
    assert field.input_mode is None


def test_a_wide_record_has_no_variants(card: Card) -> None:
    features = [number(f"column_{n}").model_copy(update={"minimum": 0, "maximum": 1}) for n in range(751)]
    wide = with_features(card, *features)
    assert variants(wide, {feature.name: 0.2 for feature in features}) == []
    assert variants(with_features(card, *features[:50]), {feature.name: 0.2 for feature in features[:50]})
