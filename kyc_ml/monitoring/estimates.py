"""Performance before outcomes are known, estimated from calibrated probabilities."""

from __future__ import annotations

import pandas as pd

from kyc_ml.monitoring.outcomes import KnownOutcomes
from kyc_ml.monitoring.signals import Signal


def estimates_by_period(
    outcomes: KnownOutcomes,
    *,
    per_day: float,
    features: pd.DataFrame | None = None,
    draws: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """Estimate figures of each month from what was known at its end, with the truth beside them.

    Parameters
    ----------
    features : DataFrame, optional
        Numeric features indexed by observation_id, for the estimator of covariate shift
        (``pape``); without them only ``cbpe`` is computed.

    Returns
    -------
    DataFrame
        One row a month, estimator ('cbpe', 'pape') and figure ('auc', 'average_precision',
        'recall_at_capacity', 'o_e'): month, estimator, figure, estimate, low, high (95 %:
        sampling and calibration error), reference_rows (mature rows it learned from), truth
        (NaN until all windows of the month have closed), covered (None until then).
    """
    raise NotImplementedError


def coverage_signals(estimates: pd.DataFrame, *, model: str, day: str) -> tuple[Signal, ...]:
    """Test whether intervals of estimates contain the truth as often as they say."""
    raise NotImplementedError
