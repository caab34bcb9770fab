"""scikit-learn's own types need no trust, and a type is trusted in one form only."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from scipy.sparse import csr_matrix
from sklearn.cluster import KMeans
from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import all_estimators
from sklearn.utils._test_common.instance_generator import _construct_instances

from model import artifact, trusted_types
from model.errors import BrokenModel

X, y = make_classification(80, 6, random_state=0)
TARGETS = (y, np.column_stack([y, y]), np.abs(X[:, 0]) + 1)
# Those that skops does not store, that are not fitted on a table, or that are slow and hold nothing special.
LEFT_OUT = {"Birch", "FrozenEstimator", "SparseCoder", "TSNE", "SequentialFeatureSelector", "RFECV"}


def changed(content: bytes, change: Callable[[Any, dict[str, bytes]], None]) -> bytes:
    """An archive with its schema and members tampered with."""
    with zipfile.ZipFile(io.BytesIO(content)) as source:
        members = {name: source.read(name) for name in source.namelist()}
    schema = json.loads(members["schema.json"])
    change(schema, members)
    members["schema.json"] = json.dumps(schema).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for name, member in members.items():
            target.writestr(name, member)
    return buffer.getvalue()


def array_changed(content: bytes, field: str, place: int, value: Any) -> bytes:
    """An archive in which the first record array with ``field`` has another value at one index."""

    def change(_schema: Any, members: dict[str, bytes]) -> None:
        for name, member in members.items():
            if not name.endswith(".npy"):
                continue
            array = np.load(io.BytesIO(member))
            if array.dtype.names and field in array.dtype.names:
                array[field][place] = value
                buffer = io.BytesIO()
                np.save(buffer, array)
                members[name] = buffer.getvalue()
                return
        raise AssertionError(field)

    return changed(content, change)


def fitted_instances() -> list[Any]:
    found = []
    for name, kind in all_estimators():
        if name in LEFT_OUT:
            continue
        for estimator in list(_construct_instances(kind))[:2]:
            for target in TARGETS:
                for data in (X, np.abs(X)):
                    try:
                        found.append(estimator.fit(data, target))
                    except (ValueError, TypeError, AttributeError, IndexError, FloatingPointError):
                        continue
                    break
                else:
                    continue
                break
    return found


@pytest.mark.filterwarnings("ignore")
def test_no_estimator_of_scikit_learn_needs_trust_and_each_is_stored_the_same_twice() -> None:
    fitted = fitted_instances()
    assert len(fitted) > 150
    for estimator in fitted:
        content = artifact.dumps(estimator)
        assert trusted_types.untrusted(content) == (), estimator
        again = artifact.loads(content, Path("model"))
        assert artifact.dumps(again) == content, estimator


@pytest.mark.parametrize(
    ("name", "loader"),
    [
        ("os.system", "FunctionNode"),
        ("numpy.load", "FunctionNode"),
        ("numpy.fromfile", "FunctionNode"),
        ("builtins.eval", "TypeNode"),
        ("subprocess.Popen", "ObjectNode"),
        ("sklearn.tree._tree.Tree", "ConstructorFromReduceNode"),
        ("xgboost.core.Booster", "ConstructorFromReduceNode"),
        ("lightgbm.basic.Booster", "ConstructorFromReduceNode"),
        ("sklearn.datasets._base.load_files", "FunctionNode"),
        ("sklearn.utils._testing.check_skip_network", "FunctionNode"),
        ("joblib.memory.Memory", "ObjectNode"),
        ("scipy._lib.array_api_compat.numpy._aliases.asarray", "ConstructorFromReduceNode"),
    ],
)
def test_what_can_do_harm_is_not_trusted_in_that_form(tmp_path: Path, name: str, loader: str) -> None:
    module, _, attribute = name.rpartition(".")
    empty = {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode", "content": []}

    def change(schema: Any, _members: dict[str, bytes]) -> None:
        schema.clear()
        schema.update({"__class__": attribute, "__module__": module, "__loader__": loader, "content": empty})
        schema.update({"protocol": 2, "_skops_version": "0.16.0"})

    content = changed(artifact.dumps(LogisticRegression()), change)
    assert trusted_types.untrusted(content) == (name,)
    with pytest.raises(BrokenModel, match="not safe to load"):
        artifact.loads(content, tmp_path)


def test_a_function_is_trusted_only_from_the_list() -> None:
    fine = make_pipeline(FunctionTransformer(np.log1p), FunctionTransformer(np.clip, kw_args={"a_min": 0, "a_max": 1}))
    assert trusted_types.untrusted(artifact.dumps(fine)) == ()
    assert trusted_types.untrusted(artifact.dumps(FunctionTransformer(np.save))) == ("numpy.save",)


@pytest.mark.parametrize(
    ("field", "place", "value", "words"),
    [
        ("left_child", 0, 10**6, "a child that does not exist"),
        ("right_child", 0, 2**50, "a child that does not exist"),
        ("left_child", 0, 0, "a child that does not exist"),
        ("right_child", 0, 1, "two parents"),
        ("feature", 0, 6, "a feature that does not exist"),
        ("feature", 0, -1, "a feature that does not exist"),
    ],
)
@pytest.mark.parametrize("make", [DecisionTreeClassifier, lambda: RandomForestClassifier(n_estimators=2)])
def test_a_tree_that_leads_nowhere_is_not_loaded(
    tmp_path: Path, make: Any, field: str, place: int, value: int, words: str
) -> None:
    content = array_changed(artifact.dumps(make().fit(X, y)), field, place, value)
    with pytest.raises(BrokenModel, match=words):
        artifact.loads(content, tmp_path)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [("left", 10**6, "a child"), ("right", 0, "a child"), ("feature_idx", 6, "a feature")],
)
def test_a_boosted_tree_that_leads_nowhere_is_not_loaded(tmp_path: Path, field: str, value: int, words: str) -> None:
    model = HistGradientBoostingClassifier(max_iter=2, min_samples_leaf=2).fit(X, y)
    with pytest.raises(BrokenModel, match=words):
        artifact.loads(array_changed(artifact.dumps(model), field, 0, value), tmp_path)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [("idx_end", 10**6, "points that do not exist"), ("is_leaf", 0, "a child that does not exist")],
)
def test_a_neighbour_search_that_leads_nowhere_is_not_loaded(
    tmp_path: Path, field: str, value: int, words: str
) -> None:
    model = KNeighborsClassifier(algorithm="kd_tree").fit(X, y)
    with pytest.raises(BrokenModel, match=words):
        artifact.loads(array_changed(artifact.dumps(model), field, -1, value), tmp_path)


def test_a_sparse_matrix_with_indices_out_of_bounds_is_not_loaded(tmp_path: Path) -> None:
    model = KNeighborsClassifier(algorithm="brute").fit(csr_matrix(X), y)
    model._fit_X.indices = model._fit_X.indices + 100
    with pytest.raises(BrokenModel, match="sparse matrix"):
        artifact.loads(artifact.dumps(model), tmp_path)


def test_support_vectors_that_do_not_exist_are_not_loaded(tmp_path: Path) -> None:
    model = SVC().fit(X, y)
    model._n_support = model._n_support + 1000
    with pytest.raises(BrokenModel, match="support vector machine"):
        artifact.loads(artifact.dumps(model), tmp_path)


def test_a_model_with_fewer_features_than_its_trees_split_on_is_not_loaded(tmp_path: Path) -> None:
    model = RandomForestClassifier(n_estimators=2).fit(X, y)
    model.n_features_in_ = 2
    with pytest.raises(BrokenModel, match="more features than its model"):
        artifact.loads(artifact.dumps(model), tmp_path)


@pytest.mark.parametrize("classes", [2, 3])
def test_boosting_whose_trees_have_no_place_in_its_output_is_not_loaded(tmp_path: Path, classes: int) -> None:
    model = GradientBoostingClassifier(n_estimators=2).fit(X, np.arange(len(X)) % classes)
    if classes == 2:
        model.estimators_ = np.column_stack([model.estimators_] * 3)
    else:
        model.init_.classes_ = model.init_.classes_[:2]
    with pytest.raises(BrokenModel, match="a gradient boosting"):
        artifact.loads(artifact.dumps(model), tmp_path)


def test_clusters_in_another_space_are_not_loaded(tmp_path: Path) -> None:
    model = KMeans(2, n_init=1).fit(X)
    model.n_features_in_ = 3
    with pytest.raises(BrokenModel, match="another space"):
        artifact.loads(artifact.dumps(model), tmp_path)


def test_sets_are_stored_in_one_order() -> None:
    """Their own order differs between processes."""
    words = {f"word{number}" for number in range(50)}
    one = FunctionTransformer(kw_args={"words": words})
    # A set of another size has the same words in another order.
    larger = words | {f"more{number}" for number in range(500)}
    other = FunctionTransformer(kw_args={"words": larger & words})
    assert artifact.dumps(one) == artifact.dumps(other)
    assert skops.io.loads(artifact.dumps(one)).kw_args == {"words": words}
