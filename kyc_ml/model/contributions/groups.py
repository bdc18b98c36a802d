"""Part the leaves of a tree into groups that are cheap to explain together.

A group of neighbouring leaves is explained in one of two ways.

- By one table over the cells that its paths tell apart, a cell being one label of each
  feature that any of them asks for. Looking it up takes as long as the group has features,
  but each further feature at least doubles the table.
- By integration, where many features are asked for. What all paths of the group ask alike
  is their stem: its product is formed row by row. What they differ in is their crown: it
  has a table at each point of integration, over the cells of the crown alone.
"""

from typing import Final

import numpy as np

from kyc_ml.metrics import Ints, Mask
from kyc_ml.model.contributions.paths import Paths, refine
from kyc_ml.storage import kernel

_MOST_CELLS: Final = 1024

_GROUP_BYTES: Final = 40
"""A group's numbers in the tables of this package; a member has 16 bytes there."""

# What a row takes, in about a nanosecond each; measured on the models of the benchmark.
_PER_GROUP: Final = 0.5
_PER_MEMBER: Final = 0.4
"""To find the cell, or whether the path passes."""
_PER_LOOKUP: Final = 0.6
"""To add a number from a table."""
_PER_PRODUCT: Final = 0.4
"""To multiply and divide by one feature of a stem, at one point."""


@kernel()
def group_leaves(paths: Paths, price: float) -> tuple[Ints, Ints, int]:
    """Find the cheapest groups of neighbouring leaves.

    `price`: what a byte of a table costs beside the time: the higher, the smaller the tables.
    Returns `bounds`: int64 array of shape (n_groups + 1,); the first leaf of each group, and the
    number of leaves.
    Returns `n_points`: int64 array of shape (n_groups,); points of integration; 0 for a group with
    one table.
    Returns `size`: bytes that the tree's groups take.
    """
    n_leaves, n_features = paths.share.shape
    # of the cheapest groups of the leaves before each: cost, bytes, what the last group is
    cost, sizes = np.full(n_leaves + 1, np.inf), np.zeros(n_leaves + 1, np.int64)
    began, points = np.zeros(n_leaves + 1, np.int64), np.zeros(n_leaves + 1, np.int64)
    cost[0] = 0.0
    for first in range(n_leaves):
        labels = np.zeros(paths.cell_start[-1], np.int64)
        counts, stem = np.zeros(n_features, np.int64), np.ones(n_features, np.bool_)
        for last in range(first, n_leaves):
            add_leaf(paths, first, last, labels, counts, stem)
            # further leaves can only add cells
            if count_cells(counts, stem) > _MOST_CELLS:
                break
            for wanted in (0, int(np.count_nonzero(counts) + 1) // 2):
                time, size = _weigh(paths, counts, stem, wanted)
                total = cost[first] + time + price * size
                if total < cost[last + 1]:
                    cost[last + 1], began[last + 1], points[last + 1] = total, first, wanted
                    sizes[last + 1] = sizes[first] + int(size)
    # walked twice: the number of groups is needed before the arrays
    n_groups, at = 0, n_leaves
    while at > 0:
        n_groups, at = n_groups + 1, began[at]
    bounds, n_points = np.empty(n_groups + 1, np.int64), np.empty(n_groups, np.int64)
    bounds[n_groups] = n_leaves
    for group in range(n_groups - 1, -1, -1):
        bounds[group], n_points[group] = began[bounds[group + 1]], points[bounds[group + 1]]
    return bounds, n_points, int(sizes[n_leaves])


@kernel()
def add_leaf(paths: Paths, first: int, leaf: int, labels: Ints, counts: Ints, stem: Mask) -> None:
    """Add one more leaf to the group that begins with leaf `first`.

    `labels`: int64 array of shape (n_cells,); the label of each of the tree's cells in this group;
    begins with 0.
    `counts`: int64 array of shape (n_features,); how many labels a feature has, 0 while no leaf
    asks for it.
    `stem`: bool array of shape (n_features,); what all leaves of the group ask alike; begins with
    True.
    """
    for at in range(counts.size):
        start, stop = paths.cell_start[at], paths.cell_start[at + 1]
        if paths.share[leaf, at] >= 0.0:
            member = paths.inside[leaf, start:stop]
            counts[at] = refine(labels[start:stop], member, max(1, counts[at]))
        alike = counts[at] > 0 and paths.share[leaf, at] == paths.share[first, at]
        for cell in range(start, stop):
            alike &= paths.inside[leaf, cell] == paths.inside[first, cell]
        stem[at] &= alike


@kernel()
def count_cells(counts: Ints, stem: Mask) -> float:
    """Count the cells over all features that are asked for and not in the stem."""
    cells = 1.0
    for at in range(counts.size):
        if counts[at] > 0 and not stem[at]:
            cells *= counts[at]
    return cells


@kernel()
def _weigh(paths: Paths, counts: Ints, stem: Mask, n_points: int) -> tuple[float, float]:
    """Estimate the time a row takes, and count the bytes of the group."""
    asked, in_stem, cells, n_codes = 0, 0, 1.0, 0
    for at in range(counts.size):
        if counts[at] > 0:
            asked += 1
            n_codes += paths.code_start[at + 1] - paths.code_start[at]
            if stem[at] and n_points:
                in_stem += 1
            else:
                cells *= counts[at]
    if cells > _MOST_CELLS:
        return np.inf, 0.0
    rows = n_points * (1 + asked - in_stem) if n_points else asked
    time = _PER_GROUP + _PER_MEMBER * asked + _PER_LOOKUP * rows
    time += _PER_PRODUCT * in_stem * n_points
    return time, _GROUP_BYTES + 16.0 * asked + 8.0 * (in_stem + rows * cells) + 2.0 * n_codes
