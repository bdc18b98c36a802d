# ruff: noqa: N803  scikit-learn names the rows X
"""Splits by customer, alone or together with time."""

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from kyc_ml.dataset.splits import rows
from kyc_ml.dataset.splits.folds import Fold, RowAssignment
from kyc_ml.dataset.splits.in_time import SplitInTime
from kyc_ml.dataset.splits.protocol import Splitter, check_counts
from kyc_ml.errors import ConfigError, DatasetError, Faults
from kyc_ml.metrics import AnyArray, Floats, Ints, Times


@dataclass(frozen=True, kw_only=True, eq=False)
class CustomerDisjointSplit(Splitter):
    """Folds that share no customer, stratified by customers with a positive; time is ignored.

    Every row is tested once, by a model trained on other customers. Such a test does not show
    a change over time: training rows may be later than test rows.

    Parameters
    ----------
    n_splits : int
    seed : int
        Assigns customers to folds; the same seed gives the same folds in any order of rows.
    times : array of shape (n,), optional
        Only for `describe`, if X itself does not hold them.

    Examples
    --------
    >>> split = CustomerDisjointSplit(n_splits=2, seed=0)
    >>> customers = ["a", "a", "b", "c", "d", "b"]
    >>> for train, test in split.split(np.zeros((6, 1)), [1, 0, 0, 0, 1, 0], customers):
    ...     print(train, test)
    [3 4] [0 1 2 5]
    [0 1 2 5] [3 4]
    """

    needs_customers: ClassVar[bool] = True
    n_splits: int = 5
    seed: int
    times: npt.ArrayLike | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        faults = Faults(self._subject, ConfigError)
        check_counts(self, {"n_splits": 2, "seed": 0}, faults)
        faults.raise_if_any()

    def _times(self, X: rows.Data) -> Times | None:
        return rows.find_times(X, self.times, subject=self._subject)

    def folds(
        self, X: rows.Data, y: npt.ArrayLike | None = None, groups: npt.ArrayLike | None = None
    ) -> tuple[Fold, ...]:
        """Assign each row of each fold by its customer.

        Raises DatasetError if there are fewer customers, or fewer with a positive, than folds.
        """
        side = _customer_folds(self, X, y, groups)
        return tuple(
            Fold.of_customers(number + 1, side == number) for number in range(self.n_splits)
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class OutOfTimeCustomerSplit(SplitInTime):
    """`OutOfTimeSplit` and `CustomerDisjointSplit` together: later rows of other customers.

    All folds share the periods of one `OutOfTimeSplit`. Each fold tests the later rows of its
    customers, and trains on the earlier rows of the others: every row of the test period is
    tested once, by a model that saw neither its time nor its customer.

    Parameters
    ----------
    n_splits, seed
        As for `CustomerDisjointSplit`; the others as for `OutOfTimeSplit`.
    """

    needs_customers: ClassVar[bool] = True
    n_splits: int = 5
    seed: int

    def _lowest(self) -> dict[str, int]:
        return {"n_splits": 2, "seed": 0}

    def folds(
        self, X: rows.Data, y: npt.ArrayLike | None = None, groups: npt.ArrayLike | None = None
    ) -> tuple[Fold, ...]:
        """Assign each row of each fold by its time and its customer.

        Raises DatasetError as `OutOfTimeSplit` and `CustomerDisjointSplit` do.
        """
        (whole,) = super().folds(X)
        side = _customer_folds(self, X, y, groups)
        training = np.isin(whole.fate, [RowAssignment.TRAIN, RowAssignment.UNKNOWN])
        testing = whole.in_test_period
        found = []
        for number in range(self.n_splits):
            tested = side == number
            fate = whole.fate.copy()
            fate[(training & tested) | (testing & ~tested)] = RowAssignment.OTHER_CUSTOMER
            found.append(replace(whole, number=number + 1, fate=fate))
        return tuple(found)


def _customer_folds(
    splitter: CustomerDisjointSplit | OutOfTimeCustomerSplit,
    data: rows.Data,
    y: npt.ArrayLike | None,
    groups: npt.ArrayLike | None,
) -> Ints:
    n_rows, subject = rows.count_fold_rows(data), type(splitter).__name__
    return assign_customer_folds(
        rows.read_customers(groups, n_rows=n_rows, subject=subject),
        None if y is None else rows.read_target(y, n_rows=n_rows, subject=subject),
        folds=splitter.n_splits,
        seed=splitter.seed,
        subject=repr(splitter),
    )


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

    Raises DatasetError if there are fewer customers, or fewer with a positive, than folds.
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
    # those with a positive come first, so that every fold gets its share of them
    shuffled = np.concatenate([rng.permutation(having), rng.permutation(others)])
    fold = np.empty(names.size, np.int64)
    fold[shuffled] = np.arange(names.size) % folds
    return fold[codes]
