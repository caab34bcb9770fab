"""XGBoost, LightGBM and CatBoost: wrappers, boosters and files of their own, stored in their own formats."""

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import catboost
import lightgbm
import numpy as np
import pandas as pd
import pytest
import skops.io
import xgboost
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from model import artifact
from model.onboarding.load_pipeline import EVERYTHING, LoadedPipeline, load_pipeline
from tests.model.onboarding.conftest import same

Data = tuple[pd.DataFrame, pd.Series]
QUIET: dict[str, Any] = {"silent": True, "allow_writing_files": False, "thread_count": 1}


def xgb(kind: Any = xgboost.XGBClassifier, **more: Any) -> Any:
    return kind(n_estimators=4, n_jobs=1, **more)


def lgb(kind: Any = lightgbm.LGBMClassifier, **more: Any) -> Any:
    return kind(n_estimators=4, n_jobs=1, verbose=-1, **more)


def cat(kind: Any = catboost.CatBoostClassifier, **more: Any) -> Any:
    return kind(iterations=4, **QUIET, **more)


def check_round_trip(path: Path, trust: tuple[str, ...], model: Any, frame: Any) -> LoadedPipeline:
    """The same answers from what was brought and from what workers load, and the same bytes each time."""
    loaded = load_pipeline(path, trust)
    again = artifact.loads(loaded.content, path)
    assert loaded.trusted == ()
    assert same(loaded.pipeline, model, frame)
    assert same(again, model, frame)
    assert artifact.dumps(again) == artifact.dumps(loaded.pipeline) == loaded.content
    return loaded


@pytest.mark.parametrize(
    "make",
    [
        lambda: xgb(enable_categorical=True),
        lambda: xgb(booster="dart", enable_categorical=True),
        lgb,
        lambda: cat(cat_features=["size"]),
    ],
)
def test_wrappers_with_categories_of_their_own(tumours: Data, tmp_path: Path, make: Any) -> None:
    model = make().fit(*tumours)
    skops.io.dump(model, tmp_path / "m.skops")
    check_round_trip(tmp_path / "m.skops", (), model, tumours[0])
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(model))
    check_round_trip(tmp_path / "m.pkl", (EVERYTHING,), model, tumours[0])


@pytest.mark.parametrize(
    "make",
    [
        xgb,
        lambda: xgb(xgboost.XGBRegressor),
        lambda: xgb(xgboost.XGBRFClassifier),
        lambda: xgb(booster="gblinear"),
        lgb,
        lambda: lgb(lightgbm.LGBMRegressor),
        cat,
        lambda: cat(catboost.CatBoostRegressor),
    ],
)
def test_wrappers_inside_pipelines(iris: Data, tmp_path: Path, make: Any) -> None:
    columns = make_column_transformer((StandardScaler(), [0, 1]), remainder="passthrough")
    model = make_pipeline(columns.set_output(transform="pandas"), make()).fit(*iris)
    skops.io.dump(model, tmp_path / "m.skops")
    check_round_trip(tmp_path / "m.skops", (), model, iris[0])


@pytest.mark.parametrize("suffix", ["json", "ubj", "txt"])
def test_files_of_xgboost_become_its_estimator_whatever_their_name(tumours: Data, tmp_path: Path, suffix: str) -> None:
    model = xgb(enable_categorical=True).fit(*tumours)
    model.save_model(tmp_path / f"m.{'ubj' if suffix == 'ubj' else 'json'}")
    path = (tmp_path / f"m.{'ubj' if suffix == 'ubj' else 'json'}").rename(tmp_path / f"n.{suffix}")
    loaded = check_round_trip(path, (), model, tumours[0])
    assert loaded.features == tuple(tumours[0])
    assert loaded.format == "xgboost"


def test_a_file_of_lightgbm_becomes_its_estimator(tumours: Data, tmp_path: Path) -> None:
    for kind in (lightgbm.LGBMClassifier, lightgbm.LGBMRegressor):
        model = lgb(kind).fit(*tumours)
        model.booster_.save_model(tmp_path / "m.model")
        assert check_round_trip(tmp_path / "m.model", (), model, tumours[0]).features == tuple(tumours[0])


def test_a_file_of_catboost_becomes_its_estimator(tumours: Data, iris: Data, tmp_path: Path) -> None:
    names = iris[1].map({0: "setosa", 1: "versicolor", 2: "virginica"})
    for model, (frame, target) in (
        (cat(cat_features=["size"]), tumours),
        (cat(), (iris[0], names)),
        (cat(catboost.CatBoostRegressor), iris),
    ):
        model.fit(frame, target)
        model.save_model(str(tmp_path / "m"))
        assert check_round_trip(tmp_path / "m", (), model, frame).features == tuple(frame)


def test_features_that_are_only_numbered_have_no_names(iris: Data, tmp_path: Path) -> None:
    values = iris[0].to_numpy()
    xgb().fit(values, iris[1]).save_model(tmp_path / "x.json")
    lgb().fit(values, iris[1]).booster_.save_model(tmp_path / "l.txt")
    cat().fit(values, iris[1]).save_model(str(tmp_path / "c.cbm"))
    assert [load_pipeline(tmp_path / name).features for name in ("x.json", "l.txt", "c.cbm")] == [None] * 3


