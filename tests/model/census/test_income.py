"""The income model performs as its card says, and training it again gives the same artifact."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.pipeline import Pipeline

from model import artifact
from model.card import Card
from model.catalog import Catalog
from model.census import census_model, income
from model.census.train import ensure_trained, main
from model.scorer import Scorer
from tests.slow import slow


def test_quality_on_the_held_out_file_as_the_card_says(scorer: Scorer, card: Card) -> None:
    held_out, labels = income.load_records(census_model.HELD_OUT)
    positive = scorer.predict(held_out).positive
    truth = labels == census_model.POSITIVE
    assert card.metrics is not None
    assert card.metrics.rows == 16_281
    assert card.metrics.roc_auc == pytest.approx(roc_auc_score(truth, positive))
    assert card.metrics.brier == pytest.approx(brier_score_loss(truth, positive))
    assert card.metrics.roc_auc >= 0.884
    assert card.metrics.brier <= 0.1130
    assert card.metrics.accuracy > 0.83


@pytest.mark.parametrize("threads", ["4", *slow("1", "2")])
def test_training_gives_the_same_artifact_with_any_number_of_threads(pipeline: Pipeline, threads: str) -> None:
    code = "from model import artifact; from model.census import income; import hashlib; " + (
        "print(hashlib.sha256(artifact.dumps(income.train())).hexdigest())"
    )
    environment = {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)}
    again = [sys.executable, "-c", code]
    root = Path(income.__file__).parents[2]
    second = subprocess.run(again, check=True, capture_output=True, text=True, cwd=root, env=environment)
    assert second.stdout.strip() == hashlib.sha256(artifact.dumps(pipeline)).hexdigest()


def test_an_unknown_workclass_is_a_value_of_its_own(scorer: Scorer) -> None:
    record = {feature.name: feature.default for feature in income.FEATURES}
    known, unknown, marked = ({**record, "workclass": workclass} for workclass in ("Private", None, "?"))
    probabilities = scorer.predict_records([known, unknown, marked]).positive
    assert probabilities[1] == probabilities[2]
    assert abs(probabilities[0] - probabilities[1]) > 0.01


def test_every_accepted_age_and_week_gives_a_probability(scorer: Scorer) -> None:
    record = {feature.name: feature.default for feature in income.FEATURES}
    ages = [{**record, "age": float(age)} for age in range(17, 91)]
    weeks = [{**record, "hours_per_week": float(hours)} for hours in range(1, 100)]
    positive = scorer.predict_records(ages + weeks).positive
    assert np.isfinite(positive).all()
    assert ((positive > 0) & (positive < 1)).all()


def test_defaults_and_examples_are_valid_values(card: Card) -> None:
    for member in ("default", "example"):
        record = {feature.name: getattr(feature, member) for feature in card.features}
        assert card.record_schema.validate_record(record)[1] == []


def test_the_card_describes_the_training_data(card: Card) -> None:
    assert card.training_rows == 32_561
    assert card.summary["workclass"].missing == 1_836
    assert card.summary["sex"].counts == {"Female": 10_771, "Male": 21_790}
    age = card.summary["age"]
    assert (age.minimum, age.maximum) == (17, 90)
    assert age.histogram is not None
    assert sum(age.histogram.counts) == 32_561
    assert len(age.histogram.edges) == 11
    assert card.source is not None
    assert card.source.licence == "CC BY 4.0"


def test_a_second_start_does_not_train_again_unless_it_is_told_to(own_catalog: Catalog) -> None:
    assert "is there" in ensure_trained(own_catalog.directory)
    assert "trained in" in ensure_trained(own_catalog.directory, force=True)


def test_an_altered_artifact_is_trained_again(own_catalog: Catalog) -> None:
    own_catalog.artifact_path().write_bytes(b"scratched")
    assert "trained in" in ensure_trained(own_catalog.directory)
    assert Scorer.load(own_catalog).card.version == own_catalog.current_version()


def test_a_model_of_another_scikit_learn_is_trained_again(own_catalog: Catalog) -> None:
    path = own_catalog.artifact_path().with_name("card.json")
    card = json.loads(path.read_text())
    card["libraries"]["scikit-learn"] = "0.24.2"
    path.write_text(json.dumps(card))
    assert "trained in" in ensure_trained(own_catalog.directory)
    assert "is there" in ensure_trained(own_catalog.directory)


def test_the_command_trains_both_models_and_prints_a_line_of_each(
    own_catalog: Catalog, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--directory", str(own_catalog.directory)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert ["is there" in line for line in said] == [True, False]
    assert [line.split()[0] for line in said] == own_catalog.names() == ["income", "income-full"]


def test_the_command_says_when_it_cannot_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    assert main(["--directory", str(tmp_path / "file")]) == 1
    assert "could not be trained" in capsys.readouterr().err
