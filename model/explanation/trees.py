"""Explanations of scikit-learn's tree models, by TreeSHAP.

(Lundberg et al. 2020, 'From local explanations to global understanding with explainable AI for trees', Nature Machine
Intelligence 2.) `path_shap` computes it for all of them. The library shap does so quicker where it knows the model and
is installed: an optional extra, `requirements-explain.txt`, imported only when a model is to be explained. Very large
forests are left to it.
"""

from functools import cached_property
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array
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
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor

from model.columns import Floats
from model.explanation.column_lineage import Lineage
from model.explanation.explanation import Attribution, NotExplainable, Unit
from model.explanation.path_shap import Decide, PathShap, Tree

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
MODELS = GRADIENT + HISTOGRAM + AVERAGED
LIBRARY = "shap"
# Of forests with more nodes than that, `path_shap` would take gigabytes of memory and many seconds a record.
LARGEST_FOREST = 300_000
_WORD_BITS = 32


class TreeModel:
    """Attributes the raw outputs of a fitted model of `MODELS` to features."""

    method = "TreeSHAP"
    is_centred = True

    def __init__(self, model: Any, columns: Lineage) -> None:
        """Raise NotExplainable where the model has several targets, or starts from another model's predictions."""
        self._model = model
        self._categories = None
        if getattr(model, "n_outputs_", 1) > 1:
            raise NotExplainable(f"this {type(model).__name__} has several targets")
        if isinstance(model, GRADIENT) and model.init not in (None, "zero"):
            raise NotExplainable(f"this {type(model).__name__} starts from the predictions of another model")
        if isinstance(model, HISTOGRAM) and model.is_categorical_ is not None:
            self._categories = model._preprocessor
            columns = columns.through(self._categories, model.n_features_in_)
        self._sums = columns.sums
        self.unit = _unit(model)
        self.libraries = frozenset({LIBRARY} if _size(model) > LARGEST_FOREST else ())

    @property
    def cells(self) -> int:
        """Every column for each output, or, where `path_shap` works, the paths of a tree."""
        found = self._explained_by
        dense = int(self._sums.shape[0]) * len(getattr(self._model, "classes_", (0,)))
        return max(dense, *(part.cells for part in found)) if isinstance(found, list) else dense

    def attribute(self, given: Any) -> Attribution:
        """Return the effects on every output, relative to the training records as the trees count them."""
        matrix = _dense(given if self._categories is None else self._categories.transform(given))
        found = self._explained_by
        if isinstance(found, list):
            values = np.concatenate([part.values(matrix) for part in found], axis=2)
            baselines = np.concatenate([part.baselines for part in found]) + self._offsets
        else:
            values = found.shap_values(matrix, check_additivity=False)
            values = values if values.ndim == 3 else values[:, :, np.newaxis]
            baselines = np.atleast_1d(found.expected_value)
        return Attribution(summed(values, self._sums), np.asarray(baselines, dtype=np.float64))

    def raw_outputs(self, given: Any) -> Floats:
        """Return probabilities, decisions or predictions, the logarithm of these where the loss has it."""
        match self.unit:
            case Unit.PROBABILITY:
                return np.asarray(self._model.predict_proba(given))
            case Unit.TARGET:
                return np.asarray(self._model.predict(given)).reshape(-1, 1)
            case Unit.LOG_TARGET:
                return np.asarray(np.log(self._model.predict(given))).reshape(-1, 1)
            case _:
                decisions = np.asarray(self._model.decision_function(given))
                return decisions.reshape(len(decisions), -1)

    @cached_property
    def _explained_by(self) -> Any:
        """An explainer of shap's, or a PathShap for each output; made when it is first asked for."""
        known = type(self._model) in HISTOGRAM + AVERAGED and self._categories is None
        if known and find_spec(LIBRARY):
            import shap  # noqa: PLC0415 - slow, and optional

            return shap.TreeExplainer(self._model)
        return [PathShap(trees, self._sums.shape[0]) for trees in _trees(self._model)]

    @cached_property
    def _offsets(self) -> Floats:
        """What a boosted model starts from, before its first tree, by output."""
        if isinstance(self._model, HISTOGRAM):
            return np.asarray(self._model._baseline_prediction, dtype=np.float64).reshape(-1)
        if isinstance(self._model, GRADIENT):
            return _start_of(self._model)
        return np.zeros(1)


def summed(values: Floats, sums: csr_array) -> Floats:
    """Return effects of columns, shape (n, columns, outputs), summed to features: (n, features, outputs)."""
    return np.stack([values[:, :, output] @ sums for output in range(values.shape[2])], axis=2)


