"""The charts of a model by week."""

from datetime import date
from pathlib import Path

import pytest

from model.catalog import Catalog
from web.pages.history_charts import plots

FIRST, SECOND, FOURTH = date(2026, 11, 2), date(2026, 11, 9), date(2026, 11, 23)


def test_a_model_without_history_has_no_charts() -> None:
    assert plots({}, lambda _: None) == []


def test_weeks_are_joined_over_versions_and_gaps_show() -> None:
    counts = {
        (FIRST, "1"): {"rows": 6, "rejected": 2, "prediction:yes": 3, "prediction:no": 3},
        (FIRST, "2"): {"rows": 2, "prediction:yes": 2},
        (FOURTH, "2"): {"single": 4, "prediction:no": 4},
    }
    rows, predictions, rejects = plots(counts, lambda _: None)
    assert rows.header == ["Week from", "Rows of files", "Single predictions"]
    assert rows.rows == [
        ["23 Nov 2026", "0", "4"],
        ["16 Nov 2026", "0", "0"],
        ["9 Nov 2026", "0", "0"],
        ["2 Nov 2026", "10", "0"],
    ]
    assert predictions.header == ["Week from", "no", "yes"]
    assert predictions.rows == [
        ["23 Nov 2026", "100.0%", "0.0%"],
        ["16 Nov 2026", "", ""],
        ["9 Nov 2026", "", ""],
        ["2 Nov 2026", "37.5%", "62.5%"],
    ]
    assert [row[1] for row in rejects.rows] == ["", "", "", "20.0%"]
    assert len(rejects.lines[0].points) == 1


def test_the_axes_have_round_numbers_which_have_room(models: Path) -> None:
    card = Catalog(models, "income").card()
    counts = {(FIRST, "1"): {"rows": 1_000_212, "rejected": 2, "prediction:yes": 700_000, "prediction:no": 300_212}}
    rows, predictions, rejects = plots(counts, lambda _: card)
    assert [label for _, label in rows.y_ticks] == ["0", "1M", "2M"]
    assert [label for _, label in predictions.y_ticks] == ["0%", "50%", "100%"]
    assert [label for _, label in rejects.y_ticks] == ["0%", "0.5%", "1%"]
    [(_, height)] = rejects.lines[0].points
    assert height == rejects.y_ticks[0][0]  # two of a million are nearly none


@pytest.mark.parametrize("rows", [7, 940, 9_400, 94_000, 940_000, 9_400_000])
def test_what_stands_beside_an_axis_fits_on_a_phone_too(rows: int) -> None:
    for plot in plots({(FIRST, "1"): {"rows": rows, "rejected": rows // 8, "prediction:yes": rows}}, lambda _: None):
        assert max(len(label) for _, label in plot.y_ticks) <= 5


def test_drift_is_that_of_the_version_with_most_rows(models: Path) -> None:
    card = Catalog(models, "income").card()
    summary = card.summary["age"]
    assert summary.histogram
    as_trained = {f"drift:age:{n}": count for n, count in enumerate(summary.histogram.counts)}
    far = {"drift:age:0": 1000, "drift:education:0": 1000}
    counts = {
        (FIRST, card.version): {"rows": 1000, **as_trained},
        (FIRST, "other"): {"rows": 10, **far},
        (SECOND, card.version): {"rows": 1000, **far},
    }
    chart = plots(counts, lambda version: card if version == card.version else None)[-1]
    assert chart.title == "Data drift"
    by_title = dict(zip(chart.header, zip(*chart.rows, strict=True), strict=True))
    assert by_title["Age"][1] == "0.00"
    assert float(by_title["Age"][0]) > 0.25
    assert chart.guide
