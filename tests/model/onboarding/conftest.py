"""Small tables and fitted models of the real libraries, each trained once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from click.testing import CliRunner
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from model.cli import cli
from model.errors import RefusedModel
from model.onboarding.load_pipeline import load_pipeline
from model.trust import EVERYTHING
from tests.model.onboarding.churn import ADD, Run


@pytest.fixture(scope="session")
def iris() -> tuple[pd.DataFrame, pd.Series]:
    frame, target = load_iris(return_X_y=True, as_frame=True)
    return frame, target


@pytest.fixture(scope="session")
def tumours() -> tuple[pd.DataFrame, pd.Series]:
    """Four numbers and a category, with a target of two classes."""
    frame, target = load_breast_cancer(return_X_y=True, as_frame=True)
    frame = frame.iloc[:, :4].rename(columns=lambda name: name.replace(" ", "_"))
    size = np.where(frame["mean_radius"] > 14, "large", "small")
    return frame.assign(size=pd.Categorical(size)), target


@pytest.fixture(scope="session")
def fitted(iris: tuple[pd.DataFrame, pd.Series]) -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(*iris)


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., str]:
    """Returns the one line with which a file is refused, without its folder."""

    def refuse(path: Path, trust: tuple[str, ...] = (EVERYTHING,), **more: Any) -> str:
        with pytest.raises(RefusedModel) as raised:
            load_pipeline(path, trust, **more)
        text = str(raised.value)
        assert "\n" not in text
        return text.replace(f"{tmp_path}/", "")

    return refuse


@pytest.fixture(scope="session")
def customers() -> pd.DataFrame:
    """Customers, some of whom have left: a float, an integer, a category, a boolean and a date."""
    rng = np.random.default_rng(0)
    rows = 300
    months = rng.integers(1, 60, rows)
    return pd.DataFrame(
        {
            "customer": [f"C{n:05}" for n in range(rows)],
            "Monthly Fee": rng.normal(40, 10, rows).round(2),
            "months": months,
            "plan": rng.choice(["basic", "family", "gold"], rows),
            "paperless": rng.random(rows) > 0.5,
            "since": pd.date_range("2020-01-01", periods=rows).strftime("%Y-%m-%d"),
            "churned": np.where(months + rng.normal(0, 10, rows) < 20, "yes", "no"),
        }
    )


@pytest.fixture(scope="session")
def churn(customers: pd.DataFrame) -> Pipeline:
    columns = make_column_transformer(
        (OneHotEncoder(), ["plan"]), (StandardScaler(), ["Monthly Fee", "months"]), ("passthrough", ["paperless"])
    )
    return make_pipeline(columns, LogisticRegression()).fit(customers.drop(columns="churned"), customers["churned"])


@pytest.fixture
def folder(tmp_path: Path, customers: pd.DataFrame, churn: Any) -> Path:
    customers.to_csv(tmp_path / "train.csv", index=False)
    skops.io.dump(churn, tmp_path / "churn.skops")
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Run:
    """Runs a command on a folder of models; arguments that name a file there become its path."""

    def run(*words: str) -> tuple[int, str, str]:
        found = [str(folder / word) if "." in word and (folder / word).exists() else word for word in words]
        result = CliRunner().invoke(cli, ["--directory", str(folder / "models"), *found])
        return result.exit_code, result.stdout, result.stderr

    return run


@pytest.fixture(scope="session")
def models_with_churn(
    tmp_path_factory: pytest.TempPathFactory, customers: pd.DataFrame, churn: Any, quick_checks: None
) -> Path:
    """A folder of models with the pipeline added, which tests copy."""
    folder = tmp_path_factory.mktemp("added")
    customers.to_csv(folder / "train.csv", index=False)
    skops.io.dump(churn, folder / "churn.skops")
    words = [str(folder / word) if "." in word else word for word in ADD]
    assert CliRunner().invoke(cli, ["--directory", str(folder / "models"), *words]).exit_code == 0
    return folder / "models"


def same(one: Any, other: Any, frame: Any) -> bool:
    """Whether two models predict the same, to the last bit."""
    methods = [name for name in ("predict", "predict_proba", "decision_function") if hasattr(one, name)]
    return all(np.array_equal(getattr(one, name)(frame), getattr(other, name)(frame)) for name in methods)
