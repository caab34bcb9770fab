"""Explain scikit-learn's tree models by TreeSHAP.

S. Lundberg et al. 2020, 'From local explanations to global understanding with explainable AI for trees', Nature Machine
Intelligence 2:56-67, with path-dependent feature perturbation. ``path_shap`` computes it for all of them. Where the
library shap knows the model and is installed (an optional extra, ``requirements-explain.txt``), it does so quicker,
with the same result; very large forests need it. It is imported only when a model is to be explained.
"""

from collections.abc import Iterable, Sequence
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
from model.explanation.path_shap import Integers, PathShap, Trees

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
# For forests with more nodes, ``path_shap`` would take much memory, and a second per record.
LARGEST_FOREST = 100_000
# Nodes of the trees that are computed together: more save calls, but take more memory for each record.
NODES_OF_A_BLOCK = 4_000
_WORD_BITS = 32


class TreeModel:
    """Attribute the raw outputs of a fitted model of ``MODELS`` to features."""

    method = "TreeSHAP"
    is_centred = True
    is_linear = False

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
            # Its own preprocessor puts the categories first, and its trees count columns in that order.
            columns = columns.of_columns(np.argsort(~model.is_categorical_, kind="stable"))
        self._sums = columns.sums
        self.unit = _unit(model)
        self.libraries = frozenset({LIBRARY} if _count_nodes(model) > LARGEST_FOREST else ())

    @property
    def cells(self) -> int:
        """Every column for each output."""
        return int(self._sums.shape[0]) * len(getattr(self._model, "classes_", (0,)))

    def attribute(self, inputs: Any) -> Attribution:
        """Return the effects on every output, relative to the mean over the training records."""
        matrix = _dense(inputs if self._categories is None else self._categories.transform(inputs))
        explainer = self._explainer
        if isinstance(explainer, list):
            values = np.concatenate([output.values(matrix) for output in explainer], axis=2)
            baselines = np.concatenate([output.baselines for output in explainer]) + self._offsets
        else:
            values = explainer.shap_values(matrix, check_additivity=False)
            # shap leaves out the axis of outputs where there is one output.
            values = values if values.ndim == 3 else values[:, :, np.newaxis]
            baselines = np.atleast_1d(explainer.expected_value)
        return Attribution(summed(values, self._sums), np.asarray(baselines, dtype=np.float64))

    def raw_outputs(self, inputs: Any) -> Floats:
        """Return probabilities, decisions or predictions, or the logarithm of these with a log link."""
        match self.unit:
            case Unit.PROBABILITY:
                return np.asarray(self._model.predict_proba(inputs))
            case Unit.TARGET:
                return np.asarray(self._model.predict(inputs)).reshape(-1, 1)
            case Unit.LOG_TARGET:
                return np.asarray(np.log(self._model.predict(inputs))).reshape(-1, 1)
            case _:
                decisions = np.asarray(self._model.decision_function(inputs))
                return decisions.reshape(len(decisions), -1)

    @cached_property
    def _explainer(self) -> Any:
        """shap's explainer, or a list of PathShap: one for each output, or one for all that share their trees."""
        # shap supports neither native categories nor a GradientBoostingClassifier of several classes.
        known = type(self._model) in HISTOGRAM + AVERAGED and self._categories is None
        if known and find_spec(LIBRARY):
            import shap  # noqa: PLC0415 - slow, and optional

            return shap.TreeExplainer(self._model)
        return [PathShap(blocks, self._sums.shape[0]) for blocks in blocks_of(self._model)]

    @cached_property
    def _offsets(self) -> Floats:
        """What a boosted model starts from before its first tree, by output; 0 for others."""
        if isinstance(self._model, HISTOGRAM):
            return np.asarray(self._model._baseline_prediction, dtype=np.float64).reshape(-1)
        if isinstance(self._model, GRADIENT):
            return _initial_outputs(self._model)
        return np.zeros(1)


