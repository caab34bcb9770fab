"""Explanations of tree models: what each feature of a record adds to the model's raw output, exactly.

By TreeSHAP (Lundberg et al. 2020, 'From local explanations to global understanding with explainable AI for trees',
Nature Machine Intelligence 2), computed by the library shap. That is an optional extra, `requirements-explain.txt`,
imported only when a tree model is to be explained: it takes 210 MB of disk, and of a process about a second and
65 MB, most of it for numba, which shap imports and trees do not need.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor

from model.card import TREE_EXPLAINER
from model.columns import Floats
from model.explain import Explanation, Unit
from model.origins import UntraceableColumns, origins_of
from model.schema import Feature

GRADIENT = (GradientBoostingClassifier, GradientBoostingRegressor)
HISTOGRAM = (HistGradientBoostingClassifier, HistGradientBoostingRegressor)
AVERAGED = (
    RandomForestClassifier,
    RandomForestRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)
NOT_INSTALLED = "tree models are explained where the packages in requirements-explain.txt are installed"
# Explaining takes a matrix of every encoded column of every record: 16 MB of it at a time.
CELLS_AT_ONCE = 2_000_000


class TreeExplainer:
    """Explains a fitted tree model, alone or at the end of a pipeline, in `unit`."""

    def __init__(self, pipeline: Any, features: Sequence[Feature]) -> None:
        self._encoder, self._model = _split(pipeline)
        self._to_features = _sums(pipeline, features)
        self._shap = _shap_explainers(self._model)
        self.unit = _unit(self._model)

    @classmethod
    def of(cls, pipeline: Any, features: Sequence[Feature]) -> "TreeExplainer | None":
        """Return the explainer of a fitted pipeline, or None where there is an `obstacle`."""
        return cls(pipeline, features) if obstacle(pipeline, features) is None else None

    def explain(self, frame: pd.DataFrame, classes: NDArray[np.int64] | None = None) -> Explanation:
        """Return the effects of the features on the records of `frame`, whose columns are the features.

        `classes`, shape (n,): the class, an index into the pipeline's `classes_`, whose output each row's effects add
        up to. Where it is None, that is the second of two classes and the likeliest of several.
        """
        if len(frame) == 0:
            return Explanation(np.empty(0), np.empty((0, self._to_features.shape[1])), self.unit)
        effects, baselines = self._of_every_output(self._encoded(frame))
        if not is_classifier(self._model):
            return Explanation(np.full(len(frame), baselines[0]), effects[:, :, 0], self.unit)
        if len(baselines) == 1:
            effects, baselines = np.concatenate([-effects, effects], axis=2), np.array([-baselines[0], baselines[0]])
        chosen = _usual_classes(effects, baselines) if classes is None else classes
        return Explanation(baselines[chosen], effects[np.arange(len(frame)), :, chosen], self.unit)

    def _encoded(self, frame: pd.DataFrame) -> Any:
        return frame if self._encoder is None else self._encoder.transform(frame)

    def _of_every_output(self, encoded: Any) -> tuple[Floats, Floats]:
        """Return effects, shape (n, features, outputs), and baselines, shape (outputs,)."""
        baselines = np.concatenate([np.atleast_1d(explainer.expected_value) for explainer in self._shap])
        rows = max(1, CELLS_AT_ONCE // (len(self._to_features) * len(baselines)))
        starts = range(0, encoded.shape[0], rows)
        parts = [self._effects(_dense(encoded, slice(start, start + rows))) for start in starts]
        return np.concatenate(parts), baselines.astype(np.float64)

    def _effects(self, matrix: Floats) -> Floats:
        values = (explainer.shap_values(matrix, check_additivity=False) for explainer in self._shap)
        columns = np.concatenate([value if value.ndim == 3 else value[:, :, np.newaxis] for value in values], axis=2)
        return np.asarray(np.einsum("nck,cf->nfk", columns, self._to_features, optimize=True), dtype=np.float64)


def obstacle(pipeline: Any, features: Sequence[Feature]) -> str | None:
    """Return why a fitted pipeline cannot be explained, a clause without a full stop, or None where it can be."""
    if problem := obstacle_in_model(pipeline, features):
        return problem
    return None if find_spec(TREE_EXPLAINER) else NOT_INSTALLED


def obstacle_in_model(pipeline: Any, features: Sequence[Feature]) -> str | None:
    """Return what of the pipeline itself stands against explaining it, wherever that is tried, or None."""
    if problem := _model_obstacle(_split(pipeline)[1]):
        return problem
    try:
        _sums(pipeline, features)
    except UntraceableColumns as error:
        return str(error)
    return None


def _split(pipeline: Any) -> tuple[Any, Any]:
    """Return what stands before the model of a pipeline, None for nothing, and the model."""
    if not isinstance(pipeline, Pipeline):
        return None, pipeline
    return (pipeline[:-1] if len(pipeline) > 1 else None), pipeline[-1]


def _model_obstacle(model: Any) -> str | None:
    kind = type(model).__name__
    # Of subclasses nobody knows what they make of the trees.
    if type(model) not in GRADIENT + HISTOGRAM + AVERAGED:
        return f"{kind} is not a tree model that can be explained"
    if getattr(model, "n_outputs_", 1) > 1:
        return f"this {kind} has several targets"
    if type(model) in GRADIENT and model.init not in (None, "zero"):
        return f"this {kind} starts from the predictions of another model"
    if type(model) in HISTOGRAM and model.is_categorical_ is not None:
        return f"this {kind} splits on categories themselves; with categories encoded as numbers it can be explained"
    return None


def _unit(model: Any) -> Unit:
    if type(model) in AVERAGED:
        return Unit.PROBABILITY if is_classifier(model) else Unit.TARGET
    if is_classifier(model):
        return Unit.LOG_ODDS if len(model.classes_) == 2 and model.loss == "log_loss" else Unit.SCORE
    return Unit.LOG_TARGET if model.loss in ("poisson", "gamma") else Unit.TARGET


def _sums(pipeline: Any, features: Sequence[Feature]) -> Floats:
    """Return the matrix, shape (columns of the model, features), that sums effects of columns back to features."""
    encoder, model = _split(pipeline)
    places = {feature.name: index for index, feature in enumerate(features)}
    taken = list(getattr(pipeline, "feature_names_in_", places))
    if unknown := [name for name in taken if name not in places]:
        raise UntraceableColumns(f"the model takes the column {unknown[0]!r}, which is no feature")
    return np.eye(len(features))[origins_of(encoder, [places[name] for name in taken], model.n_features_in_)]


def _dense(encoded: Any, rows: slice) -> Floats:
    part = encoded.iloc[rows] if isinstance(encoded, pd.DataFrame) else encoded[rows]
    return np.asarray(part.toarray() if hasattr(part, "toarray") else part, dtype=np.float64)


def _usual_classes(effects: Floats, baselines: Floats) -> NDArray[np.int64]:
    if len(baselines) == 2:
        return np.ones(len(effects), dtype=np.int64)
    return np.asarray((effects.sum(axis=1) + baselines).argmax(axis=1), dtype=np.int64)


def _shap_explainers(model: Any) -> list[Any]:
    """Return shap's explainers, which together have every output of the model once."""
    import shap  # noqa: PLC0415 - slow, and optional

    if type(model) not in GRADIENT:
        return [shap.TreeExplainer(model)]
    # shap takes neither several classes of these nor every loss, so it is given their trees.
    return [shap.TreeExplainer(trees) for trees in _trees_by_class(model)]


def _trees_by_class(model: Any) -> list[dict[str, Any]]:
    """Return the trees of each class of a gradient boosting model, in the form that shap takes from anywhere."""
    raw_output = model.decision_function if is_classifier(model) else model.predict
    origin = np.zeros((1, model.n_features_in_), dtype=np.float32)
    output = raw_output(pd.DataFrame(origin, columns=getattr(model, "feature_names_in_", None))).reshape(-1)
    ensembles = []
    for estimators, total in zip(model.estimators_.T, output, strict=True):
        grown = model.learning_rate * sum(float(estimator.predict(origin)[0]) for estimator in estimators)
        trees = [_tree(estimator.tree_, model.learning_rate) for estimator in estimators]
        ensembles.append({"trees": trees, "base_offset": float(total) - grown, "input_dtype": np.float32})
    return ensembles


def _tree(tree: Any, rate: float) -> dict[str, Any]:
    return {
        "children_left": tree.children_left,
        "children_right": tree.children_right,
        "children_default": tree.children_left,
        "features": tree.feature,
        "thresholds": tree.threshold,
        "values": tree.value[:, :, 0] * rate,
        "node_sample_weight": tree.weighted_n_node_samples,
    }
