"""MLflow model folders are read without MLflow: the description, and the file that it names."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import lightgbm
import pandas as pd
import pytest
import skops.io
import xgboost
import yaml
from sklearn.pipeline import Pipeline

from model.onboarding.load_pipeline import load_pipeline
from model.trust import EVERYTHING
from tests.model.onboarding.conftest import same

Refused = Callable[..., str]
Data = tuple[pd.DataFrame, pd.Series]


def described(folder: Path, flavors: dict[str, Any], columns: list[dict[str, Any]] | None = None) -> Path:
    """An MLmodel file as MLflow 3 writes it."""
    folder.mkdir(exist_ok=True)
    description: dict[str, Any] = {
        "artifact_path": "model",
        "flavors": {"python_function": {"loader_module": "mlflow.sklearn", "model_path": "model.pkl"}, **flavors},
        "mlflow_version": "3.18.0",
    }
    if columns is not None:
        description["signature"] = {"inputs": json.dumps(columns), "outputs": None, "params": None}
    (folder / "MLmodel").write_text(yaml.safe_dump(description))
    return folder


@pytest.mark.parametrize("name", ["model.pkl", "model.skops"])
def test_a_pipeline_of_scikit_learn_with_its_signature(fitted: Pipeline, iris: Data, tmp_path: Path, name: str) -> None:
    columns = [{"type": "double", "name": column, "required": True} for column in iris[0]]
    options = {"pickled_model": name, "serialization_format": "cloudpickle", "sklearn_version": "1.9.1", "code": None}
    folder = described(tmp_path / "m", {"sklearn": options}, columns)
    if name.endswith("skops"):
        skops.io.dump(fitted, folder / name)
    else:
        joblib.dump(fitted, folder / name)
    loaded = load_pipeline(folder, () if name.endswith("skops") else (EVERYTHING,))
    assert same(loaded.pipeline, fitted, iris[0])
    assert loaded.features == tuple(iris[0])
    assert loaded.dtypes == dict.fromkeys(iris[0], "float64")
    assert loaded.format.startswith("mlflow ")


def test_boosters_in_their_own_formats(iris: Data, tmp_path: Path) -> None:
    booster = xgboost.XGBClassifier(n_estimators=3, n_jobs=1).fit(*iris)
    folder = described(
        tmp_path / "x", {"xgboost": {"data": "model.xgb", "model_class": "xgboost.sklearn.XGBClassifier"}}
    )
    booster.save_model(folder / "model.json")
    (folder / "model.json").rename(folder / "model.xgb")
    assert same(load_pipeline(folder).pipeline, booster, iris[0])
    light = lightgbm.LGBMRegressor(n_estimators=3, n_jobs=1, verbose=-1).fit(*iris)
    folder = described(tmp_path / "l", {"lightgbm": {"data": "model.lgb", "model_class": "lightgbm.basic.Booster"}})
    light.booster_.save_model(folder / "model.lgb")
    assert same(load_pipeline(folder).pipeline, light, iris[0])


def test_types_of_a_signature_become_pandas_dtypes(fitted: Pipeline, tmp_path: Path) -> None:
    kinds = ["double", "float", "long", "integer", "boolean", "string", "datetime"]
    columns = [{"type": kind, "name": kind, "required": False} for kind in kinds]
    folder = described(tmp_path / "m", {"sklearn": {"pickled_model": "model.skops"}}, columns)
    skops.io.dump(fitted, folder / "model.skops")
    assert list(load_pipeline(folder).dtypes.values()) == [
        "float64", "float32", "int64", "int32", "bool", "str", "datetime64[ns]",
    ]  # fmt: skip


def test_unsupported_folders_are_refused(tmp_path: Path, refused: Refused) -> None:
    torch = described(tmp_path / "t", {"pytorch": {"model_data": "data"}})
    assert "an MLflow model of pytorch" in refused(torch)
    assert "python_function alone" in refused(described(tmp_path / "p", {}))
    away = described(tmp_path / "a", {"sklearn": {"pickled_model": "../../etc/passwd"}})
    assert "outside its folder" in refused(away)
    gone = described(tmp_path / "g", {"sklearn": {"pickled_model": "model.pkl"}})
    assert "has no file model.pkl" in refused(gone)
    (gone / "MLmodel").write_text("a: [")
    assert "cannot be read" in refused(gone)
    (gone / "MLmodel").write_text("!!python/object/apply:os.system ['true']")
    assert "cannot be read" in refused(gone)
