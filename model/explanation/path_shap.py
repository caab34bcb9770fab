"""Exact path-dependent Shapley values of decision trees, whatever their nodes decide by. Pure.

The game is that of TreeSHAP (S. Lundberg, G. Erion & S. Lee 2018, 'Consistent Individualized Feature Attribution for
Tree Ensembles', arXiv:1802.03888, algorithm 1): with only a set S of columns known, a tree's output is that of the
branch taken where a node splits on a column in S, and otherwise the mean of both branches, weighted by how many
training records went each way.

This output is a sum over the leaves, and so are its Shapley values. A leaf with the value v, whose path splits on d
distinct columns, contributes

    v * prod(o_j for j in S) * prod(z_j for j not in S),

where o_j is 1 if the record follows every split of the path on column j and 0 otherwise, and z_j is the product of the
shares of training records that follow them. Replacing each factor by z_j + t * (o_j - z_j) gives the game's multilinear
extension along its diagonal, and the Shapley value of column i is the integral of its derivative (G. Owen 1972,
'Multilinear Extensions of Games', Management Science 18:64-79):

    phi_i = v * (o_i - z_i) * integral over t from 0 to 1 of prod(z_j + t * (o_j - z_j) for j != i).

The integrand is a polynomial of degree d - 1, which Gauss-Legendre quadrature with n nodes integrates exactly if 2 * n
- 1 >= d - 1. This takes about d * d / 2 steps per leaf, as TreeSHAP's own recursion does, but each is one operation on
the arrays of all records and leaves.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from model.columns import Floats

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]
GoesLeft = Callable[[Floats], Flags]

# The least weight of a node. One that no training record reached would otherwise make shares 0 / 0, and a share of 0
# would be divided by below. Effects and baseline sum up to the tree's output whatever it is.
_LEAST_WEIGHT = 1e-12
# Numbers in the arrays of one step, so that these fit into a core's cache.
CELLS_AT_ONCE = 20_000


@dataclass(frozen=True, slots=True)
class Trees:
    """Fitted trees, m nodes in all, whose outputs are added up; arrays have the shape (m,).

    ``roots`` are the indices of the root nodes, ``left`` and ``right`` those of each node's children, -1 for a leaf.
    ``column`` is what a node splits on, ``values``, shape (m, outputs), what a leaf adds to each output, ``weight`` how
    many training records reached a node. ``goes_left`` tells which records of a matrix, shape (n, columns), go left at
    each node, shape (n, m); what it tells of leaves is not used.
    """

    roots: Sequence[int]
    left: Integers
    right: Integers
    column: Integers
    values: Floats
    weight: Floats
    goes_left: GoesLeft


class PathShap:
    """The Shapley values of the sum of all trees in some blocks.

    The trees of a block are computed together: for many small trees that takes less time than one after another.
    """

    def __init__(self, blocks: Sequence[Trees], columns: int) -> None:
        self._columns = columns
        self._blocks = [_Leaves.of(block, columns) for block in blocks]
        self.baselines = np.sum([leaves.baselines for leaves in self._blocks], axis=0)
        """The outputs where no column is known, shape (outputs,): their means over the training records."""

    def values(self, matrix: Floats) -> Floats:
        """Return what each column of a matrix, shape (n, columns), adds to each output: (n, columns, outputs)."""
        values = np.zeros((len(matrix), self._columns, len(self.baselines)))
        for leaves in self._blocks:
            rows = max(1, CELLS_AT_ONCE // leaves.columns.size)
            for start in range(0, len(matrix), rows):
                values[start : start + rows] += leaves.shapley_values(matrix[start : start + rows])
        return values


@dataclass(frozen=True, slots=True)
class _Split:
    """The splits at one depth of all leaves' paths; arrays have the shape (leaves,).

    ``slot`` says which of its path's d columns a split is on. Paths that end before this depth have a split that counts
    for nothing: its slot is the spare one, d.
    """

    node: Integers
    goes_left: Flags
    slot: Integers


@dataclass(frozen=True, slots=True)
class _Leaves:
    """The leaves of trees with what their paths say, padded to d distinct columns a path.

    ``columns``, shape (leaves, d), are the columns that a path splits on, ``shares``, of the same shape, the z_j of the
    module's formula. A padded place has the share 1, and every record follows it, so that o - z is 0 there and it adds
    nothing. ``sums``, shape (leaves * d, columns), adds up the places of each column.
    """

    trees: Trees
    values: Floats
    columns: Integers
    shares: Floats
    splits: list[_Split]
    sums: csr_array

    @classmethod
    def of(cls, trees: Trees, columns: int) -> "_Leaves":
        paths = _leaf_paths(trees)
        # A path may split on one column several times; the game knows a column or does not, so that these are one.
        distinct = [list(dict.fromkeys(int(trees.column[node]) for node, _ in path)) for _, path in paths]
        width = max([1, *map(len, distinct)])
        depth = max((len(path) for _, path in paths), default=0)
        path_columns, shares = np.zeros((len(paths), width), np.int64), np.ones((len(paths), width))
        nodes, lefts = np.zeros((depth, len(paths)), np.int64), np.zeros((depth, len(paths)), np.bool_)
        slots = np.full((depth, len(paths)), width)
        for leaf, ((_, path), own_columns) in enumerate(zip(paths, distinct, strict=True)):
            path_columns[leaf, : len(own_columns)] = own_columns
            for level, (node, left) in enumerate(path):
                slot = own_columns.index(int(trees.column[node]))
                child = trees.left[node] if left else trees.right[node]
                shares[leaf, slot] *= max(trees.weight[child], _LEAST_WEIGHT) / max(trees.weight[node], _LEAST_WEIGHT)
                nodes[level, leaf], lefts[level, leaf], slots[level, leaf] = node, left, slot
        places = np.arange(path_columns.size)
        sums = csr_array((np.ones(places.size), (places, path_columns.reshape(-1))), shape=(places.size, columns))
        values = trees.values[[leaf for leaf, _ in paths]]
        splits = [_Split(*arrays) for arrays in zip(nodes, lefts, slots, strict=True)]
        return cls(trees, values, path_columns, shares, splits, sums)

    @property
    def baselines(self) -> Floats:
        """The outputs where no column is known, shape (outputs,)."""
        return np.asarray(self.shares.prod(axis=1) @ self.values)

    def shapley_values(self, matrix: Floats) -> Floats:
        """Return the effects of the columns of a few records, shape (n, columns, outputs)."""
        gaps = self._followed(matrix) - self.shares  # o - z, shape (n, leaves, d)
        integral = np.zeros_like(gaps)
        for point, weight in zip(*_quadrature(self.shares.shape[1]), strict=True):
            # The product over all columns but one is that over all, divided by one. No factor is 0: shares are not, and
            # no node of the quadrature is 0 or 1.
            factors = self.shares + point * gaps
            integral += weight * factors.prod(axis=2, keepdims=True) / factors
        # Now (o_i - z_i) times the integral: all of the formula but the leaf's value for each output.
        gaps *= integral
        by_output = (gaps * values[:, np.newaxis] for values in self.values.T)
        return np.stack([effects.reshape(len(matrix), -1) @ self.sums for effects in by_output], axis=2)

    def _followed(self, matrix: Floats) -> Floats:
        """Return o, shape (n, leaves, d): 1 where a record follows all splits of a leaf's path on a column, else 0."""
        goes_left = self.trees.goes_left(matrix)
        followed = np.ones((len(matrix), len(self.values), self.shares.shape[1] + 1), np.bool_)
        every_leaf = np.arange(len(self.values))
        for split in self.splits:
            # Splits on one column share a slot: the record must follow all of them.
            followed[:, every_leaf, split.slot] &= goes_left[:, split.node] == split.goes_left
        return followed[:, :, :-1].astype(np.float64)  # without the spare slot


def _leaf_paths(trees: Trees) -> list[tuple[int, list[tuple[int, bool]]]]:
    """Return each leaf with the nodes on the path to it, and whether the path goes left at each."""
    leaves, pending = [], [(root, list[tuple[int, bool]]()) for root in trees.roots]
    while pending:
        node, path = pending.pop()
        if trees.left[node] < 0:
            leaves.append((node, path))
        else:
            pending.append((int(trees.left[node]), [*path, (node, True)]))
            pending.append((int(trees.right[node]), [*path, (node, False)]))
    return leaves


@cache
def _quadrature(columns: int) -> tuple[Floats, Floats]:
    """Return nodes and weights on [0, 1] that integrate polynomials of degree ``columns`` - 1 exactly."""
    points, weights = np.polynomial.legendre.leggauss(columns // 2 + 1)
    # NumPy's are on [-1, 1].
    return (points + 1) / 2, weights / 2
