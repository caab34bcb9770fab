"""The pure parts of the pages: charts, evaluations, counterfactuals and texts."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from model.card import CalibrationBin, Card, Evaluation, ModelKind, Scores, ValueEffect
from model.catalog import Catalog
from tests.stack import Stack
from web.pages.charts import HISTOGRAM, PLOT
from web.pages.counterfactuals import largest_changes, variants
from web.pages.evaluation import evaluation
from web.pages.histogram import chart
from web.pages.results import outcome

RECORD = {
    "age": 39.0,
    "workclass": None,
    "education": "Bachelors",
    "marital_status": "Never-married",
    "race": "White",
    "sex": "Male",
    "hours_per_week": 40.0,
}


@pytest.fixture(scope="module")
def card(models: Path) -> Card:
    return Catalog(models, "income").card()


def summary(*, positive: int = 0, negative: int = 0, bins: dict[int, int] | None = None) -> dict[str, Any]:
    counts = [(bins or {}).get(place, 0) for place in range(20)]
    predictions = {name: n for name, n in ((">50K", positive), ("<=50K", negative)) if n}
    edges = [round(place / 20, 2) for place in range(21)]
    return {"predictions": predictions, "probability": {"edges": edges, "counts": counts}, "rejects": []}


def test_variants_differ_in_one_value_each_and_hold_every_category(card: Card) -> None:
    varied = variants(card, RECORD)
    for variant in varied:
        assert [name for name in RECORD if variant.record[name] != RECORD[name]] == [variant.feature.name]
        assert not isinstance(variant.feature.parse(str(variant.value)), Exception)
    for feature in card.features:
        values = {variant.value for variant in varied if variant.feature == feature}
        assert values >= set(feature.categories) - {RECORD[feature.name]}
        assert values, "every feature is tried"


def test_the_change_with_the_largest_effect_comes_first(card: Card) -> None:
    tried = variants(card, RECORD)
    answers: list[dict[str, Any]] = [{"probability": 0.2, "prediction": "<=50K"} for _ in tried]
    at = {(v.feature.name, v.value): n for n, v in enumerate(tried)}
    answers[at["sex", "Female"]] = {"probability": 0.1, "prediction": "<=50K"}
    answers[at["education", "Doctorate"]] = {"probability": 0.6, "prediction": ">50K"}
    answers[at["education", "Masters"]] = {"probability": 0.5, "prediction": ">50K"}
    answers[at["race", "Black"]] = {"error": {"code": "scoring_failed"}}
    changes = largest_changes(RECORD, {"probability": 0.2, "prediction": "<=50K"}, tried, answers)
    shown = [(change.title, change.after, change.flips) for change in changes]
    assert shown == [("Education", "Doctorate", True), ("Sex", "Female", False)]
    assert changes[0].before == "Bachelor's degree"


def test_bars_are_scaled_to_the_largest_and_a_single_row_is_visible(card: Card) -> None:
    drawn = chart(summary(positive=1, negative=100_000, bins={0: 100_000, 19: 1}), card, 0.5)
    assert drawn is not None
    assert drawn.has_slider
    assert [bin_.bar.height for bin_ in drawn.bins if bin_.bar.height] == [HISTOGRAM.height, HISTOGRAM.min_height]
    assert all(bin_.bar.y + bin_.bar.height == HISTOGRAM.height for bin_ in drawn.bins)
    assert [(d.name, d.count, d.positive) for d in drawn.predictions] == [(">50K", 1, True), ("<=50K", 100_000, False)]


def test_a_class_without_rows_is_shown_with_zero(card: Card) -> None:
    drawn = chart(summary(negative=3, bins={2: 3}), card, 0.5)
    assert drawn is not None
    assert [(d.count, d.share) for d in drawn.predictions] == [(0, 0.0), (3, 1.0)]


def test_without_scored_rows_there_is_no_chart_and_without_a_card_no_slider(card: Card) -> None:
    assert chart(summary(), card, 0.5) is None
    drawn = chart(summary(positive=1, negative=2, bins={0: 3}), None, 0.5)
    assert drawn is not None
    assert not drawn.has_slider
    other = cast(Card, SimpleNamespace(positive_class=None, classes=("a", "b", "c"), targets=()))
    drawn = chart(summary(positive=1, bins={0: 1}), other, None)
    assert drawn is not None
    assert not drawn.has_slider


def test_predictions_of_several_targets_are_counted_for_each(card: Card) -> None:
    several = {"targets": ("sells", "grade: own"), "target_classes": (("no", "yes"), ("a", "none")), "classes": ()}
    own = card.model_copy(update={**several, "kind": ModelKind.MULTIOUTPUT_CLASSIFIER, "positive_class": None})
    counts = {"sells: no": 3, "sells: yes": 1, "grade: own: none": 4}
    drawn = chart({**summary(), "predictions": counts}, own, None)
    assert drawn is not None
    assert drawn.is_long
    assert [(d.target, d.name, d.count, d.share) for d in drawn.predictions] == [
        ("sells", "no", 3, 0.75),
        ("sells", "yes", 1, 0.25),
        ("grade: own", "a", 0, 0.0),
        ("grade: own", "none", 4, 1.0),
    ]


def test_classes_have_the_order_of_the_card_and_many_are_a_table(card: Card) -> None:
    names = tuple(map(str, range(12)))
    own = card.model_copy(update={"classes": names, "positive_class": None, "kind": ModelKind.CLUSTERER})
    drawn = chart({**summary(), "predictions": {"10": 2, "2": 1}}, own, None)
    assert drawn is not None
    assert [prediction.name for prediction in drawn.predictions] == list(names)
    assert drawn.is_long
    assert not drawn.has_targets


def test_an_evaluation_is_drawn_within_its_area_and_also_as_tables(card: Card) -> None:
    found = evaluation(card)
    assert [plot.id for plot in found.plots] == ["roc", "calibration", "thresholds"]
    assert [table.title for table in found.groups] == ["By sex", "By race"]
    plots = [*found.plots, *(feature.plot for feature in found.effects if feature.plot)]
    assert len(plots) == 5
    for plot in plots:
        assert all(len(row) == len(plot.header) for row in plot.rows)
        assert plot.rows
        for line in plot.lines:
            assert all(PLOT.left <= x <= PLOT.right and PLOT.top <= y <= PLOT.bottom for x, y in line.points)
    roc = found.plots[0].lines[0].points
    assert (roc[0], roc[-1]) == ((PLOT.left, PLOT.bottom), (PLOT.right, PLOT.top))
    assert card.evaluation is not None
    women = card.evaluation.groups["sex"]["Female"]
    row = next(row for row in found.groups[0].rows if row[0] == "Female")
    assert row[1:] == [
        f"{women.rows:,}",
        *(
            f"{share * 100:.1f}%"
            for share in (
                women.observed or 0,
                women.predicted or 0,
                women.predicted_positive or 0,
                women.accuracy or 0,
                women.true_positive_rate or 0,
                women.false_positive_rate or 0,
            )
        ),
    ]


def test_effects_are_odds_multipliers_the_widest_range_first(card: Card) -> None:
    effects = evaluation(card).effects
    assert [feature.title for feature in effects[:2]] == ["Education", "Age"]
    assert effects[0].rows[0].label == "Doctorate"
    effect = next(effect.effect for effect in card.effects["education"] if effect.value == "Doctorate")
    assert effects[0].rows[0].amount == f"\N{MULTIPLICATION SIGN} {math.exp(effect):.2f}"
    assert all(-100 <= row.bar <= 100 for feature in effects for row in feature.rows)


def test_cards_of_other_kinds_show_what_they_have(card: Card) -> None:
    bare = card.model_copy(update={"evaluation": None, "effects": {}, "importance": {"age": 0.03, "race": -0.001}})
    found = evaluation(bare)
    assert (found.plots, found.groups, found.effects, found.confusion) == ([], [], [], None)
    assert [(row.label, row.bar) for row in found.importance] == [("Age", 100.0), ("Race", 0.0)]
    bins = (CalibrationBin(rows=3, predicted=-5, observed=-4), CalibrationBin(rows=3, predicted=2000, observed=1900))
    number = {"kind": ModelKind.REGRESSOR, "classes": (), "positive_class": None, "scores": Scores.NONE}
    (plot,) = evaluation(bare.model_copy(update={**number, "evaluation": Evaluation(calibration=bins)})).plots
    assert [label for _, label in plot.x_ticks] == ["-5", "496", "998", "1,499", "2,000"]
    assert plot.rows[1] == ["2,000", "1,900", "3"]
    classes = {"kind": ModelKind.MULTICLASS_CLASSIFIER, "classes": ("a", "b"), "positive_class": None}
    counts = Evaluation(confusion=((3, 1), (0, 2000)))
    confusion = evaluation(bare.model_copy(update={**classes, "evaluation": counts})).confusion
    assert confusion is not None
    assert confusion.header == ["Actual", "Predicted a", "Predicted b"]
    assert confusion.rows == [["a", "3", "1"], ["b", "0", "2,000"]]


def test_very_large_effects_are_drawn(card: Card) -> None:
    effects = (ValueEffect(value=17, effect=-900), ValueEffect(value=90, effect=900), ValueEffect(value=None, effect=0))
    (feature,) = evaluation(card.model_copy(update={"effects": {"age": effects, "race": ()}})).effects
    assert feature.plot is not None
    assert len(feature.plot.y_ticks) <= 7


def test_a_page_is_compressed_if_the_client_accepts_it(service: Stack) -> None:
    packed = service.get("/models/income", headers={"Accept-Encoding": "gzip"})
    plain = service.get("/models/income", headers={"Accept-Encoding": "identity"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert int(packed.headers["Content-Length"]) < len(plain.content) / 4
    assert "Content-Encoding" not in plain.headers
    assert packed.text == plain.text
    assert "Accept-Encoding" in packed.headers["Vary"]


@pytest.mark.parametrize(("unit", "title", "output", "baseline", "amount"), [
    ("log_odds", "Odds multiplier", "probability", "50.00%", "× 1.65"),
    ("probability", "Change", "probability", "0.00%", "+0.5"),
    ("target", "Change", "prediction", "0", "+0.5"),
    ("log_target", "Multiplier", "prediction", "1", "× 1.65"),
    ("score", "Change", "score", "score 0", "+0.5"),
    ("uncalibrated_score", "Change", "score before calibration", "score 0 before calibration", "+0.5"),
    ("transformed_target", "Change", "prediction on the transformed scale", "0 on the transformed scale", "+0.5"),
])  # fmt: skip
def test_contributions_are_shown_in_their_unit(
    card: Card, unit: str, title: str, output: str, baseline: str, amount: str
) -> None:
    contributions = [{"feature": "age", "value": 30, "effect": 0.5}]
    prediction = {"prediction": ">50K", "baseline": 0.0, "effects_in": unit, "contributions": contributions}
    shown = outcome(card, prediction)
    assert (shown.contribution_title, shown.explained_output, shown.baseline) == (title, output, baseline)
    assert shown.contributions[0].amount == amount


@pytest.mark.parametrize(
    ("target", "meaning"),
    [
        ("Earning more than $50,000 a year", "probability of earning more than $50,000 a year"),
        ("income is >50K", "probability that income is >50K"),
        ("HIV infection", "probability of HIV infection"),
    ],
)
def test_a_probability_says_of_what_it_is(card: Card, target: str, meaning: str) -> None:
    shown = outcome(card.model_copy(update={"target": target}), {"prediction": ">50K", "probability": 0.3006})
    assert (shown.figure, shown.meaning) == ("30.06%", meaning)
