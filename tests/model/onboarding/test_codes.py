"""Codes that a pipeline answers both as numbers and as texts: its owner is asked how they were read."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pytest
from catboost import CatBoostClassifier
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from model.errors import RefusedModel
from model.onboarding.findings import gather_findings
from model.onboarding.training_data import read_training_data

ZIPS = ["01234", "01099", "80331", "10115", "00501"]
MONTHS = ["1", "3", "7", "10", "12"]


class Shares(TransformerMixin, BaseEstimator):
    """Replaces codes by how often they occur, from a dictionary that no one else knows of."""

    def fit(self, frame: pd.DataFrame, _y: Any = None) -> Self:
        self.feature_names_in_ = frame.columns.to_numpy(object)
        self.n_features_in_ = frame.shape[1]
        self.shares_ = frame["zip"].value_counts(normalize=True).to_dict()
        return self

    def transform(self, frame: pd.DataFrame) -> Any:
        return np.c_[frame["zip"].map(self.shares_).fillna(0).astype(float), frame["x"]]


def region(frame: pd.DataFrame) -> pd.DataFrame:
    """The first digit."""
    return frame[["zip"]].astype(str).apply(lambda column: column.str[:1])


def by_region() -> Pipeline:
    first_digit = make_pipeline(FunctionTransformer(region), OneHotEncoder(handle_unknown="ignore"))
    return make_pipeline(make_column_transformer((first_digit, ["zip"]), ("passthrough", ["x"])), LogisticRegression())


def by_shares() -> Pipeline:
    return make_pipeline(Shares(), StandardScaler(), LogisticRegression())


def boosted() -> Any:
    return CatBoostClassifier(iterations=5, random_seed=0, verbose=False, allow_writing_files=False, cat_features=[0])


def table_of(codes: list[str], folder: Path) -> Path:
    rng = np.random.default_rng(0)
    rows = 300
    table = pd.DataFrame({"zip": rng.choice(codes, rows, p=[0.1, 0.15, 0.2, 0.25, 0.3]), "x": rng.normal(size=rows)})
    late = table["zip"].isin(codes[:1] + codes[4:]) * 2 + table["x"] > 1
    path = folder / "train.csv"
    table.assign(y=np.where(late, "late", "ok")).to_csv(path, index=False)
    return path


def fit(model: Any, path: Path, **read: Any) -> Any:
    frame = pd.read_csv(path, **read)
    return model.fit(frame[["zip", "x"]], frame["y"])


@pytest.mark.parametrize("make", [boosted, by_region, by_shares])
@pytest.mark.parametrize("read", [{"dtype": {"zip": str}}, {}], ids=["texts", "numbers"])
def test_the_owner_is_asked_how_codes_were_read(tmp_path: Path, make: Any, read: Mapping[str, Any]) -> None:
    path = table_of(ZIPS, tmp_path)
    model = fit(make(), path, **read)
    with pytest.raises(RefusedModel, match=r"--dtypes zip=str or --dtypes zip=int64$") as refused:
        gather_findings(model, read_training_data(path), ["y"])
    assert "column 'zip' can be read as numbers and as texts" in str(refused.value)
    # The row and both answers are such as the owner can look up.
    row, *said = re.findall(r"for row (\d+) (\w+) \(.*\) with (\d+) and (\w+) \(.*\) with '(\d+)'", str(refused.value))[
        0
    ]
    inputs = pd.read_csv(path, dtype={"zip": str}).drop(columns="y").iloc[[int(row) - 1]]
    assert said[1] == str(int(inputs["zip"].iloc[0]))
    assert said[3] == inputs["zip"].iloc[0]
    assert said[2] == model.predict(inputs)[0]
    assert said[0] == model.predict(inputs.astype({"zip": int}))[0]


@pytest.mark.parametrize("make", [boosted, by_region, by_shares])
@pytest.mark.parametrize("dtype", ["str", "int64"])
def test_what_the_owner_says_settles_it(tmp_path: Path, make: Any, dtype: str) -> None:
    path = table_of(ZIPS, tmp_path)
    model = fit(make(), path, dtype={"zip": dtype})
    data = read_training_data(path, {"zip": dtype})
    found = gather_findings(model, data, ["y"])
    assert str(found.frame["zip"].dtype) == dtype
    # So does a schema, in which it is written.
    again = gather_findings(model, read_training_data(path), ["y"], features=found.features)
    assert np.array_equal(again.reference.answers, found.reference.answers)


def test_nobody_is_asked_where_numbers_and_texts_get_the_same_answers(tmp_path: Path) -> None:
    """scikit-learn makes numbers of texts; CatBoost's categories are their digits."""
    path = table_of(ZIPS, tmp_path)
    for model in (make_pipeline(StandardScaler(), LogisticRegression()), RandomForestClassifier(5, random_state=0)):
        assert gather_findings(fit(model, path), read_training_data(path), ["y"]).frame["zip"].dtype == "int64"
    path = table_of(MONTHS, tmp_path)
    assert gather_findings(fit(boosted(), path), read_training_data(path), ["y"]).frame["zip"].dtype == "int64"


def test_nobody_is_asked_where_the_pipeline_knows_the_numbers_and_not_the_texts(tmp_path: Path) -> None:
    path = table_of(MONTHS, tmp_path)
    found = gather_findings(fit(by_shares(), path), read_training_data(path), ["y"])
    assert found.frame["zip"].dtype == "int64"
    with pytest.raises(RefusedModel, match="--dtypes zip=str"):
        gather_findings(fit(by_shares(), path, dtype={"zip": str}), read_training_data(path), ["y"])
