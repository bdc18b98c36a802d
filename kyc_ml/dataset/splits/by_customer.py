# ruff: noqa: N803  scikit-learn names the rows X
"""Splits by customer, alone or together with time."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from kyc_ml.dataset.splits.customers import assign_customer_folds
from kyc_ml.dataset.splits.folds import Fold, RowAssignment
from kyc_ml.dataset.splits.in_time import SplitInTime
from kyc_ml.dataset.splits.protocol import Splitter, check_counts
from kyc_ml.dataset.splits.rows import (
    Data,
    count_fold_rows,
    find_times,
    read_customers,
    read_target,
)
from kyc_ml.errors import ConfigError, Faults
from kyc_ml.metrics import Ints, Times


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

    def get_n_splits(
        self, X: Data = None, y: npt.ArrayLike | None = None, groups: npt.ArrayLike | None = None
    ) -> int:
        """Return the number of folds; scikit-learn requires the arguments."""
        return self.n_splits

    def _times(self, X: Data) -> Times | None:
        return find_times(X, self.times, subject=self._subject)

    def folds(
        self, X: Data, y: npt.ArrayLike | None = None, groups: npt.ArrayLike | None = None
    ) -> tuple[Fold, ...]:
        """Assign each row of each fold by its customer.

        Raises
        ------
        DatasetError
            If there are fewer customers, or fewer with a positive, than folds.
        """
        side = _customer_folds(self, X, y, groups)
        found = []
        for number in range(self.n_splits):
            tested = side == number
            fate = np.where(tested, RowAssignment.TEST, RowAssignment.TRAIN).astype(np.int8)
            found.append(Fold(number=number + 1, period=None, fate=fate, in_test_period=tested))
        return tuple(found)


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

    def get_n_splits(
        self, X: Data = None, y: npt.ArrayLike | None = None, groups: npt.ArrayLike | None = None
    ) -> int:
        """Return the number of folds; scikit-learn requires the arguments."""
        return self.n_splits

    def folds(
        self, X: Data, y: npt.ArrayLike | None = None, groups: npt.ArrayLike | None = None
    ) -> tuple[Fold, ...]:
        """Assign each row of each fold by its time and its customer.

        Raises
        ------
        DatasetError
            As `OutOfTimeSplit` and `CustomerDisjointSplit` do.
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
    data: Data,
    y: npt.ArrayLike | None,
    groups: npt.ArrayLike | None,
) -> Ints:
    n_rows, subject = count_fold_rows(data), type(splitter).__name__
    return assign_customer_folds(
        read_customers(groups, n_rows=n_rows, subject=subject),
        None if y is None else read_target(y, n_rows=n_rows, subject=subject),
        folds=splitter.n_splits,
        seed=splitter.seed,
        subject=repr(splitter),
    )
