"""Assign customers to folds."""

from __future__ import annotations

import numpy as np
import pandas as pd

from kyc_ml.errors import DatasetError, Faults
from kyc_ml.metrics import AnyArray, Floats, Ints


def assign_customer_folds(
    customers: AnyArray,
    target: Floats | None,
    *,
    folds: int,
    seed: int,
    subject: str,
) -> Ints:
    """Return the fold of the customer of each row, 0 to folds - 1, shape (n,).

    Customers with a positive row, and those without, are shuffled separately and assigned in
    turn, so that the number of each kind differs by at most one between folds. This balances
    customers, not rows. The order of rows does not matter.

    Raises
    ------
    DatasetError
        If there are fewer customers, or fewer with a positive, than folds.
    """
    # sorted, so that the folds do not depend on the order of rows; as text, as ids may be mixed
    codes, names = pd.factorize(customers)
    order = np.argsort(np.array([str(name) for name in names]), kind="stable")
    positive = np.zeros(names.size, np.bool_)
    if target is not None:
        positive[codes[target == 1]] = True
    faults = Faults(f"{subject} cannot assign the customers to folds", DatasetError)
    if names.size < folds:
        faults.add(f"{folds} folds need as many customers, got {names.size}: lower folds")
    if target is not None and positive.sum() < folds:
        faults.add(
            f"{folds} folds need as many customers with a positive, got {int(positive.sum())} "
            f"of {names.size}: lower folds, or check cases and dates"
        )
    faults.raise_if_any()
    rng = np.random.default_rng(seed)
    having, others = order[positive[order]], order[~positive[order]]
    shuffled = np.concatenate([rng.permutation(having), rng.permutation(others)])
    fold = np.empty(names.size, np.int64)
    fold[shuffled] = np.arange(names.size) % folds
    return fold[codes]
