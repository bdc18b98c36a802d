"""Search of LightGBM parameters on folds in time, and the trial of what it chose on later rows."""

from kyc_ml.tuning.comparison import ParameterComparison, compare
from kyc_ml.tuning.objectives import MAXIMISED, compute_objective
from kyc_ml.tuning.rows import FoldRows, TuningRows, prepare_rows, require_parts_in_time
from kyc_ml.tuning.study import Search, TrialRecord, identify, search

__all__ = [
    "MAXIMISED",
    "FoldRows",
    "ParameterComparison",
    "Search",
    "TrialRecord",
    "TuningRows",
    "compare",
    "compute_objective",
    "identify",
    "prepare_rows",
    "require_parts_in_time",
    "search",
]
