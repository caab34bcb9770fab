"""Metrics and tables agree with scikit-learn's, and what is undefined is left out."""

import json
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline

from model.card import Card, Evaluation, Metrics, ModelKind, Scores
from model.census import census_model, income
from model.columns import Floats
from model.evaluate import auc_interval, evaluate, share_interval
from model.explanation.effects import importance_of
from model.scorer import Predictions, Scorer

NO_SCORES = {"scores": Scores.NONE}


@pytest.fixture(scope="module")
def truth() -> Any:
    return (income.load_records(census_model.HELD_OUT)[1] == census_model.POSITIVE).to_numpy(dtype=np.int64)


@pytest.fixture(scope="module")
def positive(scorer: Scorer, held_out: Any) -> Floats:
    return scorer.predict(held_out).positive


def regression(card: Card, truth: Floats, predicted: Floats, **groups: list[str]) -> tuple[Metrics, Evaluation]:
    changes = {"kind": ModelKind.REGRESSOR, "classes": (), "positive_class": None, **NO_SCORES}
    predictions = Predictions(predicted, np.empty((len(predicted), 0)))
    return evaluate(card.model_copy(update=changes), truth, predictions, groups)


def three_classes(card: Card, truth: Any, probabilities: Floats, **groups: list[str]) -> tuple[Metrics, Evaluation]:
    changes = {"kind": ModelKind.MULTICLASS_CLASSIFIER, "classes": ("a", "b", "c"), "positive_class": None}
    predictions = Predictions(probabilities.argmax(axis=1), probabilities)
    return evaluate(card.model_copy(update=changes), truth, predictions, groups)


def binary(card: Card, truth: Any, positive: Floats) -> tuple[Metrics, Evaluation]:
    return evaluate(card, truth, Predictions((positive >= 0.5).astype(int), positive[:, np.newaxis]))


def test_the_cards_figures_are_those_of_scikit_learn(card: Card, truth: Any, positive: Floats) -> None:
    found, said = card.metrics, positive >= card.threshold
    assert found is not None
    assert found.rows == len(truth)
    assert found.roc_auc == pytest.approx(sk.roc_auc_score(truth, positive))
    assert found.brier == pytest.approx(sk.brier_score_loss(truth, positive))
    assert found.log_loss == pytest.approx(sk.log_loss(truth, positive))
    assert found.accuracy == pytest.approx(sk.accuracy_score(truth, said))


def test_the_intervals_are_those_of_repeated_measurement(card: Card, truth: Any, positive: Floats) -> None:
    assert card.metrics is not None
    random, draws = np.random.default_rng(0), 100
    samples = [random.integers(0, len(truth), len(truth)) for _ in range(draws)]
    measures = {"roc_auc": sk.roc_auc_score, "brier": sk.brier_score_loss, "log_loss": sk.log_loss}
    for name, measure in measures.items():
        low, high = card.metrics.intervals[name]
        drawn = np.quantile([measure(truth[rows], positive[rows]) for rows in samples], [0.025, 0.975])
        assert low < getattr(card.metrics, name) < high
        # Hanley and McNeil's interval is known to be a little wide.
        assert high - low == pytest.approx(drawn[1] - drawn[0], rel=0.35), name


def test_the_closed_forms_where_the_answer_is_known() -> None:
    assert share_interval(0, 10) == pytest.approx((0, 1.96**2 / (10 + 1.96**2)), abs=1e-4)
    assert share_interval(10, 10) == pytest.approx((10 / (10 + 1.96**2), 1), abs=1e-4)
    # At 0.5 it is that of the rank-sum statistic, whose variance is (n + m + 1) / (12 n m).
    low, high = auc_interval(0.5, 40, 60)
    assert high - low == pytest.approx(2 * 1.96 * (101 / (12 * 40 * 60)) ** 0.5, rel=1e-4)
    assert auc_interval(1.0, 5, 5) == (1.0, 1.0)


def test_the_curves_of_the_income_model(card: Card, truth: Any, positive: Floats) -> None:
    found = card.evaluation
    assert found is not None
    x, y = ([getattr(p, name) for p in found.roc] for name in ("false_positive_rate", "true_positive_rate"))
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert 50 < len(x) <= 101
    assert x == sorted(x)
    assert y == sorted(y)
    assert np.trapezoid(y, x) == pytest.approx(sk.roc_auc_score(truth, positive), abs=0.001)
    assert sum(part.rows for part in found.calibration) == len(truth)
    for part in found.calibration:
        assert part.observed == pytest.approx(part.predicted, abs=0.06), "it is well calibrated"
    middle = found.thresholds[9]
    assert middle.threshold == 0.5
    assert middle.precision == pytest.approx(sk.precision_score(truth, positive >= 0.5))
    assert middle.recall == pytest.approx(sk.recall_score(truth, positive >= 0.5))
    assert card.metrics is not None
    assert middle.accuracy == card.metrics.accuracy
    assert [row.recall for row in found.thresholds] == sorted((r.recall for r in found.thresholds), reverse=True)
    assert len(found.model_dump_json()) < 20_000


