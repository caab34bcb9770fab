"""Figures on actual outcomes agree with scikit-learn's; an alarm comes only where chance does not explain it."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from database import outcomes
from database.database import Database
from database.tables import OutcomeSource
from model.card import Card, ModelKind
from model.catalog import Catalog
from model.monitoring.live import compare
from worker.recording import live_figures
from worker.recording.live_figures import figures, live_metrics, refresh_weeks

MONDAY = date(2026, 11, 23)


@pytest.fixture(scope="module")
def catalog(models: Path) -> Catalog:
    return Catalog(models, "income")


@pytest.fixture(scope="module")
def card(catalog: Catalog) -> Card:
    return catalog.card()


def observed(card: Card, rows: int, hit_share: float) -> list[tuple[str, str, float | None]]:
    """Outcomes of which a share is as predicted."""
    random = np.random.default_rng(1)
    found: list[tuple[str, str, float | None]] = []
    for number in range(rows):
        probability = round(float(random.random()), 2)
        predicted = card.positive_class if probability >= 0.5 else card.classes[0]
        other = next(name for name in card.classes if name != predicted)
        found.append((predicted if number < rows * hit_share else other, str(predicted), probability))
    return found


def test_figures_of_a_classifier_are_those_of_scikit_learn(card: Card) -> None:
    rows = observed(card, 500, 0.7)
    found = figures(rows, card)
    truth, predicted, scores = zip(*rows, strict=True)
    assert found["rows"] == 500
    assert found["accuracy"]["value"] == pytest.approx(accuracy_score(truth, predicted))
    assert found["roc_auc"]["value"] == pytest.approx(
        roc_auc_score([value == card.positive_class for value in truth], scores)
    )
    low, high = found["roc_auc"]["interval"]
    assert low < found["roc_auc"]["value"] < high
    for part in found["calibration"]:
        here = [value == card.positive_class for value, _, p in rows if abs((p or 0) - part["predicted"]) < 0.051]
        assert part["observed"] == pytest.approx(np.mean(here), abs=0.25)


def test_figures_of_a_regressor_are_errors(card: Card) -> None:
    regressor = card.model_copy(update={"kind": ModelKind.REGRESSOR})
    found = figures([("1", "2", None), ("5", "2", None), ("x", "2", None)], regressor)
    assert (found["rows"], found["mae"]["value"]) == (2, 2.0)
    assert found["rmse"]["value"] == pytest.approx(5**0.5)
    assert figures([], regressor) == figures([], card) == {"rows": 0}


def test_outcomes_of_one_kind_have_no_auc(card: Card) -> None:
    found = figures([(str(card.positive_class), str(card.positive_class), 0.9)] * 40, card)
    assert "roc_auc" not in found
    assert found["accuracy"]["value"] == 1


@pytest.mark.parametrize(("share", "alarms"), [(0.99, False), (0.6, True)])
def test_an_alarm_comes_where_outcomes_fall_short_of_held_out_records(card: Card, share: float, alarms: bool) -> None:
    [accuracy] = [
        metric for metric in compare(card, figures(observed(card, 400, share), card)) if metric.metric == "accuracy"
    ]
    assert accuracy.falls_short is alarms
    assert accuracy.live == pytest.approx(share, abs=0.01)


def test_a_handful_of_outcomes_raises_no_alarm(card: Card) -> None:
    few = [metric for metric in compare(card, figures(observed(card, 5, 0.6), card)) if metric.metric == "accuracy"]
    assert not few[0].falls_short


def row(card: Card, number: int, value: str) -> dict[str, Any]:
    return {
        "source": OutcomeSource.JOB, "source_id": "job", "row": number, "model": card.name, "version": card.version,
        "value": value, "predicted": ">50K", "probability": 0.7, "week": MONDAY, "recorded": datetime.now(UTC),
        "recorded_by": None,
    }  # fmt: skip


def test_figures_follow_what_is_told_and_told_again(database: Database, catalog: Catalog, card: Card) -> None:
    for value, hits in (("<=50K", 0.0), (">50K", 1.0)):
        with database.writing() as connection:
            outcomes.write_outcomes(connection, [row(card, number, value) for number in range(40)])
        assert refresh_weeks(database, catalog)
        assert not refresh_weeks(database, catalog)
        with database.reading() as connection:
            [week] = outcomes.outcome_weeks(connection, card.name)
        assert (week["week"], week["figures"]["rows"]) == (MONDAY, 40)
        assert week["figures"]["accuracy"]["value"] == hits
        [metric] = live_metrics(database, catalog)
        assert (metric.live, metric.falls_short) == (hits, hits == 0.0)


def test_others_write_while_figures_are_computed_and_what_they_write_counts(
    database: Database, catalog: Catalog, card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loading scikit-learn takes long on a busy machine; nobody who signs in meanwhile has to wait for it."""

    def tell(number: int) -> None:
        with database.writing() as connection:
            outcomes.write_outcomes(connection, [row(card, number, ">50K")])

    def tell_more_and_compute(*arguments: Any) -> dict[str, Any]:
        monkeypatch.setattr(live_figures, "figures", figures)
        tell(2)
        return figures(*arguments)

    tell(1)
    monkeypatch.setattr(live_figures, "figures", tell_more_and_compute)
    assert refresh_weeks(database, catalog)
    assert refresh_weeks(database, catalog)
    assert not refresh_weeks(database, catalog)
    with database.reading() as connection:
        [week] = outcomes.outcome_weeks(connection, card.name)
    assert week["figures"]["rows"] == 2
