"""Check arrays that C code follows unchecked: indices of trees, neighbour searches, sparse matrices, support vectors.

An archive may be intact, hold only trusted types, and still name a child node that does not exist; scikit-learn would
then read past the end of an array, or loop forever. So every such array is checked once it is loaded.
"""

import gc
from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.ensemble._gb import BaseGradientBoosting
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.neighbors._ball_tree import BallTree
from sklearn.neighbors._kd_tree import KDTree
from sklearn.svm._base import BaseLibSVM
from sklearn.tree._tree import Tree

LEAF = -1
_OPAQUE = (type, ModuleType, FunctionType, BuiltinFunctionType, str, bytes, bytearray, int, float)


class Unsound(ValueError):
    """Raised when an index in a fitted model is out of bounds."""


def check(pipeline: Any) -> None:
    """Raise Unsound where a part of a loaded pipeline holds indices that C code cannot follow safely."""
    for part in parts_of(pipeline):
        for kind, check_part in _CHECKS:
            if isinstance(part, kind):
                check_part(part)
        if issparse(part):
            _check_sparse(part)
        _check_owner(part)


def parts_of(pipeline: Any) -> Iterator[Any]:
    """Yield every object that a pipeline consists of, itself included, each once."""
    pending, seen = [pipeline], {id(pipeline)}
    while pending:
        part = pending.pop()
        yield part
        # NumPy does not tell the collector of the objects in an array.
        inside = part.ravel().tolist() if isinstance(part, np.ndarray) and part.dtype.hasobject else ()
        # What the garbage collector sees, since state may be anywhere: in slots and in containers of any type.
        for child in (*gc.get_referents(part), *inside):
            if id(child) not in seen and not isinstance(child, _OPAQUE):
                seen.add(id(child))
                pending.append(child)


def require(condition: Any, what: str) -> None:
    """Raise Unsound with what is wrong unless ``condition`` is true."""
    if not condition:
        raise Unsound(f"{what}; the file is damaged or malicious")


def check_children(left: NDArray[Any], right: NDArray[Any], inner: NDArray[np.bool_], what: str) -> None:
    """Raise Unsound unless inner nodes have children within bounds, and no node has two parents.

    Children are never the root, so that no path returns to a node it has passed.
    """
    children = np.concatenate([left[inner], right[inner]]).astype(np.int64)
    count = len(left)
    require(count > 0, f"{what} without nodes")
    require(np.all((children > 0) & (children < count)), f"{what} with a child that does not exist")
    require(np.bincount(children, minlength=1).max() <= 1, f"{what} with a node that has two parents")


def check_features(features: NDArray[Any], count: int, what: str) -> None:
    """Raise Unsound where a feature's index is not below ``count``."""
    require(np.all((features >= 0) & (features < count)), f"{what} that asks for a feature that does not exist")


def _check_tree(tree: Tree) -> None:
    left, right = tree.children_left, tree.children_right
    inner = left != LEAF
    check_children(left, right, inner, "a tree")
    check_features(tree.feature[inner], tree.n_features, "a tree")
    require(tree.n_outputs > 0 and np.min(tree.n_classes) > 0, "a tree without outputs")
    require(tree.value.shape[0] == len(left), "a tree with another number of values than nodes")


def _check_predictor(predictor: TreePredictor) -> None:
    nodes = predictor.nodes
    inner = nodes["is_leaf"] == 0
    check_children(nodes["left"], nodes["right"], inner, "a boosted tree")
    rows = nodes["bitset_idx"][inner & (nodes["is_categorical"] != 0)]
    for sets in (predictor.binned_left_cat_bitsets, predictor.raw_left_cat_bitsets):
        if len(rows):
            # A set of categories is 256 bits, eight words of 32.
            require(sets.ndim == 2 and sets.shape[1] == 8 and rows.max() < len(sets), "a boosted tree without a set")


def _check_neighbours(tree: KDTree | BallTree) -> None:
    what = "a neighbour search"
    state = tree.__getstate__()
    data, order, nodes, bounds = (np.asarray(array) for array in state[:4])
    metric, weights = state[11], state[12]
    rows, count = len(data), len(nodes)
    require(rows and data.ndim == 2 and order.shape == (rows,), f"{what} with arrays of different lengths")
    require(np.array_equal(np.sort(order), np.arange(rows)), f"{what} with a point that does not exist")
    start, end = nodes["idx_start"], nodes["idx_end"]
    require(np.all((start >= 0) & (start <= end) & (end <= rows)), f"{what} with points that do not exist")
    require(
        bounds.ndim == 3 and bounds.shape[1] == count and bounds.shape[2] == data.shape[1], f"{what} without bounds"
    )
    require(bounds.shape[0] == (2 if isinstance(tree, KDTree) else 1), f"{what} without bounds")
    inner = np.flatnonzero(nodes["is_leaf"] == 0)
    # The tree is a heap: the children of node i are 2i + 1 and 2i + 2.
    require(np.all(2 * inner + 2 < count), f"{what} with a child that does not exist")
    require(weights is None or np.shape(weights) == (rows,), f"{what} with weights that do not exist")
    try:
        metric._validate_data(data)
    except ValueError as error:
        raise Unsound(f"{what} by a distance for other points: {error}") from error


