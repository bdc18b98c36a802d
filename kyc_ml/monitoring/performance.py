"""Performance by month of decision, once outcomes are known."""

from __future__ import annotations

import pandas as pd

from kyc_ml.monitoring.outcomes import KnownOutcomes


def performance_by_month(
    outcomes: KnownOutcomes, *, per_day: float, draws: int = 200, seed: int = 0
) -> pd.DataFrame:
    """Compute figures of each month of decision.

    Parameters
    ----------
    per_day : float
        Reviews a day, for the recall at capacity.

    Returns
    -------
    DataFrame
        One row a month: month ('2026-05'), rows, closed (rows whose window has closed with a
        usable outcome), positives (known so far), complete (expected share of the final
        positives that is known, 0 to 1), and figures with their intervals at 95 % by customer:
        o_e, o_e_low, o_e_high (of all rows, corrected for outcomes that are not reported yet),
        auc, average_precision, recall_at_capacity, each with _low and _high (closed rows only).
        NaN where rows do not determine a figure.
    """
    raise NotImplementedError
