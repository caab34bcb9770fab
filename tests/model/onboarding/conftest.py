"""Small tables and fitted models of the real libraries, each trained once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from model.errors import RefusedModel
from model.onboarding.load_pipeline import load_pipeline
from model.trust import EVERYTHING


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


def same(one: Any, other: Any, frame: Any) -> bool:
    """Whether two models predict the same, to the last bit."""
    methods = [name for name in ("predict", "predict_proba", "decision_function") if hasattr(one, name)]
    return all(np.array_equal(getattr(one, name)(frame), getattr(other, name)(frame)) for name in methods)