def summed(values: Floats, sums: csr_array) -> Floats:
    """Sum effects of columns, shape (n, columns, outputs), to effects of features, shape (n, features, outputs)."""
    return np.stack([values[:, :, output] @ sums for output in range(values.shape[2])], axis=2)


def _unit(model: Any) -> Unit:
    if isinstance(model, AVERAGED):
        return Unit.PROBABILITY if is_classifier(model) else Unit.TARGET
    if is_classifier(model):
        return Unit.LOG_ODDS if len(model.classes_) == 2 and model.loss == "log_loss" else Unit.SCORE
    return Unit.LOG_TARGET if model.loss in ("poisson", "gamma") else Unit.TARGET


def _dense(inputs: Any) -> Floats:
    matrix = inputs.to_numpy() if isinstance(inputs, pd.DataFrame) else inputs
    return np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix, dtype=np.float64)


def _count_nodes(model: Any) -> int:
    """Return how many nodes a forest has; 0 for boosted trees, which are small."""
    if not isinstance(model, AVERAGED):
        return 0
    return sum(estimator.tree_.node_count for estimator in getattr(model, "estimators_", [model]))


def blocks_of(model: Any) -> list[list[Trees]]:
    """Return the trees of a model in blocks.

    The outer list has an entry for each output where these have trees of their own (boosting), else one for all of
    them.
    """
    if isinstance(model, HISTOGRAM):
        known_bitsets, rows = model._bin_mapper.make_known_categories_bitsets()
        by_output = zip(*model._predictors, strict=True)
        return [[_histogram_trees(block, known_bitsets, rows) for block in _in_blocks(trees)] for trees in by_output]
    if isinstance(model, GRADIENT):
        rate = model.learning_rate
        return [[_trees(block, rate) for block in _in_blocks(column)] for column in model.estimators_.T]
    estimators = getattr(model, "estimators_", [model])
    return [[_trees(block, 1 / len(estimators)) for block in _in_blocks(estimators)]]


def _in_blocks(trees: Iterable[Any]) -> list[list[Any]]:
    """Divide trees into blocks of at most ``NODES_OF_A_BLOCK`` nodes, or of one larger tree."""
    blocks: list[list[Any]] = []
    nodes = NODES_OF_A_BLOCK
    for tree in trees:
        size = len(tree.nodes) if hasattr(tree, "nodes") else tree.tree_.node_count
        if nodes + size > NODES_OF_A_BLOCK:
            blocks.append([])
            nodes = 0
        blocks[-1].append(tree)
        nodes += size
    return blocks


def _initial_outputs(model: Any) -> Floats:
    """Return what a gradient boosting model predicts before its trees are added, by output."""
    # No attribute holds it for every loss; so subtract from the output for any record what the trees add to it.
    raw_output = model.decision_function if is_classifier(model) else model.predict
    record = np.zeros((1, model.n_features_in_), dtype=np.float32)
    output = raw_output(pd.DataFrame(record, columns=getattr(model, "feature_names_in_", None))).reshape(-1)
    added = [sum(float(tree.predict(record)[0]) for tree in stages) for stages in model.estimators_.T]
    return np.asarray(output - model.learning_rate * np.array(added), dtype=np.float64)


def _trees(estimators: Sequence[Any], factor: float) -> Trees:
    trees = [estimator.tree_ for estimator in estimators]
    # Leaves have the feature -2; any column does for them.
    columns = np.concatenate([np.maximum(tree.feature, 0) for tree in trees])
    thresholds = np.concatenate([tree.threshold for tree in trees])
    missing_left = np.concatenate([tree.missing_go_to_left for tree in trees]).astype(np.bool_)

    def goes_left(matrix: Floats) -> NDArray[np.bool_]:
        # In 32 bits, as scikit-learn's trees compare: a value just above a threshold may be equal to it there.
        values = matrix.astype(np.float32)[:, columns]
        return np.asarray(np.where(np.isnan(values), missing_left, values <= thresholds))

    roots = _roots([tree.node_count for tree in trees])
    left, right = (
        _concatenate_children([getattr(tree, side) for tree in trees], roots)
        for side in ("children_left", "children_right")
    )
    # Forests average their trees and boosting weights them by the learning rate: a factor either way.
    values = np.concatenate([tree.value[:, 0] for tree in trees]) * factor
    weight = np.concatenate([tree.weighted_n_node_samples for tree in trees])
    return Trees(roots, left, right, columns, values, weight, goes_left)


