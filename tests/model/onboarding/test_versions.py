"""Models of other scikit-learn versions: refused, or accepted on request unless they are known to predict otherwise."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sklearn.base
import skops.io
from sklearn.ensemble import AdaBoostClassifier, GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from model import artifact
from model.onboarding.load_pipeline import load_pipeline
from model.trust import EVERYTHING
from tests.model.onboarding.conftest import same

Refused = Callable[..., str]
Data = tuple[pd.DataFrame, pd.Series]


def saved_by(version: str, model: Any, path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model's file as that version writes it: estimators keep the scikit-learn version in their state."""
    with monkeypatch.context() as there:
        there.setattr(sklearn.base, "__version__", version)
        path.write_bytes(skops.io.dumps(model) if path.suffix == ".skops" else pickle.dumps(model))
    return path


@pytest.mark.parametrize("name", ["m.skops", "m.pkl"])
@pytest.mark.parametrize("version", ["1.8.0", "1.4.2", "1.10.1"])
def test_another_version_is_accepted_on_request(
    iris: Data, tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch, name: str, version: str
) -> None:
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(*iris)
    path = saved_by(version, model, tmp_path / name, monkeypatch)
    text = refused(path)
    assert f"made by scikit-learn {version}" in text
    assert "--trust-version" in text
    loaded = load_pipeline(path, (EVERYTHING,), trust_version=True)
    assert same(artifact.loads(loaded.content, path), model, iris[0])
    assert loaded.content == artifact.dumps(model)


def test_another_patch_release_needs_no_option(iris: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = LogisticRegression(max_iter=1000).fit(*iris)
    assert load_pipeline(saved_by("1.9.0", model, tmp_path / "m.skops", monkeypatch)).content == artifact.dumps(model)


@pytest.mark.parametrize("version", ["1.3.2", "1.0", "0.24.1", "pre-0.18"])
def test_versions_whose_trees_predict_otherwise_are_refused(
    iris: Data, tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    path = saved_by(version, LogisticRegression(max_iter=1000).fit(*iris), tmp_path / "m.pkl", monkeypatch)
    assert "train it again" in refused(path, trust_version=True)


def test_an_estimator_that_is_known_to_predict_otherwise_is_refused(
    iris: Data, tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_pipeline(StandardScaler(), AdaBoostClassifier(n_estimators=2)).fit(*iris)
    path = saved_by("1.5.2", model, tmp_path / "m.pkl", monkeypatch)
    assert "AdaBoostClassifier of scikit-learn 1.5.2, which predicts otherwise" in refused(path, trust_version=True)
    path = saved_by("1.6.1", model, tmp_path / "m.skops", monkeypatch)
    assert same(load_pipeline(path, trust_version=True).pipeline, model, iris[0])


def test_parts_that_the_version_here_does_not_have_are_said_to_be_of_another(
    iris: Data, tmp_path: Path, refused: Refused
) -> None:
    content = pickle.dumps(GradientBoostingClassifier(n_estimators=2).fit(*iris), 0)
    assert b"__pyx_unpickle_CyHalf" in content
    (tmp_path / "m.pkl").write_bytes(content.replace(b"__pyx_unpickle_CyHalf", b"__pyx_unpickle_CyHale"))
    text = refused(tmp_path / "m.pkl")
    assert "part of scikit-learn that is not in the version here" in text


def test_losses_are_found_where_they_are_now(iris: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to 1.8 their module was called ``_loss``; the bytes are those of such a pickle."""
    model = GradientBoostingClassifier(n_estimators=2).fit(*iris)
    path = saved_by("1.8.0", model, tmp_path / "m.pkl", monkeypatch)
    content = pickle.dumps(pickle.loads(path.read_bytes()), 0)
    path.write_bytes(content.replace(b"csklearn._loss._loss\n", b"c_loss\n"))
    assert b"c_loss\n" in path.read_bytes()
    assert same(load_pipeline(path, (EVERYTHING,), trust_version=True).pipeline, model, iris[0])
