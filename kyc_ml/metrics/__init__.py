"""Formulas of model validation: pure NumPy, SciPy and pandas; `compute_*` gives tidy tables.

Ranking, calibration, grades, stability, fairness and cost. Every test of significance has its
assumptions in its docstring; missing figures are NaN, never 0.
"""

from __future__ import annotations

from kyc_ml.metrics.calibration import (
    BrierParts,
    ObservedOverExpected,
    calibration_error,
    compute_reliability,
    decompose_brier,
    hosmer_lemeshow,
    largest_calibration_error,
    observed_over_expected,
    spiegelhalter,
)
from kyc_ml.metrics.clustering import (
    clustered_observed_over_expected,
    design_effect,
    effective_customers,
    effective_size,
    residual_at_observed_level,
)
from kyc_ml.metrics.concentration import (
    Concentration,
    ConcentrationChange,
    concentration,
    concentration_change,
)
from kyc_ml.metrics.cost import Savings, compute_costs, compute_savings
from kyc_ml.metrics.curves import compute_precision_recall, compute_roc, compute_score_distribution
from kyc_ml.metrics.discrimination import (
    AucDecline,
    AucDifference,
    PartialAuc,
    auc_decline,
    auc_interval,
    average_precision_interval,
    compare_aucs,
    ks_statistic,
    partial_auc,
    recall_at_fpr,
)
from kyc_ml.metrics.fairness import Fairness, compute_fairness
from kyc_ml.metrics.grades import (
    binomial_p,
    compute_grade_calibration,
    compute_ordering,
    jeffreys_p,
)
from kyc_ml.metrics.intervals import jeffreys_interval, poisson_interval
from kyc_ml.metrics.migration import matrix_weighted_bandwidth, migration_z
from kyc_ml.metrics.operating import (
    ThresholdRates,
    compute_operating_points,
    compute_ranking_figures,
    rates_at_threshold,
    threshold_at_fpr,
)
from kyc_ml.metrics.quality import Quality, compute_quality
from kyc_ml.metrics.recalibration import CalibrationLine, calibration_line, fit_calibration_line
from kyc_ml.metrics.significance import SignificanceTest, holm
from kyc_ml.metrics.stability import Drift, FrozenBins, compute_drift, compute_psi, psi_critical

__all__ = [
    "AucDecline",
    "AucDifference",
    "BrierParts",
    "CalibrationLine",
    "Concentration",
    "ConcentrationChange",
    "Drift",
    "Fairness",
    "FrozenBins",
    "ObservedOverExpected",
    "PartialAuc",
    "Quality",
    "Savings",
    "SignificanceTest",
    "ThresholdRates",
    "auc_decline",
    "auc_interval",
    "average_precision_interval",
    "binomial_p",
    "calibration_error",
    "calibration_line",
    "clustered_observed_over_expected",
    "compare_aucs",
    "compute_costs",
    "compute_drift",
    "compute_fairness",
    "compute_grade_calibration",
    "compute_operating_points",
    "compute_ordering",
    "compute_precision_recall",
    "compute_psi",
    "compute_quality",
    "compute_ranking_figures",
    "compute_reliability",
    "compute_roc",
    "compute_savings",
    "compute_score_distribution",
    "concentration",
    "concentration_change",
    "decompose_brier",
    "design_effect",
    "effective_customers",
    "effective_size",
    "fit_calibration_line",
    "holm",
    "hosmer_lemeshow",
    "jeffreys_interval",
    "jeffreys_p",
    "ks_statistic",
    "largest_calibration_error",
    "matrix_weighted_bandwidth",
    "migration_z",
    "observed_over_expected",
    "partial_auc",
    "poisson_interval",
    "psi_critical",
    "rates_at_threshold",
    "recall_at_fpr",
    "residual_at_observed_level",
    "spiegelhalter",
    "threshold_at_fpr",
]
