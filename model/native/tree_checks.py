"""Check the trees of boosters, whose libraries follow the indices in a file unchecked."""

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.integrity import LEAF, check_children, check_features, require
from model.native import ubjson
from model.trusted_types import nodes_of, schema_of

_CATEGORICAL = 1
_END_OF_TREES = "\nend of trees"
_SECONDS = 300
_TRY_CATBOOST = "import sys, catboost; catboost.CatBoost().load_model(blob=sys.stdin.buffer.read())"
# A brace followed by the type of a length; in JSON, a quote, a space or a brace follows.
_UBJSON = (b"{L", b"{i", b"{U", b"{I", b"{l")
_XGBOOST, _LIGHTGBM = "a tree of XGBoost", "a tree of LightGBM"


def check_archive(content: bytes) -> None:
    """Raise Unsound where a booster in a skops archive has invalid trees, before its library reads it.

    Other faults of a model raise ValueError, KeyError or TypeError.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for node in nodes_of(schema_of(content)):
            name = f"{node.get('__module__')}.{node.get('__class__')}"
            if name == "xgboost.core.Booster":
                check_xgboost(archive.read(node["content"]["content"]["handle"]["file"]))
            elif name == "lightgbm.basic.Booster":
                state = node["content"]["content"]
                check_lightgbm(json.loads(state.get("_handle", state.get("handle"))["content"]))
            elif name.startswith("catboost.core.CatBoost"):
                check_catboost(archive.read(node["content"]["content"]["__model"]["file"]))


def check_xgboost(content: bytes) -> None:
    """Raise Unsound where a model in XGBoost's JSON or UBJSON has invalid trees.

    The format is that of its model.schema (xgboost.readthedocs.io). Other faults raise ValueError, KeyError or
    TypeError.
    """
    model = ubjson.read(content) if content.startswith(_UBJSON) else json.loads(content)
    learner = model.get("Model", model)["learner"]
    booster = learner["gradient_booster"]
    inner = booster.get("gbtree", booster).get("model", {})
    trees, groups = inner.get("trees"), inner.get("tree_info", [])
    if trees is None:
        return
    parameters = learner["learner_model_param"]
    count, outputs = (
        int(parameters["num_feature"]),
        max(int(parameters.get(name, 0)) for name in ("num_class", "num_target")),
    )
    require(len(groups) == len(trees), f"{_XGBOOST} without its class")
    check_features(np.array(groups, dtype=np.int64), max(outputs, 1), f"{_XGBOOST}, by its class,")
    for tree in trees:
        _check_xgboost_tree(tree, count)


def check_lightgbm(text: str) -> None:
    """Raise Unsound where a model in LightGBM's text format has invalid trees."""
    trees, end, _ = text.partition(_END_OF_TREES)
    require(end, "a model of LightGBM that ends too early")
    first, *blocks = trees.split("\nTree=")
    header = _parse_block(first)
    _check_lightgbm_offsets(header.get("tree_sizes", "").split(), trees.encode())
    count = int(header.get("max_feature_idx", "-1")) + 1
    for block in blocks:
        _check_lightgbm_tree(_parse_block(block), count)


def check_catboost(content: bytes) -> None:
    """Raise Unsound where CatBoost cannot read a model.

    Its parser can crash the process, so that a child process tries first.
    """
    length = int.from_bytes(content[4:8], "little")
    require(content.startswith(b"CBM1") and len(content) >= 8 + length, "a model of CatBoost that ends too early")
    child = subprocess.run(  # noqa: S603
        [sys.executable, "-c", _TRY_CATBOOST], input=content, capture_output=True, timeout=_SECONDS, check=False
    )
    require(child.returncode == 0, "a model that CatBoost cannot read")


def _check_xgboost_tree(tree: Any, count: int) -> None:
    left, right = (np.array(tree[name], dtype=np.int64) for name in ("left_children", "right_children"))
    features = np.array(tree["split_indices"], dtype=np.int64)
    require(len(left) == len(right) == len(features), f"{_XGBOOST} with arrays of different lengths")
    inner = left != LEAF
    check_children(left, right, inner, _XGBOOST)
    check_features(features[inner], count, _XGBOOST)
    kinds = np.array(tree.get("split_type", ()), dtype=np.int64)
    categorical = np.flatnonzero(kinds == _CATEGORICAL)
    require(np.isin(categorical, tree.get("categories_nodes", ())).all(), f"{_XGBOOST} without its categories")
    start, size = (np.array(tree.get(name, ()), dtype=np.int64) for name in ("categories_segments", "categories_sizes"))
    ends = (start >= 0) & (size >= 0) & (start + size <= len(tree.get("categories", ())))
    require(ends.all(), f"{_XGBOOST} with categories that do not exist")


def _check_lightgbm_offsets(sizes: list[str], trees: bytes) -> None:
    """Check that the trees are at the byte offsets that the header gives: LightGBM reads them from there."""
    begin = trees.find(b"Tree=0")
    for place in np.cumsum([0, *map(int, sizes)])[:-1].tolist():
        require(place >= 0 and trees.startswith(b"Tree=", begin + place), f"{_LIGHTGBM} that does not exist")


def _check_lightgbm_tree(tree: dict[str, str], count: int) -> None:
    leaves = int(tree.get("num_leaves", "0"))
    require(leaves > 0, f"{_LIGHTGBM} without leaves")
    require(len(tree.get("leaf_value", "").split()) == leaves, f"{_LIGHTGBM} with another number of values than leaves")
    check_features(_numbers(tree, "leaf_features"), count, _LIGHTGBM)
    if leaves == 1:
        return
    left, right, features, kinds = (
        _numbers(tree, name) for name in ("left_child", "right_child", "split_feature", "decision_type")
    )
    require(len(left) == len(right) == len(features) == len(kinds) == leaves - 1, f"{_LIGHTGBM} with too few nodes")
    # Inner nodes are numbered from 0 and leaves -1, -2, …; put leaves after inner nodes, as in the trees of others.
    places = [np.where(children < 0, leaves - 2 - children, children) for children in (left, right)]
    padded = [np.concatenate([place, np.full(leaves, LEAF)]) for place in places]
    check_children(padded[0], padded[1], np.arange(2 * leaves - 1) < leaves - 1, _LIGHTGBM)
    check_features(features, count, _LIGHTGBM)
    _check_lightgbm_categories(tree, kinds)


def _check_lightgbm_categories(tree: dict[str, str], kinds: NDArray[np.int64]) -> None:
    categorical = (kinds & _CATEGORICAL) != 0
    if not categorical.any():
        return
    bounds, words = _numbers(tree, "cat_boundaries"), _numbers(tree, "cat_threshold")
    chosen = np.array(tree["threshold"].split(), dtype=float)[categorical]
    check_features(chosen.astype(np.int64), len(bounds) - 1, f"{_LIGHTGBM}, by its categories,")
    in_order = len(bounds) > 1 and bounds[0] == 0 and np.all(np.diff(bounds) >= 0)
    require(in_order and bounds[-1] <= len(words), f"{_LIGHTGBM} with categories that do not exist")


def _parse_block(block: str) -> dict[str, str]:
    return dict(_pairs(block))


def _pairs(block: str) -> Iterator[tuple[str, str]]:
    for line in block.splitlines():
        name, mark, value = line.partition("=")
        if mark:
            yield name, value


def _numbers(tree: dict[str, str], name: str) -> NDArray[np.int64]:
    return np.array(tree.get(name, "").split(), dtype=np.int64)
