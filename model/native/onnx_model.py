"""ONNX models as scikit-learn estimators that run in ONNX Runtime, an optional extra."""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.metaestimators import available_if

from model.errors import RefusedModel
from model.native import protobuf

_DTYPES: dict[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
    "tensor(string)": object,
}
_LABELS = {"tensor(int64)", "tensor(string)", "tensor(int32)"}


class _OnnxModel(BaseEstimator):  # type: ignore[misc]
    """Holds the bytes of a model; the session that runs it is opened on first use, with one thread."""

    def __init__(self, content: bytes = b"") -> None:
        self.content = content

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_session"}

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: N803
        """Raise TypeError: an ONNX model can be run, not trained."""
        raise TypeError("a model in ONNX format cannot be fitted")

    def _outputs(self, X: Any) -> list[Any]:  # noqa: N803
        session = self._get_session()
        return list(session.run(None, _input_feed(session.get_inputs(), X)))

    def _get_session(self) -> Any:
        if "_session" not in self.__dict__:
            self._session = open_session(self.content)
        return self._session


class OnnxRegressor(RegressorMixin, _OnnxModel):  # type: ignore[misc]
    """A regressor in ONNX format with one output of numbers, shape (n,), (n, 1) or (n, targets)."""

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """Return the predictions for n records, shape (n,) or (n, targets)."""
        values = np.asarray(self._outputs(X)[0])
        return values.ravel() if values.ndim == 2 and values.shape[1] == 1 else values


class OnnxClassifier(ClassifierMixin, _OnnxModel):  # type: ignore[misc]
    """A classifier in ONNX format with an output of labels and, where it has them, one of probabilities.

    ``classes_`` are its labels; ``label_output_`` and ``probability_output_`` the indices of the outputs.
    """

    classes_: NDArray[Any]
    label_output_: int
    probability_output_: int | None

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """Return the labels of n records, shape (n,)."""
        return np.asarray(self._outputs(X)[self.label_output_]).ravel().astype(self.classes_.dtype)

    def _has_probabilities(self) -> bool:
        return self.probability_output_ is not None

    @available_if(_has_probabilities)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """Return the probabilities for n records, shape (n, classes), columns in the order of ``classes_``."""
        assert self.probability_output_ is not None
        output = self._outputs(X)[self.probability_output_]
        if isinstance(output, list):
            classes = self.classes_.tolist()
            return np.array([[row[name] for name in classes] for row in output]).reshape(len(output), len(classes))
        values = np.asarray(output)
        if len(self.classes_) == 2 and (values.ndim == 1 or values.shape[1] == 1):
            values = np.column_stack([1 - values.ravel(), values.ravel()])
        return values


def from_onnx(content: bytes) -> OnnxClassifier | OnnxRegressor:
    """Return a model as its estimator, a classifier or a regressor according to its outputs.

    Raise RefusedModel where ONNX Runtime is not installed or cannot read it, or where its inputs or outputs are of
    other kinds.
    """
    if find_spec("onnxruntime") is None:
        raise RefusedModel("it needs onnxruntime, which is not installed here; pip install -r requirements-onnx.txt")
    try:
        session = open_session(content)
    except Exception as error:
        raise RefusedModel(f"ONNX Runtime cannot read it: {error}") from error
    inputs, outputs = session.get_inputs(), session.get_outputs()
    _check_inputs(inputs)
    labels = [place for place, output in enumerate(outputs) if output.type in _LABELS]
    scores = [place for place, output in enumerate(outputs) if place not in labels]
    if len(labels) > 1 or len(scores) > 1:
        output_names = ", ".join(output.name for output in outputs)
        raise RefusedModel(
            f"its outputs are {output_names}; supported are labels with or without probabilities, or one of numbers"
        )
    estimator = _classifier(content, outputs, labels[0], scores) if labels else OnnxRegressor(content)
    names = _names(session)
    if names is not None:
        estimator.feature_names_in_ = np.array(names, dtype=object)
        estimator.n_features_in_ = len(names)
    elif isinstance(inputs[0].shape[1], int):
        estimator.n_features_in_ = inputs[0].shape[1]
    return estimator


def open_session(content: bytes) -> Any:
    """Return a session on the CPU that uses one thread; raise what ONNX Runtime raises."""
    import onnxruntime  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _check_inputs(inputs: Sequence[Any]) -> None:
    for graph_input in inputs:
        if (
            graph_input.type not in _DTYPES
            or len(graph_input.shape) not in {1, 2}
            or (len(inputs) > 1 and _width(graph_input) != 1)
        ):
            shape = f"{graph_input.type} of shape {graph_input.shape}"
            raise RefusedModel(
                f"its input {graph_input.name} is a {shape}; supported are one table of numbers or texts, or a column "
                "for each feature"
            )
    if len(inputs) == 1 and len(inputs[0].shape) == 1:
        raise RefusedModel(f"its input {inputs[0].name} has one dimension; give it two, records and features")


def _width(graph_input: Any) -> Any:
    return graph_input.shape[1] if len(graph_input.shape) == 2 else 1


def _classifier(content: bytes, outputs: Sequence[Any], label: int, scores: Sequence[int]) -> OnnxClassifier:
    classes = np.array(_classes(content, outputs, label, scores))
    estimator = OnnxClassifier(content)
    estimator.classes_ = classes.astype(object) if classes.dtype.kind == "U" else classes
    estimator.label_output_ = label
    estimator.probability_output_ = scores[0] if scores else None
    return estimator


def _classes(content: bytes, outputs: Sequence[Any], label: int, scores: Sequence[int]) -> list[Any]:
    """Return the labels that an operator of the graph names, or else 0, 1, … for as many as there are probabilities."""
    named = list(protobuf.class_labels(content))
    if named:
        return max(named, key=len)
    shape: Sequence[Any] = outputs[scores[0]].shape if scores else ()
    if outputs[label].type != "tensor(string)" and len(shape) == 2 and isinstance(shape[1], int):
        return list(range(max(shape[1], 2)))
    raise RefusedModel("its classes are named nowhere; export it with its class labels (skl2onnx does so)")


def _names(session: Any) -> tuple[str, ...] | None:
    """Return the names of the features: the inputs', where each is one column, or those in the file's metadata."""
    inputs = session.get_inputs()
    if len(inputs) > 1 or _width(inputs[0]) == 1:
        return tuple(graph_input.name for graph_input in inputs)
    metadata = session.get_modelmeta().custom_metadata_map
    text = next((metadata[key] for key in ("feature_names", "features", "columns") if key in metadata), None)
    names = tuple(protobuf.names_in(text)) if text else ()
    return names if names and _width(inputs[0]) in {len(names), None} else None


def _input_feed(inputs: Sequence[Any], X: Any) -> dict[str, Any]:  # noqa: N803
    if len(inputs) == 1:
        return {inputs[0].name: _as_tensor(X, _DTYPES[inputs[0].type])}
    return {graph_input.name: column for graph_input, column in zip(inputs, _columns(inputs, X), strict=True)}


def _columns(inputs: Sequence[Any], X: Any) -> Iterator[NDArray[Any]]:  # noqa: N803
    for place, graph_input in enumerate(inputs):
        values = X[graph_input.name] if hasattr(X, "columns") else np.asarray(X)[:, place]
        column = _as_tensor(values, _DTYPES[graph_input.type])
        yield column.reshape(-1, 1) if len(graph_input.shape) == 2 else column


def _as_tensor(values: Any, dtype: Any) -> NDArray[Any]:
    array = np.asarray(values)
    return array.astype(str).astype(object) if dtype is object else np.ascontiguousarray(array.astype(dtype))
