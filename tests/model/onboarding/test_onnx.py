"""ONNX models run in ONNX Runtime, as estimators that predict like the models they were exported from."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from model import artifact
from model.onboarding.load_pipeline import load_pipeline

Refused = Callable[..., str]
Data = tuple[pd.DataFrame, pd.Series]


def saved(model: onnx.ModelProto, path: Path) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.parametrize("names", [None, ["setosa", "versicolor", "virginica"]])
def test_a_classifier_of_one_table(iris: Data, tmp_path: Path, zipmap: bool, names: list[str] | None) -> None:
    values = iris[0].to_numpy(np.float32)
    target = iris[1] if names is None else iris[1].map(dict(enumerate(names)))
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(values, target)
    path = saved(to_onnx(model, values[:1], options={id(model): {"zipmap": zipmap}}), tmp_path / "m.onnx")
    loaded = load_pipeline(path)
    assert list(loaded.pipeline.classes_) == list(model.classes_)
    assert np.array_equal(loaded.pipeline.predict(iris[0]), model.predict(values))
    assert np.allclose(loaded.pipeline.predict_proba(iris[0]), model.predict_proba(values), atol=1e-6)
    again = artifact.loads(loaded.content, path)
    assert np.array_equal(again.predict_proba(iris[0]), loaded.pipeline.predict_proba(iris[0]))
    assert artifact.dumps(again) == loaded.content
    assert loaded.trusted == ()
    assert loaded.features is None


def test_a_pipeline_with_an_input_for_each_column(tumours: Data, tmp_path: Path) -> None:
    frame = tumours[0].astype({"size": object})
    columns = make_column_transformer((OneHotEncoder(), ["size"]), remainder="passthrough")
    model = make_pipeline(columns, RandomForestClassifier(n_estimators=3, random_state=0)).fit(frame, tumours[1])
    kinds = [(name, StringTensorType([None, 1]) if name == "size" else FloatTensorType([None, 1])) for name in frame]
    loaded = load_pipeline(saved(to_onnx(model, initial_types=kinds), tmp_path / "m"))
    assert loaded.features == tuple(frame)
    assert (loaded.pipeline.predict(frame) == model.predict(frame)).mean() > 0.99


def test_a_regressor(iris: Data, tmp_path: Path) -> None:
    values = iris[0].to_numpy(np.float32)
    model = LinearRegression().fit(values, iris[1])
    loaded = load_pipeline(saved(to_onnx(model, values[:1]), tmp_path / "m"))
    predictions = loaded.pipeline.predict(iris[0])
    assert predictions.shape == (150,)
    assert np.allclose(predictions, model.predict(values), atol=1e-5)
    assert not hasattr(loaded.pipeline, "classes_")


def graph(inputs: list[Any], outputs: list[Any], *nodes: Any, **metadata: str) -> onnx.ModelProto:
    model = helper.make_model(
        helper.make_graph(list(nodes), "g", inputs, outputs), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    helper.set_model_props(model, metadata)
    return model


def test_names_of_features_come_from_the_metadata(tmp_path: Path) -> None:
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])
    found = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])
    node = helper.make_node("ReduceMean", ["x"], ["y"], axes=[1])
    loaded = load_pipeline(saved(graph([given], [found], node, feature_names='["age", "hours"]'), tmp_path / "m"))
    assert loaded.features == ("age", "hours")
    assert list(loaded.pipeline.predict(np.array([[1.0, 3.0]]))) == [2.0]


def test_other_models_are_refused(tmp_path: Path, refused: Refused) -> None:
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 3, 8, 8])
    found = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 3, 8, 8])
    node = helper.make_node("Relu", ["x"], ["y"])
    assert "one table of numbers" in refused(saved(graph([image], [found], node), tmp_path / "m"), ())
    table = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])
    both = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 2]) for name in ("y", "z")]
    nodes = [helper.make_node("Relu", ["x"], [name]) for name in ("y", "z")]
    assert "its outputs are y, z" in refused(saved(graph([table], both, *nodes), tmp_path / "m"), ())
    content = (tmp_path / "m").read_bytes()
    (tmp_path / "m").write_bytes(content[:40])
    assert "ONNX Runtime cannot read it" in refused(tmp_path / "m", ())


def test_without_onnx_runtime_the_command_is_named(
    iris: Data, tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = iris[0].to_numpy(np.float32)
    path = saved(to_onnx(LinearRegression().fit(values, iris[1]), values[:1]), tmp_path / "m")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "pip install -r requirements-onnx.txt" in refused(path, ())