def _unit(model: Any) -> Unit:
    if isinstance(model, AVERAGED):
        return Unit.PROBABILITY if is_classifier(model) else Unit.TARGET
    if is_classifier(model):
        return Unit.LOG_ODDS if len(model.classes_) == 2 and model.loss == "log_loss" else Unit.SCORE
    return Unit.LOG_TARGET if model.loss in ("poisson", "gamma") else Unit.TARGET


def _dense(encoded: Any) -> Floats:
    part = encoded.to_numpy() if isinstance(encoded, pd.DataFrame) else encoded
    return np.asarray(part.toarray() if hasattr(part, "toarray") else part, dtype=np.float64)


def _size(model: Any) -> int:
    """How many nodes a forest has; boosted trees are small."""
    if not isinstance(model, AVERAGED):
        return 0
    return sum(estimator.tree_.node_count for estimator in getattr(model, "estimators_", [model]))


def _trees(model: Any) -> list[list[Tree]]:
    """Return the trees that sum up to each of the outputs, or to all of them at once."""
    if isinstance(model, HISTOGRAM):
        known, places = model._bin_mapper.make_known_categories_bitsets()
        return [
            [_histogram_tree(tree, known, places) for tree in trees] for trees in zip(*model._predictors, strict=True)
        ]
    if isinstance(model, GRADIENT):
        rate = model.learning_rate
        return [[_tree(each.tree_, each.tree_.value[:, 0] * rate) for each in column] for column in model.estimators_.T]
    estimators = getattr(model, "estimators_", [model])
    return [[_tree(each.tree_, each.tree_.value[:, 0] / len(estimators)) for each in estimators]]


def _start_of(model: Any) -> Floats:
    """Return what a gradient boosting model answers before its trees are added, by output."""
    raw_output = model.decision_function if is_classifier(model) else model.predict
    origin = np.zeros((1, model.n_features_in_), dtype=np.float32)
    output = raw_output(pd.DataFrame(origin, columns=getattr(model, "feature_names_in_", None))).reshape(-1)
    grown = [sum(float(each.predict(origin)[0]) for each in column) for column in model.estimators_.T]
    return np.asarray(output - model.learning_rate * np.array(grown), dtype=np.float64)


def _tree(tree: Any, values: Floats) -> Tree:
    asked = np.maximum(tree.feature, 0)
    thresholds, missing_left = tree.threshold, tree.missing_go_to_left.astype(np.bool_)

    def goes_left(matrix: Floats) -> NDArray[np.bool_]:
        found = matrix[:, asked].astype(np.float32)
        return np.asarray(np.where(np.isnan(found), missing_left, found <= thresholds))

    left, right = tree.children_left.astype(np.int64), tree.children_right.astype(np.int64)
    return Tree(left, right, asked, values, tree.weighted_n_node_samples, goes_left)


def _histogram_tree(tree: Any, known: NDArray[np.uint32], places: NDArray[np.uint32]) -> Tree:
    nodes = tree.nodes
    is_leaf = nodes["is_leaf"].astype(np.bool_)
    asked = np.where(is_leaf, 0, nodes["feature_idx"]).astype(np.int64)
    left, right = (np.where(is_leaf, -1, nodes[side].astype(np.int64)) for side in ("left", "right"))
    goes_left = _histogram_decision(tree, asked, known, places)
    return Tree(left, right, asked, nodes["value"][:, np.newaxis], nodes["count"].astype(np.float64), goes_left)


def _histogram_decision(
    tree: Any, asked: NDArray[np.int64], known: NDArray[np.uint32], places: NDArray[np.uint32]
) -> Decide:
    nodes, bitsets = tree.nodes, tree.raw_left_cat_bitsets
    missing_left, thresholds = nodes["missing_go_to_left"].astype(np.bool_), nodes["num_threshold"]
    categorical = np.flatnonzero(nodes["is_categorical"] & ~nodes["is_leaf"])

    def goes_left(matrix: Floats) -> NDArray[np.bool_]:
        found = matrix[:, asked]
        left: NDArray[np.bool_] = np.where(np.isnan(found), missing_left, found <= thresholds)
        for node in categorical:
            values = found[:, node]
            # A category that training did not know counts as a missing one.
            is_known = _in_bitset(known[places[asked[node]]], values)
            goes = _in_bitset(bitsets[nodes["bitset_idx"][node]], values)
            left[:, node] = np.where(is_known | goes, goes, missing_left[node])
        return left

    return goes_left


def _in_bitset(bitset: NDArray[np.uint32], values: Floats) -> NDArray[np.bool_]:
    within = (values >= 0) & (values < len(bitset) * _WORD_BITS)  # false for NaN
    places = np.where(within, values, 0).astype(np.int64)
    bits = bitset[places // _WORD_BITS] >> (places % _WORD_BITS).astype(np.uint32)
    return np.asarray(within & (bits & 1).astype(np.bool_))
