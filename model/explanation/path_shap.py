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

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from model.columns import Floats

Integers = NDArray[np.int64]
Decide = Callable[[Floats], NDArray[np.bool_]]

# Where no training record went, so that nothing is divided by zero. What the values sum up to does not depend on it.
_NOBODY = 1e-12


@dataclass(frozen=True, slots=True)
class Tree:
    """A fitted tree of m nodes, the root first; arrays have the shape (m,).

    `left` and `right` are the children's places, -1 in leaves; `column` is what a node asks, `values`, shape
    (m, outputs), what a leaf answers, `weight` how many training records came by. `goes_left` tells of a matrix, shape
    (n, columns), which records go left at each node, shape (n, m); what it says of leaves is not read.
    """

    left: Integers
    right: Integers
    column: Integers
    values: Floats
    weight: Floats
    goes_left: Decide


class PathShap:
    """The Shapley values of the sum of trees."""

    def __init__(self, trees: Sequence[Tree], columns: int) -> None:
        self._columns = columns
        self._trees = [_Leaves.of(tree, columns) for tree in trees]
        self.baselines = np.sum([leaves.baselines for leaves in self._trees], axis=0)
        """The sum's answers where no column is known, shape (outputs,)."""

    @property
    def cells(self) -> int:
        """How many numbers the largest tree takes for each record."""
        return max((leaves.columns.size for leaves in self._trees), default=1)

    def values(self, matrix: Floats) -> Floats:
        """Return what each column of a matrix, shape (n, columns), adds to each answer: (n, columns, outputs)."""
        found = np.zeros((len(matrix), self._columns, len(self.baselines)))
        for leaves in self._trees:
            found += leaves.shapley_values(matrix)
        return found


@dataclass(frozen=True, slots=True)
class _Leaves:
    """The leaves of a tree, each with the d columns that its path asks; shorter paths are padded with what adds 0.

    `edges` holds, by place on the path, which node is asked, which answer leads to the leaf, and the place of its
    column among those of the path.
    """

    tree: Tree
    values: Floats
    columns: Integers
    shares: Floats
    edges: list[tuple[Integers, NDArray[np.bool_], Integers]]
    sums: csr_array

    @classmethod
    def of(cls, tree: Tree, columns: int) -> "_Leaves":
        paths = _paths(tree)
        asked = [list(dict.fromkeys(int(tree.column[node]) for node, _ in path)) for _, path in paths]
        width = max(1, *map(len, asked)) if asked else 1
        length = max((len(path) for _, path in paths), default=0)
        taken = np.zeros((len(paths), width), np.int64)
        shares = np.ones((len(paths), width))
        # A padded edge asks the root what leads nowhere else: its place is a spare one behind the columns.
        nodes, lefts = np.zeros((length, len(paths)), np.int64), np.zeros((length, len(paths)), np.bool_)
        places = np.full((length, len(paths)), width)
        for row, ((_, path), own) in enumerate(zip(paths, asked, strict=True)):
            taken[row, : len(own)] = own
            for step, (node, left) in enumerate(path):
                place = own.index(int(tree.column[node]))
                child = tree.left[node] if left else tree.right[node]
                shares[row, place] *= max(tree.weight[child], _NOBODY) / max(tree.weight[node], _NOBODY)
                nodes[step, row], lefts[step, row], places[step, row] = node, left, place
        flat = np.arange(taken.size)
        sums = csr_array((np.ones(taken.size), (flat, taken.reshape(-1))), shape=(taken.size, columns))
        values = tree.values[[leaf for leaf, _ in paths]]
        return cls(tree, values, taken, shares, list(zip(nodes, lefts, places, strict=True)), sums)

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
        goes_left = self.tree.goes_left(matrix)
        taken = np.ones((len(matrix), len(self.values), self.shares.shape[1] + 1), np.bool_)
        every = np.arange(len(self.values))
        for nodes, lefts, places in self.edges:
            taken[:, every, places] &= goes_left[:, nodes] == lefts
        return taken[:, :, :-1].astype(np.float64)


def _paths(tree: Tree) -> list[tuple[int, list[tuple[int, bool]]]]:
    """Return the leaves, each with the nodes on its way and whether the way goes left there."""
    found, waiting = [], [(0, list[tuple[int, bool]]())]
    while waiting:
        node, path = waiting.pop()
        if tree.left[node] < 0:
            found.append((node, path))
        else:
            waiting.append((int(tree.left[node]), [*path, (node, True)]))
            waiting.append((int(tree.right[node]), [*path, (node, False)]))
    return found


def _quadrature(degree: int) -> tuple[Floats, Floats]:
    points, weights = np.polynomial.legendre.leggauss(degree // 2 + 1)
    return (points + 1) / 2, weights / 2
