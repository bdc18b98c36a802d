"""The rows that two models are compared on, with the features of each model."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from kyc_ml.dataset import POSITIVE, customers_of
from kyc_ml.errors import require_both_classes
from kyc_ml.features import DAY_US, DECISION_TIME, FeatureTable, microseconds
from kyc_ml.metrics import Floats, Ints, Mask, Names


@dataclass(frozen=True, slots=True, kw_only=True)
class LaterRows:
    """Observations that are new to both models."""

    challenger: FeatureTable
    champion: FeatureTable
    """`challenger` and `champion`: the same n observations in the same order, with the columns of
    each model and what its tier policy reads; it may be one table for both."""
    status: Names
    """object array of shape (n,); what is known of each outcome; see `Labels`."""
    evaluated: Mask
    """bool array of shape (n,); the rows that figures are computed from: their outcome is known,
    and all rows of their time are old enough for it to be known. The others only change tiers."""
    since: pd.Timestamp
    end: pd.Timestamp
    """`since` and `end`: evaluated rows were decided in ``[since, end)``."""
    as_of: pd.Timestamp
    """Outcomes are those known at this time."""
    out_of_fold: tuple[tuple[Floats, Floats], tuple[Floats, Floats]] | None = None
    """Two pairs of float64 arrays of shape (n,), or None; margin and probability of the challenger,
    then of the champion, from models that did not see the row's customer; None where the rows are
    later than both trainings."""

    @property
    def kind(self) -> str:
        """Kind of the rows: 'later' or 'out-of-fold'."""
        return "later" if self.out_of_fold is None else "out-of-fold"

    @property
    def target(self) -> Floats:
        """Target of the evaluated rows: 1 for a positive and 0 for a negative."""
        return np.asarray(self.status[self.evaluated] == POSITIVE, dtype=np.float64)

    @property
    def customers(self) -> Names:
        """The customers of the evaluated rows."""
        return customers_of(self.champion.keys)[self.evaluated]

    @property
    def day(self) -> Ints:
        """Day of each evaluated row's decision, counted from 1970."""
        return np.asarray(microseconds(self.champion.keys[DECISION_TIME])[self.evaluated] // DAY_US)

    @property
    def end_day(self) -> int:
        """The day after the time of the evaluated rows."""
        # `-(-a // b)` rounds up
        return -(-(self.end.value // 1000) // DAY_US)

    def require_both_classes(self) -> None:
        """Raise DatasetError unless the evaluated rows have positives and negatives."""
        require_both_classes(
            f"a comparison on {self.kind} rows",
            int(self.target.sum()),
            self.target.size,
            cure="name a later --as-of, or wait until more labels are mature",
        )
