"""What the path to each leaf of one tree asks of each feature."""

from typing import NamedTuple

import numpy as np

from kyc_ml.metrics import Floats, Ints, Mask
from kyc_ml.storage import kernel


class Tree(NamedTuple):
    """One tree over its own features, which are counted from 0."""

    n_codes: Ints
    """int64 array of shape (n_features,)."""
    feature: Ints
    left: Ints
    right: Ints
    """`feature`, `left` and `right`: int64 arrays of shape (n_splits,); a child is a split, or
    ``~leaf``."""
    left_start: Ints
    """int64 array of shape (n_splits + 1,)."""
    goes_left: Mask
    """bool array; for each split, whether a code of its feature goes left."""
    split_rows: Floats
    leaf_rows: Floats
    leaf_value: Floats
    """`split_rows`, `leaf_rows` and `leaf_value`: float64 arrays."""


class Paths(NamedTuple):
    """The paths to the leaves of one tree, from the leftmost leaf to the rightmost.

    A cell of a feature holds the codes that all splits of the tree treat alike.
    """

    code_start: Ints
    """int64 array of shape (n_features + 1,)."""
    cell: Ints
    """int64 array; the cell of each code of each feature, counted over all features."""
    cell_start: Ints
    """int64 array of shape (n_features + 1,)."""
    inside: Mask
    """bool array of shape (n_leaves, n_cells); whether a cell passes all splits of its feature on
    the path."""
    share: Floats
    """float64 array of shape (n_leaves, n_features); which share of the training rows passed them,
    the product over the splits; -1 where the path does not ask for the feature."""
    value: Floats
    """float64 array of shape (n_leaves,)."""


@kernel()
def follow_paths(tree: Tree) -> Paths:
    """Walk to each leaf, and note which cells and which share of rows stay on the way."""
    code_start, cell, cell_start = _find_cells(tree)
    n_leaves, n_features, n_cells = tree.leaf_rows.size, tree.n_codes.size, cell_start[-1]
    inside = np.ones((n_leaves, n_cells), np.bool_)
    share = np.full((n_leaves, n_features), -1.0)
    value = np.empty(n_leaves)
    # row d of these belongs to the path's node at depth d
    cells_left = np.ones((n_leaves, n_cells), np.bool_)
    share_left = np.full((n_leaves, n_features), -1.0)
    waiting, parents = np.zeros(n_leaves, np.int64), np.full(n_leaves, -1)
    depths = np.zeros(n_leaves, np.int64)
    found, top = 0, 0
    while top >= 0:
        node, parent, depth = waiting[top], parents[top], depths[top]
        top -= 1
        if parent >= 0:
            at = tree.feature[parent]
            _copy(cells_left[depth - 1], cells_left[depth])
            _copy(share_left[depth - 1], share_left[depth])
            start, goes = tree.left_start[parent], tree.left[parent] == node
            for code in range(tree.n_codes[at]):
                if tree.goes_left[start + code] != goes:
                    cells_left[depth, cell[code_start[at] + code]] = False
            rows = tree.split_rows[node] if node >= 0 else tree.leaf_rows[~node]
            # -1 marks a feature not asked yet: its absolute value is a share of 1
            share_left[depth, at] = abs(share_left[depth, at]) * (rows / tree.split_rows[parent])
        if node < 0:
            _copy(cells_left[depth], inside[found])
            _copy(share_left[depth], share[found])
            value[found] = tree.leaf_value[~node]
            found += 1
            continue
        # right first: the left child is then taken first, and leaves come from left to right
        for child in (tree.right[node], tree.left[node]):
            top += 1
            waiting[top], parents[top], depths[top] = child, node, depth + 1
    return Paths(code_start, cell, cell_start, inside, share, value)


@kernel()
def _copy(source: Mask | Floats, target: Mask | Floats) -> None:
    # an assignment of arrays takes numba seconds to compile
    for at in range(source.size):
        target[at] = source[at]


@kernel()
def _find_cells(tree: Tree) -> tuple[Ints, Ints, Ints]:
    """Put codes that every split of the tree treats alike into one cell."""
    n_features = tree.n_codes.size
    code_start = np.zeros(n_features + 1, np.int64)
    for at in range(n_features):
        code_start[at + 1] = code_start[at] + tree.n_codes[at]
    cell = np.zeros(code_start[-1], np.int64)
    count = np.ones(n_features, np.int64)
    for split in range(tree.feature.size):
        at = tree.feature[split]
        member = tree.goes_left[tree.left_start[split] : tree.left_start[split + 1]]
        count[at] = refine(cell[code_start[at] : code_start[at + 1]], member, count[at])
    cell_start = np.zeros(n_features + 1, np.int64)
    for at in range(n_features):
        cell_start[at + 1] = cell_start[at] + count[at]
        for code in range(code_start[at], code_start[at + 1]):
            cell[code] += cell_start[at]
    return code_start, cell, cell_start


@kernel()
def refine(labels: Ints, member: Mask, count: int) -> int:
    """Split each of `count` labels into members and others; return how many there are."""
    renamed = np.zeros(2 * count, np.int64)
    found = 0
    for at in range(labels.size):
        key = 2 * labels[at] + member[at]
        # stored plus 1, because 0 means that the label is new
        if renamed[key] == 0:
            found += 1
            renamed[key] = found
        labels[at] = renamed[key] - 1
    return found
