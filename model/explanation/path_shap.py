"""Exact path-dependent Shapley values of decision trees, for any way in which their nodes decide. Pure.

The game is that of TreeSHAP (Lundberg et al. 2020, Nature Machine Intelligence 2:56-67): where a column is not known,
a tree's answer is the average over both branches, weighted by the training records that went each way. Of a leaf with
the value v, whose path asks d columns, that makes `v * prod(o_j for known columns) * prod(z_j for the others)`, where
o_j is 1 if the record takes every branch of the path that asks column j, else 0, and z_j the share of training records
that take them. Its Shapley values are

    phi_i = v * (o_i - z_i) * integral over t from 0 to 1 of prod(z_j + t * (o_j - z_j) for j != i),

a polynomial of degree d - 1, which Gauss-Legendre quadrature with d / 2 nodes integrates exactly.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from model.columns import Floats

Integers = NDArray[np.int64]
Decide = Callable[[Floats], NDArray[np.bool_]]

# Where no training record went, so that nothing is divided by zero. What the values sum up to does not depend on it.
_NOBODY = 1e-12
# What fits into a core's cache.
CELLS_AT_ONCE = 20_000


@dataclass(frozen=True, slots=True)
class Trees:
    """Fitted trees of m nodes together, which are added up; arrays have the shape (m,).

    `roots` are the places of their first nodes, `left` and `right` those of each node's children, -1 in leaves;
    `column` is what a node asks, `values`, shape (m, outputs), what a leaf answers, `weight` how many training records
    came by. `goes_left` tells of a matrix, shape (n, columns), which records go left at each node, shape (n, m); what
    it says of leaves is not read.
    """

    roots: Sequence[int]
    left: Integers
    right: Integers
    column: Integers
    values: Floats
    weight: Floats
    goes_left: Decide


class PathShap:
    """The Shapley values of the sum of all trees of some blocks.

    Each block is gone through at once: one of many small trees takes a record less time than these one by one.
    """

    def __init__(self, blocks: Sequence[Trees], columns: int) -> None:
        self._columns = columns
        self._blocks = [_Leaves.of(block, columns) for block in blocks]
        self.baselines = np.sum([leaves.baselines for leaves in self._blocks], axis=0)
        """The sum's answers where no column is known, shape (outputs,)."""

    def values(self, matrix: Floats) -> Floats:
        """Return what each column of a matrix, shape (n, columns), adds to each answer: (n, columns, outputs)."""
        found = np.zeros((len(matrix), self._columns, len(self.baselines)))
        for leaves in self._blocks:
            rows = max(1, CELLS_AT_ONCE // leaves.columns.size)
            for start in range(0, len(matrix), rows):
                found[start : start + rows] += leaves.shapley_values(matrix[start : start + rows])
        return found


@dataclass(frozen=True, slots=True)
class _Leaves:
    """The leaves of trees, each with the d columns that its path asks; shorter paths are padded with what adds 0.

    `edges` holds, by place on the path, which node is asked, which answer leads to the leaf, and the place of its
    column among those of the path.
    """

    trees: Trees
    values: Floats
    columns: Integers
    shares: Floats
    edges: list[tuple[Integers, NDArray[np.bool_], Integers]]
    sums: csr_array

    @classmethod
    def of(cls, trees: Trees, columns: int) -> "_Leaves":
        paths = _paths(trees)
        asked = [list(dict.fromkeys(int(trees.column[node]) for node, _ in path)) for _, path in paths]
        width = max(1, *map(len, asked)) if asked else 1
        length = max((len(path) for _, path in paths), default=0)
        taken = np.zeros((len(paths), width), np.int64)
        shares = np.ones((len(paths), width))
        # A padded edge asks the first node: its place is a spare one behind the columns.
        nodes, lefts = np.zeros((length, len(paths)), np.int64), np.zeros((length, len(paths)), np.bool_)
        places = np.full((length, len(paths)), width)
        for row, ((_, path), own) in enumerate(zip(paths, asked, strict=True)):
            taken[row, : len(own)] = own
            for step, (node, left) in enumerate(path):
                place = own.index(int(trees.column[node]))
                child = trees.left[node] if left else trees.right[node]
                shares[row, place] *= max(trees.weight[child], _NOBODY) / max(trees.weight[node], _NOBODY)
                nodes[step, row], lefts[step, row], places[step, row] = node, left, place
        flat = np.arange(taken.size)
        sums = csr_array((np.ones(taken.size), (flat, taken.reshape(-1))), shape=(taken.size, columns))
        values = trees.values[[leaf for leaf, _ in paths]]
        return cls(trees, values, taken, shares, list(zip(nodes, lefts, places, strict=True)), sums)

    @property
    def baselines(self) -> Floats:
        return np.asarray(self.shares.prod(axis=1) @ self.values)

    def shapley_values(self, matrix: Floats) -> Floats:
        gaps = self._taken(matrix) - self.shares
        integral = np.zeros_like(gaps)
        for point, weight in zip(*_quadrature(self.shares.shape[1]), strict=True):
            factors = self.shares + point * gaps
            integral += weight * factors.prod(axis=2, keepdims=True) / factors
        gaps *= integral
        by_output = (gaps * values[:, np.newaxis] for values in self.values.T)
        return np.stack([part.reshape(len(matrix), -1) @ self.sums for part in by_output], axis=2)

    def _taken(self, matrix: Floats) -> Floats:
        """Tell, shape (n, leaves, d), whether each record takes all branches of a leaf's path that ask a column."""
        goes_left = self.trees.goes_left(matrix)
        taken = np.ones((len(matrix), len(self.values), self.shares.shape[1] + 1), np.bool_)
        every = np.arange(len(self.values))
        for nodes, lefts, places in self.edges:
            taken[:, every, places] &= goes_left[:, nodes] == lefts
        return taken[:, :, :-1].astype(np.float64)


def _paths(trees: Trees) -> list[tuple[int, list[tuple[int, bool]]]]:
    """Return the leaves, each with the nodes on its way and whether the way goes left there."""
    found, waiting = [], [(root, list[tuple[int, bool]]()) for root in trees.roots]
    while waiting:
        node, path = waiting.pop()
        if trees.left[node] < 0:
            found.append((node, path))
        else:
            waiting.append((int(trees.left[node]), [*path, (node, True)]))
            waiting.append((int(trees.right[node]), [*path, (node, False)]))
    return found


@cache
def _quadrature(degree: int) -> tuple[Floats, Floats]:
    points, weights = np.polynomial.legendre.leggauss(degree // 2 + 1)
    return (points + 1) / 2, weights / 2
