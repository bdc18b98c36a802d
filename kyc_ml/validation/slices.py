"""Find regions where a model may be wrong on one half of the customers, for the other half."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy.special import entr, xlogy
from sklearn.tree import DecisionTreeRegressor

from kyc_ml.dataset import POSITIVE
from kyc_ml.metrics import Ints
from kyc_ml.validation.rows import ScoredRows

_SMALLEST: Final = 0.02
"""Smallest share of the rows in a region: fewer rows are single cases, not a region."""

_DEEPEST: Final = 4
"""Most bounds that describe a region: a reader cannot act on more (convention)."""


def find_slices(
    rows: ScoredRows, places: Ints, *, columns: Sequence[int], leaves: int, seed: int
) -> list[tuple[str, Ints]] | None:
    """Find regions with more error than the probabilities predict.

    On half of the customers the tree learns each row's log loss minus the loss that is expected
    if its probability is right. Its leaves are returned with the rows of the other half, so that
    no row is evaluated in a region that it helped to find.

    Return None if there is no column, or a half has only one class.

    `columns`: columns of the model's matrix that may bound regions.
    """
    if not columns:
        return None
    matrix = np.clip(rows.matrix[np.ix_(places, np.array(columns))], -1e300, 1e300).astype(
        np.float32
    )
    matrix = np.where(np.isinf(matrix), np.sign(matrix) * np.finfo(np.float32).max, matrix)
    target = np.asarray(rows.status[places] == POSITIVE, dtype=np.float64)
    customer = np.unique(rows.customers[places], return_inverse=True)[1]
    half = np.random.default_rng(seed).permutation(customer.max() + 1) % 2 == 0
    seeking = half[customer]
    if any(np.unique(target[part]).size < 2 for part in (seeking, ~seeking)):
        return None
    proba = rows.probability[places]
    loss = -xlogy(target, proba) - xlogy(1.0 - target, 1.0 - proba)
    excess = np.nan_to_num(loss - entr(proba) - entr(1.0 - proba), posinf=50.0)
    tree = DecisionTreeRegressor(
        max_leaf_nodes=leaves, max_depth=_DEEPEST,
        min_samples_leaf=max(1, int(_SMALLEST * seeking.sum())), random_state=0,
    )  # fmt: skip
    tree.fit(matrix[seeking], excess[seeking])
    leaf = tree.apply(matrix[~seeking])
    names = [rows.features.names[place] for place in columns]
    described = describe_leaves(tree, names, missing=list(np.isnan(matrix).any(axis=0)))
    others = places[~seeking]
    return [(described[node], others[leaf == node]) for node in np.unique(leaf)]


def describe_leaves(
    tree: DecisionTreeRegressor, names: Sequence[str], *, missing: Sequence[bool]
) -> dict[int, str]:
    """Describe the bounds of each leaf, feature by feature.

    `missing` is whether each feature has missing values: only then are they mentioned.
    """
    inner = tree.tree_
    found: dict[int, str] = {}

    def follow(node: int, bounds: dict[int, tuple[float, float, bool]]) -> None:
        if inner.children_left[node] == -1:
            bounded = [
                _bounded(names[at], *each, missing=missing[at]) for at, each in bounds.items()
            ]
            found[node] = " and ".join(bounded) or "all rows"
            return
        at, cut = int(inner.feature[node]), float(inner.threshold[node])
        low, high, unknown = bounds.get(at, (-np.inf, np.inf, True))
        to_left = bool(inner.missing_go_to_left[node])
        left = (low, min(high, cut), unknown and to_left)
        right = (max(low, cut), high, unknown and not to_left)
        follow(int(inner.children_left[node]), {**bounds, at: left})
        follow(int(inner.children_right[node]), {**bounds, at: right})

    follow(0, {})
    return found


def _bounded(name: str, low: float, high: float, unknown: bool, *, missing: bool) -> str:  # noqa: FBT001
    lower = "" if np.isinf(low) else f"{low:.4g} < "
    upper = "" if np.isinf(high) else f" <= {high:.4g}"
    return f"{lower}{name}{upper}{' or missing' if missing and unknown else ''}"
