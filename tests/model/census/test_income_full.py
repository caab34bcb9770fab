"""The income-full model performs as its card says, is small and reproducible, and treats missing values as values."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.pipeline import Pipeline

from model import artifact
from model.catalog import Catalog
from model.census import census_model, income_full
from model.census.income_full_features import FEATURES
from model.schema import Fault
from model.scorer import Scorer


@pytest.fixture(scope="module")
def full_scorer(full_pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    """The model as a worker has it: published, and loaded from its artifact."""
    catalog = Catalog(tmp_path_factory.mktemp("models"), "income-full")
    income_full.publish(full_pipeline, catalog)
    return Scorer.load(catalog)


@pytest.fixture(scope="module")
def people() -> tuple[pd.DataFrame, pd.Series]:
    return income_full.load_records(census_model.HELD_OUT)


def test_quality_on_the_held_out_file_as_the_card_says(full_scorer: Scorer, people: tuple) -> None:
    frame, labels = people
    positive = full_scorer.predict(frame).positive
    truth = labels == census_model.POSITIVE
    metrics = full_scorer.card.metrics
    assert metrics is not None
    assert metrics.rows == 16_281
    assert metrics.roc_auc == pytest.approx(roc_auc_score(truth, positive))
    assert metrics.brier == pytest.approx(brier_score_loss(truth, positive))
    assert metrics.roc_auc >= 0.927
    assert metrics.brier <= 0.0880
    assert metrics.accuracy > 0.87


def test_training_again_gives_the_same_small_artifact(full_pipeline: Pipeline, tmp_path: Path) -> None:
    first = artifact.save(full_pipeline, tmp_path / "first.skops")
    code = "import sys, pathlib; from model import artifact; from model.census import income_full; " + (
        "print(artifact.save(income_full.train(), pathlib.Path(sys.argv[1])))"
    )
    again = [sys.executable, "-c", code, str(tmp_path / "second.skops")]
    root = Path(census_model.__file__).parents[2]
    environment = {**os.environ, "OMP_NUM_THREADS": "4", "OPENBLAS_NUM_THREADS": "4"}
    second = subprocess.run(again, check=True, capture_output=True, text=True, cwd=root, env=environment)
    assert second.stdout.strip() == first
    assert (tmp_path / "first.skops").stat().st_size < 2_000_000


def test_other_hosts_take_it_over_without_a_setting(full_scorer: Scorer) -> None:
    """What a card asks to be trusted beyond the usual, a host that fetches the model refuses."""
    assert full_scorer.card.trusted == ()


def test_a_loaded_model_answers_as_the_fitted_one(full_scorer: Scorer, full_pipeline: Pipeline, people: tuple) -> None:
    frame = people[0]
    assert np.array_equal(full_scorer.probabilities(frame), full_pipeline.predict_proba(frame))


def test_missing_is_a_value_of_its_own(full_scorer: Scorer) -> None:
    record = {feature.name: feature.default for feature in FEATURES}
    for feature in FEATURES:
        if not feature.missing_allowed:
            continue
        unknown = full_scorer.predict_records([{**record, feature.name: None}]).positive[0]
        known = [{**record, feature.name: category} for category in feature.categories]
        assert np.abs(full_scorer.predict_records(known).positive - unknown).max() > 0.005
    assert [feature.name for feature in FEATURES if feature.missing_allowed] == [
        "workclass",
        "occupation",
        "native_country",
    ]


def test_every_category_and_limit_gives_a_probability(full_scorer: Scorer) -> None:
    record = {feature.name: feature.default for feature in FEATURES}
    records = [
        {**record, feature.name: value}
        for feature in FEATURES
        for value in feature.categories or (feature.minimum, feature.maximum)
    ]
    positive = full_scorer.predict_records(records).positive
    assert ((positive > 0) & (positive < 1)).all()


def test_the_schema_is_all_of_the_census_but_weight_and_copy() -> None:
    raw = pd.read_csv(census_model.DATA / census_model.TRAINING, nrows=1)
    columns = [column.replace("-", "_") for column in raw.columns]
    assert [feature.name for feature in FEATURES] == [
        column for column in columns if column not in ("fnlwgt", "education_num", "income")
    ]


@pytest.mark.parametrize("file", [census_model.TRAINING, census_model.HELD_OUT])
def test_the_schema_accepts_every_value_of_the_census_and_labels_every_category(file: str) -> None:
    frame, _ = income_full.load_records(file)
    for feature in FEATURES:
        values = frame[feature.name].dropna().unique().tolist()
        assert not [value for value in values if isinstance(feature.parse(str(value)), Fault)]
        assert set(values) <= set(feature.categories) or not feature.categories
        assert set(feature.labels) == set(feature.categories)


def test_defaults_and_examples_are_valid_values(full_scorer: Scorer) -> None:
    for member in ("default", "example"):
        record = {feature.name: getattr(feature, member) for feature in FEATURES}
        assert full_scorer.card.record_schema.validate_record(record)[1] == []
