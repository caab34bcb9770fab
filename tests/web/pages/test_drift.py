"""Data drift on the page of a job and in its summary."""

from pathlib import Path

import pytest

from model.card import Card
from model.catalog import Catalog
from tests.stack import Stack
from tests.web.reading import ended_job
from tests.web.records import HEADER, ROW
from web.pages.charts import DRIFT
from web.pages.drift import drift_charts

ROWS = 400


def overworked() -> bytes:
    """Return people who work far more than in the census, one in four of them in an unknown work class."""
    lines = [HEADER]
    for number in range(ROWS):
        row = ROW.replace("39", str(17 + number % 70)).replace("40", str(70 + number % 30))
        lines.append(row.replace("State-gov", "Knight") if number % 4 == 0 else row)
    return "\n".join(lines).encode()


def test_drift_is_reported_in_words_and_numbers(service: Stack) -> None:
    job = service.upload(overworked()).json()
    drift = service.get(job["links"]["summary"]).json()["drift"]
    assert list(drift) == HEADER.split(",")
    hours, work = drift["hours_per_week"], drift["workclass"]
    assert (hours["verdict"], hours["words"]) == ("far", "Hours per week is far higher than in training.")
    assert hours["psi"] > 1
    assert (hours["rows"], hours["missing"], hours["rejected"], hours["outside"]) == (ROWS, 0, 0, 0)
    assert sum(part["file"] for part in hours["bins"]) == pytest.approx(1)
    assert (work["unseen"], work["rejected"]) == (100, 0.25)
    assert "Private" in work["absent"]
    page = ended_job(service, job["links"]["page"])
    text = page.text("drift")
    assert "Hours per week is far higher than in training." in text
    assert "Work class is rejected in 25.0% of the rows." in text
    assert "Unknown category: 100 rows." in text
    assert "In training but not in this file:" in text
    (table,) = [rows for n in range(1, 8) for rows in [page.rows(f"drift-table-{n}")] if rows[0][0] == "1 to 10.8"]
    assert [row[2] for row in table[:7]] == ["0.0%"] * 7
    service.request("POST", f"{job['links']['page']}/delete")


def test_a_sample_of_the_training_data_has_no_drift(service: Stack) -> None:
    sample = service.get("/api/v1/models/income/sample.csv").content
    header, _, rows = sample.partition(b"\n")
    job = service.upload(header + b"\n" + rows).json()
    verdicts = {found["verdict"] for found in service.get(job["links"]["summary"]).json()["drift"].values()}
    assert verdicts <= {"stable", "unclear"}, "twenty rows cause no false alarm"
    text = ended_job(service, job["links"]["page"]).text("drift")
    assert "Too few valid rows to assess" in text if "unclear" in verdicts else "No drift detected" in text
    service.request("POST", f"{job['links']['page']}/delete")


@pytest.fixture(scope="module")
def card(models: Path) -> Card:
    return Catalog(models, "income").card()


def test_the_largest_drift_comes_first_and_bars_fit_their_chart(card: Card) -> None:
    counts = {"drift:age:0": 500, "drift:age:1": 1, "drift:sex:0": 331, "drift:sex:1": 669, "drift:race:4": 3}
    charts = drift_charts([card], counts)
    assert [chart.name for chart in charts] == ["age", "race", "sex"]
    for chart in charts:
        bars = [bar for pair in chart.pairs for bar in (pair.training, pair.file)]
        assert max(bar.height for bar in bars) == DRIFT.height
        assert all(bar.y + bar.height == pytest.approx(DRIFT.height) for bar in bars)
        assert all(0 <= bar.x and bar.x + bar.width <= DRIFT.width for bar in bars)
    heights = [pair.file.height for pair in charts[0].pairs][:2]
    assert heights == [DRIFT.height, DRIFT.min_height], "a single row is visible"


def test_rare_categories_are_merged_into_one_bar(card: Card) -> None:
    (chart,) = drift_charts([card], {"drift:education:0": 10, "drift:education:15": 10})
    assert len(chart.pairs) == 12
    assert chart.pairs[-1].bin.label == "5 others"
    assert sum(pair.bin.training for pair in chart.pairs) == pytest.approx(1)
    assert sum(pair.bin.file for pair in chart.pairs) == pytest.approx(1)


def test_without_counts_or_training_summary_there_are_no_charts(card: Card) -> None:
    assert drift_charts([card], {"prediction:>50K": 4}) == []
    assert drift_charts([card.model_copy(update={"summary": {}})], {"drift:age:0": 500}) == []
