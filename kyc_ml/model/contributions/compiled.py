"""A model compiled into tables, and the rows explained by them."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np

from kyc_ml.errors import DatasetError
from kyc_ml.metrics import Floats, Ints
from kyc_ml.model.contributions.codes import Coding, build_coding
from kyc_ml.model.contributions.groups import group_leaves
from kyc_ml.model.contributions.paths import Paths, Tree, follow_paths
from kyc_ml.model.contributions.sums import explain_block, sum_leaves
from kyc_ml.model.contributions.tables import Rules, Tables, join_tables, make_rules, tabulate_tree
from kyc_ml.model.contributions.trees import Forest, parse_forest

MOST_TABLE_BYTES: Final = 64 * 2**20
"""What the tables of a model may take; leaves do without a table where it is too little."""

_PRICE: Final = 0.1 / 1024
"""What a byte of a table costs at first: reading it again for each block of rows."""

_BLOCK: Final = 1024
"""Rows explained at a time. More share one reading of the tables; of fewer, more codes and
sums stay in the cache. From 512 to 2,048 the time is the same within a tenth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeContributions:
    """Exact path-dependent SHAP values of a LightGBM model, by tables."""

    forest: Forest
    base: float
    """The mean margin over the training rows as the covers of the trees say it."""
    coding: Coding
    tables: Tables | None
    rules: Rules
    table_bytes: int
    """Memory that the tables take. Beyond `MOST_TABLE_BYTES` leaves are integrated rather than
    tabulated, down to a few numbers and codes a leaf."""

    def explain(self, matrix: Floats, *, threads: int = 2) -> tuple[Floats, Floats]:
        """Share each row's margin out to the features.

        `matrix`: float64 array of shape (n_rows, n_features); NaN is missing.
        Returns `values`: float64 array of shape (n_rows, n_features); the same to the last bit
        whatever rows come with it, in any order.
        Returns `base`: float64 array of shape (n_rows,).
        Raises DatasetError if the matrix has other columns than the model.
        """
        self._require_columns(matrix)
        n_rows = matrix.shape[0]
        values, base = np.zeros(matrix.shape), np.full(n_rows, self.base)
        if self.tables is not None:
            self._explain_blocks(self.tables, matrix, values, threads=threads)
        return values, base

    def margin(self, matrix: Floats) -> Floats:
        """Predict the margins of rows, in one thread: to the last bit those of LightGBM.

        Raises DatasetError if the matrix has other columns than the model.
        """
        self._require_columns(matrix)
        forest, out = self.forest, np.empty(matrix.shape[0])
        starts = forest.split_start, forest.leaf_start
        children = forest.left, forest.right
        rows = np.ascontiguousarray(matrix, dtype=np.float64)
        sum_leaves(rows, self.coding, starts, children, forest.leaf_value, out)
        return out

    def _require_columns(self, matrix: Floats) -> None:
        if matrix.ndim != 2 or matrix.shape[1] != self.forest.n_features:
            raise DatasetError(
                f"rows to score have shape {matrix.shape}, the model wants "
                f"{self.forest.n_features} columns: build the features it was trained on"
            )

    def _explain_blocks(
        self, tables: Tables, matrix: Floats, values: Floats, *, threads: int
    ) -> None:
        def explain(start: int) -> None:
            rows = slice(start, start + _BLOCK)
            # copies only a block that is not contiguous float64 already
            block = np.ascontiguousarray(matrix[rows], dtype=np.float64)
            # `values[rows]` is a view: the kernel writes into the result
            explain_block(block, self.coding, tables, self.rules, values[rows])

        if len(matrix) <= _BLOCK:
            explain(0)
            return
        with ThreadPoolExecutor(threads) as pool:
            # reading the results raises what a thread raised
            list(pool.map(explain, range(0, matrix.shape[0], _BLOCK)))


def compile_model(text: str) -> TreeContributions:
    """Compile LightGBM's text form of a model with one margin a row.

    Raises BundleError if the model has no exact contributions, such as one with linear leaves.
    """
    forest = parse_forest(text)
    coding = build_coding(forest)
    trees = [_tree(forest, coding, tree) for tree in range(forest.n_trees)]
    grown = [(slots, follow_paths(tree)) for slots, tree in trees if tree.feature.size]
    widest = max((slots.size for slots, _ in grown), default=1)
    rules = make_rules((widest + 1) // 2)
    tables = _tabulate(grown, rules) if grown else None
    return TreeContributions(
        forest=forest,
        base=forest.expected_margin(),
        coding=coding,
        tables=tables,
        rules=rules,
        table_bytes=sum(column.nbytes for column in tables) if tables else 0,
    )


def _tabulate(grown: list[tuple[Ints, Paths]], rules: Rules) -> Tables:
    """Group the leaves at a price of memory that keeps the tables small enough."""
    price = _PRICE
    while True:
        groups = [group_leaves(paths, price) for _, paths in grown]
        if sum(size for *_, size in groups) <= MOST_TABLE_BYTES or price > 1.0:
            break
        price *= 4.0
    parts = [
        tabulate_tree(paths, slots, bounds, n_points, rules)
        for (slots, paths), (bounds, n_points, _) in zip(grown, groups, strict=True)
    ]
    return join_tables(parts)


def _tree(forest: Forest, coding: Coding, tree: int) -> tuple[Ints, Tree]:
    """Cut one tree out, its features counted from 0; the slots say which they are."""
    splits = slice(*forest.split_start[tree : tree + 2])
    leaves = slice(*forest.leaf_start[tree : tree + 2])
    slots, feature = np.unique(coding.slot[splits], return_inverse=True)
    left_start = coding.left_start[splits.start : splits.stop + 1]
    return slots, Tree(
        n_codes=coding.n_codes[slots],
        feature=feature,
        left=forest.left[splits],
        right=forest.right[splits],
        left_start=left_start - left_start[0],
        goes_left=coding.goes_left[left_start[0] : left_start[-1]],
        split_rows=forest.split_rows[splits],
        leaf_rows=forest.leaf_rows[leaves],
        leaf_value=forest.leaf_value[leaves],
    )