def _check_sparse(matrix: Any) -> None:
    if hasattr(matrix, "check_format"):
        try:
            matrix.check_format(full_check=True)
        except ValueError as error:
            raise Unsound(f"a sparse matrix with indices that do not exist: {error}") from error


def _check_support_vectors(machine: BaseLibSVM) -> None:
    if not hasattr(machine, "support_vectors_"):
        return
    what = "a support vector machine"
    counts = np.asarray(machine._n_support)
    total, classes = int(counts.sum()), len(counts)
    vectors = machine.support_vectors_.shape[0]
    is_classifier = machine._impl in {"c_svc", "nu_svc"}
    # libsvm decides by one machine for each pair of classes.
    pairs = classes * (classes - 1) // 2 if is_classifier else 1
    require(np.all(counts >= 0) and len(machine.support_) in {total, vectors}, f"{what} with vectors that do not exist")
    expected = (classes - 1 if is_classifier else 1, vectors)
    require(machine._dual_coef_.shape == expected, f"{what} with coefficients that do not exist")
    require((total if is_classifier else vectors) == vectors, f"{what} with vectors that do not exist")
    require(len(machine._intercept_) >= pairs, f"{what} without its intercepts")


def _check_owner(part: Any) -> None:
    """Check that no tree splits on a feature beyond those that its model validates."""
    state = getattr(part, "__dict__", {})
    width = state.get("n_features_in_") if isinstance(state, dict) else None
    if not isinstance(width, int | np.integer):
        return
    # ``predict`` only checks that a record has so many features: a tree may ask for no other.
    width = int(width)
    if isinstance(state.get("tree_"), Tree):
        require(state["tree_"].n_features == width, "a tree for another number of features than its model")
    centers = state.get("cluster_centers_")
    if isinstance(centers, np.ndarray):
        require(centers.ndim == 2 and centers.shape[1] == width, "clusters with centres in another space")
    for predictor in _flatten(state.get("_predictors")):
        nodes = predictor.nodes
        inner = nodes["is_leaf"] == 0
        check_features(nodes["feature_idx"][inner], width, "a boosted tree")
        categorical = nodes["feature_idx"][inner & (nodes["is_categorical"] != 0)]
        known = np.flatnonzero(getattr(state.get("_bin_mapper"), "is_categorical_", ()))
        require(np.isin(categorical, known).all(), "a boosted tree that takes a number for a category")
    # Bagging gives each of its models some of the columns, by indices that NumPy checks.
    if "estimators_features_" not in state:
        for model in _flatten(state.get("estimators_")):
            tree = getattr(model, "tree_", None)
            require(tree is None or tree.n_features <= width, "a tree for more features than its model takes")


def _check_boosting(model: BaseGradientBoosting) -> None:
    """Check that each tree of a stage has a place in the array to which C code adds its output."""
    stages = getattr(model, "estimators_", None)
    if stages is None:
        return
    what = "a gradient boosting"
    require(stages.ndim == 2 and stages.shape[1] == model.n_trees_per_iteration_, f"{what} with too many trees a stage")
    require(stages.shape[1] == (model._loss.n_classes if model._loss.is_multiclass else 1), f"{what} of other classes")
    start: Any = getattr(model, "init_", None)
    if model._loss.is_multiclass and hasattr(start, "predict_proba"):
        require(len(start.classes_) == stages.shape[1], f"{what} that starts from other classes")
    for tree in (model.tree_ for model in stages.ravel()):
        require(tree.n_outputs == 1 and tree.max_n_classes == 1, f"{what} by trees with more than a value a leaf")


def _flatten(parts: Any) -> Iterator[Any]:
    if isinstance(parts, np.ndarray) and parts.dtype.hasobject:
        parts = parts.ravel().tolist()
    for part in parts if isinstance(parts, list) else ():
        yield from _flatten(part) if isinstance(part, list) else (part,)


_CHECKS: tuple[tuple[type, Callable[[Any], None]], ...] = (
    (Tree, _check_tree),
    (TreePredictor, _check_predictor),
    (KDTree, _check_neighbours),
    (BallTree, _check_neighbours),
    (BaseLibSVM, _check_support_vectors),
    (BaseGradientBoosting, _check_boosting),
)
