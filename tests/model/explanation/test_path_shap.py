"""Our own TreeSHAP against Shapley's formula, coalition by coalition, on small trees of every kind."""

from collections.abc import Callable
from functools import partial
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.tree import DecisionTreeRegressor

from model.explanation import trees as tree_models
from model.explanation.path_shap import PathShap, Trees
from model.explanation.trees import blocks_of

COLUMNS = 5
RANDOM = np.random.default_rng(0)
NUMBERS = RANDOM.normal(size=(400, COLUMNS))
TARGET = NUMBERS[:, 0] * NUMBERS[:, 1] + np.abs(NUMBERS[:, 2]) + (NUMBERS[:, 3] > 0) * NUMBERS[:, 4]
HOLED = np.where(RANDOM.random(NUMBERS.shape) < 0.2, np.nan, NUMBERS)
CODES = NUMBERS.copy()
CODES[:, :2] = RANDOM.integers(0, 40, (400, 2))
CODES[::9, 0] = np.nan

Game = Callable[[frozenset[int]], Any]


def shapley(game: Game) -> Any:
    """The values of a game of ``COLUMNS`` players, by its definition; shape (players, outputs)."""
    players = frozenset(range(COLUMNS))
    return np.array([
        sum(
            (game(frozenset(others) | {player}) - game(frozenset(others))) / (COLUMNS * comb(COLUMNS - 1, size))
            for size in range(COLUMNS)
            for others in combinations(players - {player}, size)
        )
        for player in players
    ])  # fmt: skip


def expected_value(trees: Trees, row: Any, known: frozenset[int]) -> Any:
    """The output of trees for a record with some known columns: the mean over both branches elsewhere."""
    left = trees.goes_left(row[np.newaxis])[0]

    def below(node: int) -> Any:
        if trees.left[node] < 0:
            return trees.values[node]
        if int(trees.column[node]) in known:
            return below(trees.left[node] if left[node] else trees.right[node])
        children = [trees.left[node], trees.right[node]]
        return np.average([below(child) for child in children], axis=0, weights=trees.weight[children])

    return sum(below(root) for root in trees.roots)


def expected_sum(blocks: list[Trees], row: Any, known: frozenset[int]) -> Any:
    return sum(expected_value(block, row, known) for block in blocks)


CASES = {
    "one tree": (DecisionTreeRegressor(max_depth=5, random_state=0), NUMBERS, TARGET),
    "a forest with gaps": (RandomForestClassifier(3, max_depth=4, random_state=0), HOLED, TARGET > 1),
    "boosted": (GradientBoostingRegressor(n_estimators=3, max_depth=4), NUMBERS, TARGET),
    "histograms with gaps": (HistGradientBoostingRegressor(max_iter=3), HOLED, TARGET),
    "categories": (HistGradientBoostingRegressor(max_iter=3, categorical_features=[0, 1]), CODES, TARGET),
    "categories, many classes": (
        HistGradientBoostingClassifier(max_iter=2, categorical_features=[0, 1]), CODES, np.digitize(TARGET, [0, 1])
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_values_are_those_of_shapleys_formula(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_models, "NODES_OF_A_BLOCK", 70)  # some blocks of several trees, some of one
    model, matrix, target = CASES[name]
    model.fit(matrix, target)
    rows = matrix[:8]
    if getattr(model, "is_categorical_", None) is not None:
        rows = model._preprocessor.transform(rows)
    for blocks in blocks_of(model):
        found = PathShap(blocks, COLUMNS).values(rows)
        for row, values in zip(rows, found, strict=True):
            expected = shapley(partial(expected_sum, blocks, row))
            np.testing.assert_allclose(values, expected, rtol=0, atol=1e-12)


def test_a_branch_that_no_training_record_took_divides_nothing_by_zero() -> None:
    """As where all records there have the weight zero."""
    model = DecisionTreeRegressor(max_depth=5, random_state=0).fit(NUMBERS, TARGET)
    tree = blocks_of(model)[0][0]
    below = [int(tree.left[0])]
    for node in below:
        tree.weight[node] = 0
        below += [int(child[node]) for child in (tree.left, tree.right) if child[node] >= 0]
    shap = PathShap([tree], COLUMNS)
    totals = shap.values(NUMBERS).sum(axis=1) + shap.baselines
    np.testing.assert_allclose(totals[:, 0], model.predict(NUMBERS), rtol=0, atol=1e-9)


def test_an_unknown_category_counts_as_missing_as_it_does_in_the_model() -> None:
    frame = pd.DataFrame(CODES, columns=list("abcde"))
    frame["a"] = frame["a"].map(lambda code: f"word {code}", na_action="ignore").astype("category")
    model = HistGradientBoostingRegressor(max_iter=5).fit(frame, TARGET)
    others = frame.assign(a=pd.Categorical(["never seen"] * len(frame)))
    answers = PathShap(blocks_of(model)[0], COLUMNS)
    totals = answers.values(model._preprocessor.transform(others)).sum(axis=1)[:, 0] + answers.baselines[0]
    offset = float(np.ravel(model._baseline_prediction)[0])
    np.testing.assert_allclose(totals + offset, model.predict(others), rtol=0, atol=1e-9)