def test_performance_by_sex_and_race(card: Card, truth: Any, positive: Floats, held_out: Any) -> None:
    assert card.evaluation is not None
    assert {name: set(found) for name, found in card.evaluation.groups.items()} == {
        name: set(held_out[name]) for name in ("sex", "race")
    }
    women = (held_out["sex"] == "Female").to_numpy()
    figures = card.evaluation.groups["sex"]["Female"]
    said = positive[women] >= 0.5
    assert figures.rows == women.sum()
    assert figures.observed == pytest.approx(truth[women].mean())
    assert figures.predicted == pytest.approx(positive[women].mean())
    assert figures.predicted_positive == pytest.approx(said.mean())
    assert figures.accuracy == pytest.approx((said == truth[women]).mean())
    assert figures.true_positive_rate == pytest.approx(sk.recall_score(truth[women], said))
    assert figures.false_positive_rate == pytest.approx(said[truth[women] == 0].mean())


def test_a_regressor_is_measured_in_its_own_unit(card: Card) -> None:
    x, y = load_diabetes(return_X_y=True)
    predicted = LinearRegression().fit(x[:300], y[:300]).predict(x[300:])
    sexes = ["a" if value > 0 else "b" for value in x[300:, 1]]
    found, tables = regression(card, y[300:], predicted, sex=sexes)
    assert found.r2 == pytest.approx(sk.r2_score(y[300:], predicted))
    assert found.mae == pytest.approx(sk.mean_absolute_error(y[300:], predicted))
    assert found.rmse == pytest.approx(sk.root_mean_squared_error(y[300:], predicted))
    assert (found.roc_auc, found.brier, found.accuracy) == (None, None, None)
    for name in ("r2", "mae", "rmse"):
        low, high = found.intervals[name]
        assert low < getattr(found, name) < high
    assert len(tables.calibration) == 10
    assert sum(part.rows for part in tables.calibration) == len(predicted)
    assert sum(group.rows for group in tables.groups["sex"].values()) == len(predicted)


def test_several_classes(card: Card) -> None:
    x, y = load_iris(return_X_y=True)
    probabilities = LogisticRegression(max_iter=500).fit(x[::2], y[::2]).predict_proba(x[1::2])
    truth = y[1::2]
    found, tables = three_classes(card, truth, probabilities)
    assert found.accuracy == pytest.approx(sk.accuracy_score(truth, probabilities.argmax(axis=1)))
    assert found.log_loss == pytest.approx(sk.log_loss(truth, probabilities))
    assert found.roc_auc == pytest.approx(sk.roc_auc_score(truth, probabilities, multi_class="ovr"))
    assert tables.confusion == tuple(map(tuple, sk.confusion_matrix(truth, probabilities.argmax(axis=1)).tolist()))
    of_two, tables = three_classes(card, truth[truth < 2], probabilities[truth < 2])
    assert of_two.roc_auc is None, "one class is not there"
    assert len(tables.confusion) == 3


def test_decisions_have_an_auc_but_no_calibration(card: Card, truth: Any, positive: Floats) -> None:
    decision = np.log(positive / (1 - positive))
    predictions = Predictions((decision > 0).astype(int), decision[:, np.newaxis])
    found, tables = evaluate(card.model_copy(update={"scores": Scores.DECISION}), truth, predictions)
    assert found.roc_auc == pytest.approx(sk.roc_auc_score(truth, positive))
    assert (found.brier, found.log_loss, tables.calibration, tables.thresholds) == (None, None, (), ())
    assert tables.roc
    bare = Predictions(predictions.values, np.empty((len(truth), 0)))
    found, tables = evaluate(card.model_copy(update=NO_SCORES), truth, bare)
    assert (found.roc_auc, tables.roc) == (None, ())
    assert found.accuracy == pytest.approx(((decision > 0) == truth).mean())


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("rows", [0, 1, 2])
@pytest.mark.parametrize("of", [binary, regression, three_classes])
def test_what_is_undefined_is_left_out(card: Card, rows: int, of: Any) -> None:
    scores = np.full((rows, 3), 1 / 3) if of is three_classes else np.full(rows, 0.25)
    found, tables = of(card, np.zeros(rows, dtype=int), scores)
    assert found.rows == rows
    assert (found.roc_auc, found.r2) == (None, None), "one class, or no spread"
    assert set(found.intervals) <= {"brier", "log_loss", "accuracy", "mae", "rmse"}
    for part in (found, tables):
        json.dumps(part.model_dump(mode="json"), allow_nan=False)


@pytest.mark.filterwarnings("error")
def test_predictions_without_bounds_do_no_harm(card: Card) -> None:
    found, tables = regression(card, np.arange(4.0), np.array([0.0, np.inf, 2.0, 3.0]))
    assert (found.r2, found.mae, found.rmse, found.intervals, tables.calibration) == (None, None, None, {}, ())


def test_a_feature_that_decides_is_important_and_one_that_does_not_is_not(
    scorer: Scorer, held_out: Any, truth: Any
) -> None:
    found = importance_of(scorer, held_out, truth)
    assert set(found) == {feature.name for feature in income.FEATURES}
    assert max(found, key=lambda name: found[name]) == "marital_status"
    assert abs(found["sex"]) < 0.005 < found["education"]


def test_the_cards_effects_are_those_of_the_explanations(card: Card, scorer: Scorer, pipeline: Pipeline) -> None:
    record = {feature.name: feature.default for feature in income.FEATURES}
    for place, feature in enumerate(card.features):
        effects = {effect.value: effect.effect for effect in card.effects[feature.name]}
        assert (None in effects) == feature.missing_allowed
        assert set(feature.categories) <= set(effects)
        records: list[Any] = [{**record, feature.name: value} for value in effects]
        explanation = scorer.explain_records(records)
        assert explanation is not None
        assert list(effects.values()) == pytest.approx(explanation.effects[:, place].tolist(), abs=1e-5)
