"""Added models are explained by the running service: records, files and pages show the same contributions."""

import csv
import io
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from imblearn.over_sampling import SMOTE
from imblearn.pipeline import make_pipeline as make_balanced_pipeline
from lightgbm import LGBMClassifier
from scipy.special import logit
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, SplineTransformer, StandardScaler

from model.catalog import Catalog
from model.census.census_model import TRAINING
from model.census.income import load_records
from model.onboarding.add import AddModelRequest, add_model
from model.trust import EVERYTHING
from tests.slow import slow
from tests.stack import Stack

ROWS = 600
CATEGORIES = ["education", "marital_status", "sex"]
NUMBERS = ["age", "hours_per_week"]


@dataclass(frozen=True)
class Example:
    """A pipeline, its inputs as it takes them, its labels, and its own raw output in the unit of its effects."""

    pipeline: Any
    inputs: pd.DataFrame
    labels: pd.Series
    unit: str
    raw_output: Any


def people() -> tuple[pd.DataFrame, pd.Series]:
    frame, labels = load_records(TRAINING)
    return frame[[*CATEGORIES, *NUMBERS]].iloc[:ROWS].reset_index(drop=True), labels.iloc[:ROWS].reset_index(drop=True)


def behind_blocks(*steps: Any) -> list[Any]:
    numbers = make_pipeline(StandardScaler(), SplineTransformer(4))
    words = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return [make_column_transformer((words, CATEGORIES), (numbers, ["age"]), remainder="passthrough"), *steps]


def forest() -> Example:
    """Several columns in each block, the rest passed through."""
    frame, labels = people()
    pipeline = make_pipeline(*behind_blocks(RandomForestClassifier(20, max_depth=6, random_state=0))).fit(frame, labels)
    return Example(pipeline, frame, labels, "probability", pipeline.predict_proba(frame)[:, 1])


def calibrated() -> Example:
    """By its base, before calibration."""
    frame, labels = people()
    base = make_pipeline(*behind_blocks(LogisticRegression(max_iter=200)))
    pipeline = CalibratedClassifierCV(base, cv=2).fit(frame, labels)
    scores = [fold.estimator.decision_function(frame) for fold in pipeline.calibrated_classifiers_]
    return Example(pipeline, frame, labels, "uncalibrated_score", np.mean(scores, axis=0))


def lightgbm() -> Example:
    """With categories of pandas'."""
    frame, labels = people()
    frame = frame.astype(dict.fromkeys(CATEGORIES, "category"))
    pipeline = LGBMClassifier(n_estimators=20, verbose=-1, n_jobs=1).fit(frame, labels)
    return Example(pipeline, frame, labels, "log_odds", logit(pipeline.predict_proba(frame)[:, 1]))


def balanced() -> Example:
    """With a step that is there for training only."""
    frame, labels = people()
    steps = behind_blocks(SMOTE(random_state=0), LogisticRegression(max_iter=200))
    pipeline: Pipeline = make_balanced_pipeline(*steps).fit(frame, labels)
    return Example(pipeline, frame, labels, "log_odds", pipeline.decision_function(frame))


@pytest.fixture(scope="module", params=[calibrated, lightgbm, *slow(forest, balanced)], ids=lambda make: make.__name__)
def added(
    request: pytest.FixtureRequest, service: Stack, tmp_path_factory: pytest.TempPathFactory, quick_checks: None
) -> Iterator[tuple[str, Example]]:
    """A model that was added while the service ran."""
    name, example = f"explained-{request.param.__name__}", request.param()
    folder: Path = tmp_path_factory.mktemp(name)
    joblib.dump(example.pipeline, folder / "model.joblib")
    example.inputs.assign(income=example.labels).to_csv(folder / "data.csv", index=False)
    models = service.folder / "models"
    request = AddModelRequest(folder / "model.joblib", name, folder / "data.csv", ("income",), trust=[EVERYTHING])
    assert add_model(request, Catalog(models), lambda _: None).card.is_explained
    yield name, example
    shutil.rmtree(models / name)


def test_records_files_and_the_page_say_why(service: Stack, added: tuple[str, Example]) -> None:
    name, example = added
    records = example.inputs.head(20).astype(object).to_dict("records")
    body = {"model": name, "records": records}
    answers = service.request("POST", "/api/v1/predictions", json=body).raise_for_status().json()["predictions"]
    for answer, raw in zip(answers, example.raw_output, strict=False):
        assert answer["effects_in"] == example.unit
        total = answer["baseline"] + sum(part["effect"] for part in answer["contributions"])
        assert total == pytest.approx(raw, abs=1e-4)
    job, scored = service.score(example.inputs.to_csv(index=False).encode(), model=name, explain="5")
    assert job["rows"] == {"total": ROWS, "scored": ROWS, "rejected": 0, "warned": 0, "repaired": 0}
    rows = list(csv.DictReader(io.StringIO(scored.decode(), newline="")))
    for row, answer in zip(rows, answers, strict=False):
        effects = {row[f"explain_{n}_feature"]: float(row[f"explain_{n}_effect"]) for n in range(1, 6)}
        assert effects == pytest.approx({part["feature"]: part["effect"] for part in answer["contributions"]}, abs=1e-5)
    sums = [sum(float(row[f"explain_{n}_effect"]) for n in range(1, 6)) for row in rows]
    assert np.abs(np.array(sums) + answers[0]["baseline"] - example.raw_output).max() < 1e-4
    page = service.get(f"/models/{name}/prediction", params=records[0]).raise_for_status().text
    assert 'id="contributions-heading"' in page
    assert "Available, by" in service.get(f"/models/{name}").text
