"""The figures on actual outcomes stand beside those on held-out records."""

from datetime import date
from pathlib import Path
from typing import Any

from model.catalog import Catalog
from web.pages.live_figures import live_performance


def week(monday: date, version: str, **figures: Any) -> dict[str, Any]:
    return {"week": monday, "version": version, "figures": {"rows": 100, **figures}}


def test_weeks_stand_below_the_figures_on_held_out_records(models: Path) -> None:
    card = Catalog(models).card("income")
    assert card.metrics is not None
    accuracy, auc = {"value": 0.8, "interval": [0.71, 0.87]}, {"value": 0.85, "interval": None}
    bins = [{"rows": 60, "predicted": 0.1, "observed": 0.2}, {"rows": 40, "predicted": 0.8, "observed": 0.7}]
    weeks = [
        week(date(2026, 11, 16), card.version, accuracy=accuracy, roc_auc=auc, calibration=bins),
        week(date(2026, 11, 9), "older", accuracy=accuracy),
    ]
    live = live_performance(card, weeks)
    assert live is not None
    assert live.table.header == ["Week from", "Version", "Outcomes", "Accuracy", "ROC AUC", "Calibration error"]
    held_out, newest, older = live.table.rows
    assert held_out[:3] == ["Held-out records", card.version, f"{card.metrics.rows:,}"]
    assert held_out[4].startswith(f"{card.metrics.roc_auc:.3f} (")
    assert float(held_out[5].removesuffix("%")) < 5
    assert newest == ["16 Nov 2026", card.version, "100", "80.0% (71.0% to 87.0%)", "0.850", "10.0%"]
    assert older == ["9 Nov 2026", "older", "100", "80.0% (71.0% to 87.0%)", "", ""]
    assert [plot.id for plot in live.plots] == ["weekly-live-accuracy", "live-calibration"]


def test_a_sentence_says_whether_the_newest_week_falls_short(models: Path) -> None:
    card = Catalog(models).card("income")
    good, bad = {"value": 0.84, "interval": [0.81, 0.87]}, {"value": 0.6, "interval": [0.55, 0.65]}
    few = {"week": date(2026, 11, 23), "version": card.version, "figures": {"rows": 29, "accuracy": bad}}
    other = week(date(2026, 11, 23), "older", accuracy=bad)
    fallen = live_performance(card, [few, other, week(date(2026, 11, 16), card.version, accuracy=bad, roc_auc=bad)])
    assert fallen is not None
    assert fallen.falls_short
    assert fallen.verdict == (
        "In the week from 16 Nov 2026, accuracy and ROC AUC were significantly worse than on held-out records: "
        "the intervals do not overlap."
    )
    holds = live_performance(card, [few, week(date(2026, 11, 16), card.version, accuracy=good)])
    assert holds is not None
    assert not holds.falls_short
    assert (
        holds.verdict == "In the week from 16 Nov 2026, accuracy was not significantly worse than on held-out records."
    )
    unclear = live_performance(card, [few, other])
    assert unclear is not None
    assert unclear.verdict == (
        "This version cannot be compared with held-out records yet: no week has 30 outcomes or more."
    )


def test_without_outcomes_there_is_nothing_to_show(models: Path) -> None:
    card = Catalog(models).card("income")
    assert live_performance(card, []) is None
    assert live_performance(card, [{"week": date(2026, 11, 9), "version": "1", "figures": {"rows": 0}}]) is None