def _histogram_trees(trees: Sequence[Any], known_bitsets: NDArray[np.uint32], rows: NDArray[np.uint32]) -> Trees:
    """Return trees of histogram-based boosting, which also split on categories.

    A split on categories has a bitset of those that go left. ``known_bitsets`` are those of the categories that
    training knew, in the rows that ``rows`` names for each column.
    """
    nodes = np.concatenate([tree.nodes for tree in trees])
    is_leaf = nodes["is_leaf"].astype(np.bool_)
    columns = np.where(is_leaf, 0, nodes["feature_idx"]).astype(np.int64)
    missing_left, thresholds = nodes["missing_go_to_left"].astype(np.bool_), nodes["num_threshold"]
    categorical = np.flatnonzero(nodes["is_categorical"].astype(np.bool_) & ~is_leaf)
    left_bitsets = np.concatenate([tree.raw_left_cat_bitsets[_bitset_indices(tree)] for tree in trees])
    split_known = known_bitsets[rows[columns[categorical]]]

    def goes_left(matrix: Floats) -> NDArray[np.bool_]:
        values = matrix[:, columns]
        left: NDArray[np.bool_] = np.where(np.isnan(values), missing_left, values <= thresholds)
        if len(categorical):
            codes = values[:, categorical]
            by_bitset = _in_bitsets(left_bitsets, codes)
            # A category that training did not know goes where missing values go.
            is_known = _in_bitsets(split_known, codes) | by_bitset
            left[:, categorical] = np.where(is_known, by_bitset, missing_left[categorical])
        return left

    roots = _roots([len(tree.nodes) for tree in trees])
    left, right = (
        _concatenate_children(
            [np.where(tree.nodes["is_leaf"], -1, tree.nodes[side].astype(np.int64)) for tree in trees], roots
        )
        for side in ("left", "right")
    )
    return Trees(
        roots, left, right, columns, nodes["value"][:, np.newaxis], nodes["count"].astype(np.float64), goes_left
    )


def _bitset_indices(tree: Any) -> Integers:
    """Return the index of the bitset of each categorical split of a tree, in the order of its nodes."""
    categorical = tree.nodes["is_categorical"].astype(np.bool_) & ~tree.nodes["is_leaf"].astype(np.bool_)
    return np.asarray(tree.nodes["bitset_idx"][categorical].astype(np.int64))


def _roots(sizes: Sequence[int]) -> list[int]:
    return [0, *np.cumsum(sizes)[:-1].tolist()]


def _concatenate_children(children: Sequence[Integers], roots: Sequence[int]) -> Integers:
    """Return the indices of children once trees are concatenated, each tree's nodes beginning at its root."""
    indices = [np.where(own < 0, -1, own + root) for own, root in zip(children, roots, strict=True)]
    return np.concatenate(indices).astype(np.int64)


def _in_bitsets(bitsets: NDArray[np.uint32], codes: Floats) -> NDArray[np.bool_]:
    """Tell which codes, shape (n, k), are in the k bitsets, shape (k, words)."""
    within = (codes >= 0) & (codes < bitsets.shape[1] * _WORD_BITS)  # false for NaN
    places = np.where(within, codes, 0).astype(np.int64)
    # First the word of each code's bit, then the bit in it.
    words = bitsets[np.arange(len(bitsets)), places // _WORD_BITS]
    return np.asarray(within & ((words >> (places % _WORD_BITS).astype(np.uint32)) & 1).astype(np.bool_))