@pytest.mark.parametrize("objective", ["multi:softmax", "multi:softprob"])
def test_a_booster_of_xgboost_in_a_pickle_becomes_a_classifier(iris: Data, tmp_path: Path, objective: str) -> None:
    booster = xgboost.train({"objective": objective, "num_class": 3, "nthread": 1}, xgboost.DMatrix(*iris), 4)
    (tmp_path / "m.pkl").write_bytes(pickle.dumps({"bst": booster}))
    model = load_pipeline(tmp_path / "m.pkl", (EVERYTHING,)).pipeline
    native = booster.predict(xgboost.DMatrix(iris[0]))
    labels = native if objective == "multi:softmax" else native.argmax(axis=1)
    assert np.array_equal(model.predict(iris[0]), labels)
    assert model.predict_proba(iris[0]).shape == (150, 3)
    assert list(model.classes_) == [0, 1, 2]


def test_a_booster_of_lightgbm_predicts_as_it_does_by_itself(tumours: Data, tmp_path: Path) -> None:
    data = lightgbm.Dataset(*tumours)
    booster = lightgbm.train({"objective": "binary", "verbose": -1, "num_threads": 1}, data, 6)
    booster.best_iteration = 3
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(booster))
    model = load_pipeline(tmp_path / "m.pkl", (EVERYTHING,)).pipeline
    assert np.array_equal(model.predict_proba(tumours[0])[:, 1], booster.predict(tumours[0]))


def test_a_bare_model_of_catboost_becomes_a_classifier(tumours: Data, tmp_path: Path) -> None:
    bare = cat(lambda **options: catboost.CatBoost({"loss_function": "Logloss", "cat_features": ["size"], **options}))
    bare.fit(*tumours)
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(bare))
    model = load_pipeline(tmp_path / "m.pkl", (EVERYTHING,)).pipeline
    scores = bare.predict(tumours[0], prediction_type="Probability")
    assert np.allclose(model.predict_proba(tumours[0]), scores)


def test_what_is_stored_is_the_librarys_own_format(tumours: Data) -> None:
    """The archive of a booster holds data alone: a state, a model in bytes or text, and no call of anything."""
    frame, target = tumours
    for model in (xgb(enable_categorical=True), lgb(), cat(cat_features=["size"])):
        archive = zipfile.ZipFile(io.BytesIO(artifact.dumps(model.fit(frame, target))))
        loaders = set(_loaders(json.loads(archive.read("schema.json"))))
        assert loaders <= {"ObjectNode", "DictNode", "DefaultDictNode", "ListNode", "TupleNode", "TypeNode", "JsonNode",
                           "BytesNode", "BytearrayNode", "NdArrayNode"}  # fmt: skip


def test_a_damaged_file_is_refused(tumours: Data, tmp_path: Path, refused: Callable[..., str]) -> None:
    xgb(enable_categorical=True).fit(*tumours).save_model(tmp_path / "x.json")
    lgb().fit(*tumours).booster_.save_model(tmp_path / "l.txt")
    cat(cat_features=["size"]).fit(*tumours).save_model(str(tmp_path / "c.cbm"))
    for name, words in (("x.json", "by its library"), ("l.txt", "LightGBM"), ("c.cbm", "ends too early")):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
        assert words in refused(tmp_path / name, ())


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("left_children", 0), 10**6, "child"),
        (("right_children", 0), 1, "parents"),
        (("split_indices", 0), 10**6, "feature"),
    ],
)
def test_trees_of_xgboost_that_lead_nowhere_are_refused(
    iris: Data, tmp_path: Path, refused: Callable[..., str], path: tuple[str, int], value: int, words: str
) -> None:
    xgb().fit(*iris).save_model(tmp_path / "x.json")
    model = json.loads((tmp_path / "x.json").read_text())
    model["learner"]["gradient_booster"]["model"]["trees"][0][path[0]][path[1]] = value
    (tmp_path / "x.json").write_text(json.dumps(model))
    assert words in refused(tmp_path / "x.json", ())


def test_a_booster_in_an_archive_that_leads_nowhere_is_refused_before_it_is_loaded(
    iris: Data, tmp_path: Path, refused: Callable[..., str]
) -> None:
    content = artifact.dumps(xgb().fit(*iris))
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(tmp_path / "m.skops", "w") as target:
        for name in source.namelist():
            member = source.read(name)
            if name.endswith(".bin"):
                # The children of the first tree: a typed array of 32-bit numbers after its name.
                start = member.index(b"left_children") + len(b"left_children[$l#L") + 8
                member = member[:start] + (10**6).to_bytes(4, "big") + member[start + 4 :]
            target.writestr(name, member)
    assert "child that is not there" in refused(tmp_path / "m.skops", ())


@pytest.mark.parametrize(
    ("field", "value"), [("left_child", "100000"), ("right_child", "-100000"), ("split_feature", "100000")]
)
def test_trees_of_lightgbm_that_lead_nowhere_are_refused(
    iris: Data, tmp_path: Path, refused: Callable[..., str], field: str, value: str
) -> None:
    lgb().fit(*iris).booster_.save_model(tmp_path / "l.txt")
    lines = (tmp_path / "l.txt").read_text().splitlines()
    place = next(place for place, line in enumerate(lines) if line.startswith(f"{field}="))
    _, *rest = lines[place].split("=")[1].split(" ")
    changed = f"{field}={' '.join([value, *rest])}"
    # The sizes of the trees in bytes are in the header, which is left out: LightGBM then reads them in turn.
    lines = [line for line in [*lines[:place], changed, *lines[place + 1 :]] if not line.startswith("tree_sizes=")]
    (tmp_path / "l.txt").write_text("\n".join(lines) + "\n")
    assert "that is not there" in refused(tmp_path / "l.txt", ())


def _loaders(node: Any) -> Any:
    if isinstance(node, dict):
        if isinstance(node.get("__loader__"), str):
            yield node["__loader__"]
        for child in node.values():
            yield from _loaders(child)
    elif isinstance(node, list):
        for child in node:
            yield from _loaders(child)
