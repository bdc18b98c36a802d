"""Read LightGBM's text form into arrays: splits, leaves, covers, sets of categories."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from kyc_ml.errors import BundleError
from kyc_ml.metrics import Floats, Ints, Mask

_CATEGORICAL: Final = 1
_DEFAULT_LEFT: Final = 2
_ZERO_IS_MISSING: Final = 1
_NAN_IS_MISSING: Final = 2

_TREE: Final = re.compile(r"^Tree=\d+\n(.*?)(?:\n\n|\Z)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forest:
    """Trees of a model, their splits and leaves one after the other."""

    n_features: int
    """Columns of the matrix the model was trained on."""
    split_start: Ints
    leaf_start: Ints
    """`split_start` and `leaf_start`: int64 arrays of shape (n_trees + 1,); where the splits and
    the leaves of each tree are. A tree of one leaf has no split."""
    feature: Ints
    """int64 array of shape (n_splits,)."""
    threshold: Floats
    """float64 array of shape (n_splits,); values up to it go left. NaN for a split by a set of
    categories."""
    left: Ints
    right: Ints
    """`left` and `right`: int64 arrays of shape (n_splits,); a split of the same tree, counted from
    its first, or ``~leaf``."""
    zero_left: Mask
    nan_left: Mask
    """`zero_left` and `nan_left`: bool arrays of shape (n_splits,); where zero and NaN go;
    thresholds, missing type and default direction decide."""
    categories: tuple[Ints | None, ...]
    """Tuple of int64 arrays or None, length n_splits; the categories that go left, ascending; None
    for a split by a threshold."""
    split_rows: Floats
    leaf_rows: Floats
    """`split_rows` and `leaf_rows`: float64 arrays; training rows that came by: their ratios are
    what a path expects of an unknown feature."""
    leaf_value: Floats
    """float64 array of shape (n_leaves,)."""

    @property
    def n_trees(self) -> int:
        """Number of trees."""
        return self.split_start.size - 1

    def expected_margin(self) -> float:
        """Return the mean leaf value over the training rows, summed over all trees."""
        total = 0.0
        for start, stop in zip(self.leaf_start[:-1], self.leaf_start[1:], strict=True):
            rows = self.leaf_rows[start:stop]
            total += float(self.leaf_value[start:stop] @ (rows / rows.sum()))
        return total


def parse_forest(text: str) -> Forest:
    """Read the trees of a LightGBM model in its own text form.

    Raises BundleError if the model has several margins a row, averages its trees, has linear
    leaves, or a node that no training row reached: exact contributions of these are not defined
    here.
    """
    head = _fields(text.split("\nTree=", 1)[0])
    trees = [_fields(match[1]) for match in _TREE.finditer(text)]
    _require_explicable(head, trees)
    parts = [_tree(fields) for fields in trees]
    columns: dict[str, Any] = {
        name: np.concatenate([part[name] for part in parts])
        for name in parts[0]
        if name != "categories"
    }
    leaves = [part["leaf_value"].size for part in parts]
    return Forest(
        n_features=int(head["max_feature_idx"]) + 1,
        split_start=_starts([count - 1 for count in leaves]),
        leaf_start=_starts(leaves),
        categories=tuple(each for part in parts for each in part["categories"]),
        **columns,
    )


def _fields(section: str) -> dict[str, str]:
    """Read ``name=value`` lines; a line without a value is a name alone."""
    pairs = (line.partition("=") for line in section.splitlines())
    return {name: value for name, _, value in pairs}


def _starts(counts: list[int]) -> Ints:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _require_explicable(head: Mapping[str, str], trees: list[dict[str, str]]) -> None:
    """Refuse what the paths of trees with constant leaves cannot explain."""
    faults = []
    if not trees:
        faults.append("it has no trees")
    if head.get("num_tree_per_iteration", "1") != "1":
        faults.append("it has several margins a row: explain each class by a separate model")
    if "average_output" in head:
        faults.append("it averages its trees (boosting=rf): train with boosting=gbdt")
    if any(tree.get("is_linear", "0") != "0" for tree in trees):
        faults.append("its leaves are linear (linear_tree=true): train with linear_tree=false")
    empty = sum(tree.get("num_leaves") != "1" and _lacks_rows(tree) for tree in trees)
    if empty:
        faults.append(f"{empty} of its trees have a node without a training row: train again")
    if faults:
        raise BundleError("the LightGBM model has no exact contributions: " + "; ".join(faults))


def _lacks_rows(tree: Mapping[str, str]) -> bool:
    """Return whether a node has no count of training rows, or a count of 0."""
    leaves, splits = _floats(tree, "leaf_count"), _floats(tree, "internal_count")
    n_leaves = int(tree["num_leaves"])
    known = leaves.size == n_leaves and splits.size == n_leaves - 1
    return not known or min(leaves.min(), splits.min()) <= 0


def _tree(fields: Mapping[str, str]) -> dict[str, Any]:
    """Read one tree; the names are those of `Forest`."""
    threshold = _floats(fields, "threshold")
    kind = _places(fields, "decision_type")
    by_set = (kind & _CATEGORICAL) > 0
    default_left = (kind & _DEFAULT_LEFT) > 0
    missing = (kind >> 2) & 3
    # without a rule for missing values a zero is compared like any number
    zero_left = np.where(missing == _ZERO_IS_MISSING, default_left, threshold >= 0.0)
    # LightGBM reads NaN as 0 unless the split treats NaN as missing
    nan_left = np.where(missing == _NAN_IS_MISSING, default_left, zero_left)
    return {
        "feature": _places(fields, "split_feature"),
        "threshold": np.where(by_set, np.nan, threshold),
        "left": _places(fields, "left_child"),
        "right": _places(fields, "right_child"),
        "zero_left": zero_left,
        "nan_left": nan_left & ~by_set,
        "categories": _category_sets(fields, threshold, by_set),
        "split_rows": _floats(fields, "internal_count"),
        # a tree of one leaf may come without its count, which is not needed
        "leaf_rows": np.ones(1) if threshold.size == 0 else _floats(fields, "leaf_count"),
        "leaf_value": _floats(fields, "leaf_value"),
    }


def _category_sets(fields: Mapping[str, str], threshold: Floats, by_set: Mask) -> list[Ints | None]:
    """Read which categories go left: bits of 32-bit words."""
    if not by_set.any():
        return [None] * threshold.size
    bounds = _places(fields, "cat_boundaries")
    words = np.array(fields["cat_threshold"].split(), np.uint32)
    # little-endian bytes: bit k is category k on any machine
    bits = np.unpackbits(words.astype("<u4").view(np.uint8), bitorder="little")
    sets: list[Ints | None] = []
    for each, number in zip(by_set, threshold, strict=True):
        if each:
            at = int(number)
            sets.append(np.flatnonzero(bits[32 * bounds[at] : 32 * bounds[at + 1]]))
        else:
            sets.append(None)
    return sets


def _floats(fields: Mapping[str, str], name: str) -> Floats:
    return np.array(fields.get(name, "").split(), np.float64)


def _places(fields: Mapping[str, str], name: str) -> Ints:
    return np.array(fields.get(name, "").split(), np.int64)
