"""Metrics of one model on one set of rows."""

from dataclasses import asdict, dataclass

import numpy as np
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss

from kyc_ml.metrics.areas import auc_interval
from kyc_ml.metrics.arrays import Floats, Ints
from kyc_ml.metrics.calibration import calibration_error
from kyc_ml.metrics.discrimination import average_precision_interval, recall_at_fpr
from kyc_ml.metrics.level import observed_over_expected


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelMetrics:
    """Discrimination and calibration of probabilities.

    Intervals are at 95 %. `average_precision` has prevalence as its floor, not 0.5; its interval
    is NaN where no samples were drawn for it.
    Figures of a part with one class only are NaN where they are undefined.
    """

    rows: int
    positives: int
    prevalence: float
    auc: float
    auc_low: float
    auc_high: float
    average_precision: float
    average_precision_low: float
    average_precision_high: float
    recall_at_5_percent_fpr: float
    log_loss: float
    brier: float
    calibration_error: float
    observed_over_expected: float
    observed_over_expected_low: float
    observed_over_expected_high: float

    def as_dict(self) -> dict[str, float]:
        """Return the figures by name."""
        return asdict(self)


def compute_metrics(
    target: Floats,
    score: Floats,
    proba: Floats,
    *,
    customers: Ints | None = None,
    draws: int = 0,
    seed: int = 0,
) -> ModelMetrics:
    """Compute ranking figures of `score` and calibration figures of `proba`.

    Parameters
    ----------
    target : array of 0 and 1, shape (n,)
    score : array of shape (n,)
        What ranks, such as the margin: a calibrator may give equal probabilities.
    proba : array of shape (n,), in [0, 1]
    customers : int64 array of shape (n,), optional
        The customer of each row, as a number from 0: intervals then allow for rows of one
        customer.
    draws : int
        Bootstrap samples of customers, or without them of rows, for the interval of average
        precision; 0 for none.
    seed : int
        Draws them.
    """
    positives = int(target.sum())
    both = 0 < positives < target.size
    auc, low, high = auc_interval(target, score, customers) if both else (np.nan, np.nan, np.nan)
    lowest, highest = np.nan, np.nan
    if both and draws:
        # without customers each row is a cluster
        groups = np.arange(target.size) if customers is None else customers
        lowest, highest = average_precision_interval(target, score, groups, draws=draws, seed=seed)
    ratio = observed_over_expected(target, proba, customers)
    return ModelMetrics(
        rows=int(target.size),
        positives=positives,
        prevalence=positives / target.size if target.size else np.nan,
        auc=auc,
        auc_low=low,
        auc_high=high,
        average_precision=float(average_precision_score(target, score)) if both else np.nan,
        average_precision_low=lowest,
        average_precision_high=highest,
        recall_at_5_percent_fpr=recall_at_fpr(target, score, fpr=0.05) if both else np.nan,
        log_loss=float(log_loss(target, proba, labels=[0.0, 1.0])),
        brier=float(brier_score_loss(target, proba)),
        calibration_error=calibration_error(target, proba),
        observed_over_expected=ratio.ratio,
        observed_over_expected_low=ratio.low,
        observed_over_expected_high=ratio.high,
    )
