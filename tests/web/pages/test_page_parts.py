"""The pure parts of the pages: what is drawn of a summary, and what would change a prediction."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from model.card import CalibrationBin, Card, Evaluation, ModelKind, Scores, ValueEffect
from model.catalog import Catalog
from tests.stack import Stack
from web.pages.counterfactuals import changes, variants
from web.pages.evaluation import BOTTOM, LEFT, RIGHT, TOP, evidence
from web.pages.formatting import duration, grouped, percent_done, sentence, size
from web.pages.histogram import HEIGHT, chart
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
    found = variants(card, RECORD)
    for variant in found:
        assert [name for name in RECORD if variant.record[name] != RECORD[name]] == [variant.feature.name]
        assert not isinstance(variant.feature.parse(str(variant.value)), Exception)
    for feature in card.features:
        values = {variant.value for variant in found if variant.feature == feature}
        assert values >= set(feature.categories) - {RECORD[feature.name]}
        assert values, "every feature is tried"


def test_the_value_that_moves_the_probability_furthest_comes_first(card: Card) -> None:
    tried = variants(card, RECORD)
    answers: list[dict[str, Any]] = [{"probability": 0.2, "prediction": "<=50K"} for _ in tried]
    at = {(v.feature.name, v.value): n for n, v in enumerate(tried)}
    answers[at["sex", "Female"]] = {"probability": 0.1, "prediction": "<=50K"}
    answers[at["education", "Doctorate"]] = {"probability": 0.6, "prediction": ">50K"}
    answers[at["education", "Masters"]] = {"probability": 0.5, "prediction": ">50K"}
    answers[at["race", "Black"]] = {"error": {"code": "scoring_failed"}}
    found = changes(RECORD, {"probability": 0.2, "prediction": "<=50K"}, tried, answers)
    assert [(c.title, c.then, c.flips) for c in found] == [("Education", "Doctorate", True), ("Sex", "Female", False)]
    assert found[0].now == "Bachelor's degree"


def test_bars_are_scaled_to_the_highest_and_a_single_row_is_seen(card: Card) -> None:
    drawn = chart(summary(positive=1, negative=100_000, bins={0: 100_000, 19: 1}), card, 0.5)
    assert drawn is not None
    assert drawn.has_slider
    assert [bar.height for bar in drawn.bars if bar.height] == [HEIGHT, 2]
    assert all(bar.y + bar.height == HEIGHT for bar in drawn.bars)
    assert [(d.name, d.count, d.positive) for d in drawn.decisions] == [(">50K", 1, True), ("<=50K", 100_000, False)]


def test_a_decision_that_no_row_got_is_shown_with_none(card: Card) -> None:
    drawn = chart(summary(negative=3, bins={2: 3}), card, 0.5)
    assert drawn is not None
    assert [(d.count, d.share) for d in drawn.decisions] == [(0, 0.0), (3, 1.0)]


def test_without_scored_rows_nothing_is_drawn_and_without_a_card_there_is_no_slider(card: Card) -> None:
    assert chart(summary(), card, 0.5) is None
    drawn = chart(summary(positive=1, negative=2, bins={0: 3}), None, 0.5)
    assert drawn is not None
    assert not drawn.has_slider
    other = cast(Card, SimpleNamespace(positive_class=None, classes=("a", "b", "c"), targets=()))
    drawn = chart(summary(positive=1, bins={0: 1}), other, None)
    assert drawn is not None
    assert not drawn.has_slider


def test_decisions_about_several_targets_are_counted_for_each(card: Card) -> None:
    several = {"targets": ("sells", "grade: own"), "target_classes": (("no", "yes"), ("a", "none")), "classes": ()}
    own = card.model_copy(update={**several, "kind": ModelKind.MULTIOUTPUT_CLASSIFIER, "positive_class": None})
    counts = {"sells: no": 3, "sells: yes": 1, "grade: own: none": 4}
    drawn = chart({**summary(), "predictions": counts}, own, None)
    assert drawn is not None
    assert drawn.is_long
    assert [(d.target, d.name, d.count, d.share) for d in drawn.decisions] == [
        ("sells", "no", 3, 0.75),
        ("sells", "yes", 1, 0.25),
        ("grade: own", "a", 0, 0.0),
        ("grade: own", "none", 4, 1.0),
    ]


def test_classes_stand_in_the_order_of_the_card_and_many_of_them_in_a_table(card: Card) -> None:
    names = tuple(map(str, range(12)))
    own = card.model_copy(update={"classes": names, "positive_class": None, "kind": ModelKind.CLUSTERER})
    drawn = chart({**summary(), "predictions": {"10": 2, "2": 1}}, own, None)
    assert drawn is not None
    assert [decision.name for decision in drawn.decisions] == list(names)
    assert drawn.is_long
    assert not drawn.has_targets


def test_words_for_numbers_sizes_and_times() -> None:
    assert [grouped(n) for n in (0, 7, 1234567, 1234.5, 2.5, 0.126)] == ["0", "7", "1,234,567", "1,234", "2.5", "0.13"]
    assert [size(n) for n in (1, 999, 1000, 4_104_734, 1_100_000_000)] == [
        "1 byte",
        "999 bytes",
        "1.0 kB",
        "4.1 MB",
        "1.1 GB",
    ]
    assert [duration(s) for s in (0.2, 59, 61, 3725)] == ["less than a second", "59 s", "1 min 1 s", "1 h 2 min"]
    assert percent_done(0.9999) == "99%"
    assert sentence("a text") == "A text."


def test_a_card_is_drawn_within_its_frame_and_stands_as_tables_too(card: Card) -> None:
    found = evidence(card)
    assert [plot.id for plot in found.plots] == ["roc", "calibration", "thresholds"]
    assert [table.title for table in found.groups] == ["By sex", "By race"]
    plots = [*found.plots, *(feature.plot for feature in found.effects if feature.plot)]
    assert len(plots) == 5
    for plot in plots:
        assert all(len(row) == len(plot.header) for row in plot.rows)
        assert plot.rows
        for line in plot.lines:
            assert all(LEFT <= x <= RIGHT and TOP <= y <= BOTTOM for x, y in line.points)
    roc = found.plots[0].lines[0].points
    assert (roc[0], roc[-1]) == ((LEFT, BOTTOM), (RIGHT, TOP))
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


def test_effects_are_shown_as_factors_of_the_odds_the_widest_first(card: Card) -> None:
    found = evidence(card).effects
    assert [feature.title for feature in found[:2]] == ["Education", "Age"]
    assert found[0].rows[0].value == "Doctorate"
    effect = next(effect.effect for effect in card.effects["education"] if effect.value == "Doctorate")
    assert found[0].rows[0].odds == f"\N{MULTIPLICATION SIGN} {math.exp(effect):.2f}"
    assert all(-100 <= row.bar <= 100 for feature in found for row in feature.rows)


def test_cards_of_other_kinds_are_drawn_as_far_as_they_go(card: Card) -> None:
    bare = card.model_copy(update={"evaluation": None, "effects": {}, "importance": {"age": 0.03, "race": -0.001}})
    found = evidence(bare)
    assert (found.plots, found.groups, found.effects, found.confusion) == ([], [], [], None)
    assert [(row.value, row.bar) for row in found.importance] == [("Age", 100.0), ("Race", 0.0)]
    bins = (CalibrationBin(rows=3, predicted=-5, observed=-4), CalibrationBin(rows=3, predicted=2000, observed=1900))
    number = {"kind": ModelKind.REGRESSOR, "classes": (), "positive_class": None, "scores": Scores.NONE}
    (plot,) = evidence(bare.model_copy(update={**number, "evaluation": Evaluation(calibration=bins)})).plots
    assert [words for _, words in plot.x_ticks] == ["-5", "496", "998", "1,499", "2,000"]
    assert plot.rows[1] == ["2,000", "1,900", "3"]
    classes = {"kind": ModelKind.MULTICLASS_CLASSIFIER, "classes": ("a", "b"), "positive_class": None}
    counts = Evaluation(confusion=((3, 1), (0, 2000)))
    confusion = evidence(bare.model_copy(update={**classes, "evaluation": counts})).confusion
    assert confusion is not None
    assert (confusion.header, confusion.rows) == (["Is", "a", "b"], [["a", "3", "1"], ["b", "0", "2,000"]])


def test_effects_without_bounds_are_drawn(card: Card) -> None:
    effects = (ValueEffect(value=17, effect=-900), ValueEffect(value=90, effect=900), ValueEffect(value=None, effect=0))
    (feature,) = evidence(card.model_copy(update={"effects": {"age": effects, "race": ()}})).effects
    assert feature.plot is not None
    assert len(feature.plot.y_ticks) <= 7


def test_a_page_is_compressed_for_who_takes_that(service: Stack) -> None:
    packed = service.get("/models/income", headers={"Accept-Encoding": "gzip"})
    plain = service.get("/models/income", headers={"Accept-Encoding": "identity"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert int(packed.headers["Content-Length"]) < len(plain.content) / 4
    assert "Content-Encoding" not in plain.headers
    assert packed.text == plain.text
    assert "Accept-Encoding" in packed.headers["Vary"]


@pytest.mark.parametrize(("unit", "title", "pushed", "average", "effect"), [
    ("log_odds", "Odds", "probability", "50.00%", "× 1.65"),
    ("probability", "Effect", "probability", "0.00%", "+0.5"),
    ("target", "Effect", "answer", "0", "+0.5"),
    ("log_target", "Factor", "answer", "1", "× 1.65"),
    ("score", "Effect", "score", "a score of 0", "+0.5"),
    ("uncalibrated_score", "Effect", "score before calibration", "a score of 0 before calibration", "+0.5"),
    ("transformed_target", "Effect", "transformed answer", "0 on the scale that it was trained on", "+0.5"),
])  # fmt: skip
def test_effects_are_shown_in_their_unit(
    card: Card, unit: str, title: str, pushed: str, average: str, effect: str
) -> None:
    contributions = [{"feature": "age", "value": 30, "effect": 0.5}]
    answer = {"prediction": ">50K", "baseline": 0.0, "effects_in": unit, "contributions": contributions}
    shown = outcome(card, answer)
    assert (shown.effects_title, shown.effects_unit, shown.average) == (title, pushed, average)
    assert shown.contributions[0].effect == effect
