"""Who learns from which rows, and is judged by which.

A training run has parts in order of time (`plan_out_of_time`). Tuning and cross-validation
have folds: splitters after scikit-learn's protocol, which can also say what they left out.
"""

from kyc_ml.config import CALIBRATION, EARLY_STOPPING, PARTS, TEST, TRAIN
from kyc_ml.splits.by_customer import CustomerDisjointSplit, OutOfTimeCustomerSplit
from kyc_ml.splits.choice import make_splitter
from kyc_ml.splits.folds import Fate, Fold
from kyc_ml.splits.in_time import OutOfTimeSplit, PrequentialSplit
from kyc_ml.splits.parts import (
    LEFT_OUT,
    Boundaries,
    assign_parts,
    plan_out_of_time,
    summarise_parts,
)
from kyc_ml.splits.periods import Period

__all__ = [
    "CALIBRATION",
    "EARLY_STOPPING",
    "LEFT_OUT",
    "PARTS",
    "TEST",
    "TRAIN",
    "Boundaries",
    "CustomerDisjointSplit",
    "Fate",
    "Fold",
    "OutOfTimeCustomerSplit",
    "OutOfTimeSplit",
    "Period",
    "PrequentialSplit",
    "assign_parts",
    "make_splitter",
    "plan_out_of_time",
    "summarise_parts",
]
