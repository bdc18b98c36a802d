"""Search of LightGBM parameters on folds, and the trial of what it chose on rows it never saw."""

from kyc_ml.tuning.comparison import ParameterComparison
from kyc_ml.tuning.objectives import MAXIMISED, compute_objective
from kyc_ml.tuning.rows import FoldRows, TuningRows, prepare_rows
from kyc_ml.tuning.study import Search, TrialRecord, identify, search
from kyc_ml.tuning.tune import Studies, prepare, require_tunable

__all__ = [
    "MAXIMISED",
    "FoldRows",
    "ParameterComparison",
    "Search",
    "Studies",
    "TrialRecord",
    "TuningRows",
    "compute_objective",
    "identify",
    "prepare",
    "prepare_rows",
    "require_tunable",
    "search",
]
