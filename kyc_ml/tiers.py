"""Probability to tier, and what follows from a tier."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from kyc_ml.config import TierPolicy
from kyc_ml.metrics import jeffreys_interval

Floats = npt.NDArray[np.float64]


def assign_tiers(proba: Floats, *, policy: TierPolicy) -> npt.NDArray[np.int64]:
    """Map probabilities of shape (n,) onto places in ``policy.tiers`` of shape (n,).

    A probability equal to a cut-off belongs to the tier above it.

    Raises
    ------
    ValueError
        If a probability is NaN or outside [0, 1].

    Examples
    --------
    >>> rule = {"due_diligence": "standard", "monitoring": "yearly", "review_months": 6}
    >>> policy = TierPolicy.model_validate(
    ...     {
    ...         "name": "three",
    ...         "version": 1,
    ...         "tiers": [
    ...             {"name": "low", "name_zh": "低", "from_probability": 0.0, **rule},
    ...             {"name": "medium", "name_zh": "中", "from_probability": 0.01, **rule},
    ...             {"name": "high", "name_zh": "高", "from_probability": 0.1, **rule},
    ...         ],
    ...     }
    ... )
    >>> assign_tiers(np.array([0.001, 0.01, 0.9]), policy=policy).tolist()
    [0, 1, 2]
    """
    outside = int((~((proba >= 0.0) & (proba <= 1.0))).sum())
    if outside:
        msg = f"probabilities must lie in [0, 1], got {outside} of {proba.size} outside it"
        raise ValueError(msg)
    bounds = [tier.from_probability for tier in policy.tiers]
    return np.searchsorted(bounds, proba, side="right") - 1


def next_reviews(
    decision: pd.DatetimeIndex, tier: npt.NDArray[np.int64], *, policy: TierPolicy
) -> pd.DatetimeIndex:
    """Give the day by which each customer is to be reviewed again, as midnight UTC."""
    due = pd.Series(pd.NaT, index=range(len(decision)), dtype="datetime64[us, UTC]")
    days = decision.normalize()
    for place, rule in enumerate(policy.tiers):
        here = tier == place
        due[here] = days[here] + pd.DateOffset(months=rule.review_months)
    return pd.DatetimeIndex(due)


def compute_tier_table(
    tier: npt.NDArray[np.int64],
    proba: Floats,
    *,
    policy: TierPolicy,
    target: Floats | None = None,
) -> pd.DataFrame:
    """Count rows by tier beside the expected and, with outcomes, the observed rate.

    Returns
    -------
    DataFrame
        One row a tier, lowest first: tier, tier_zh, from_probability, rows, share,
        expected_rate and, where `target` is given, positives, observed_rate, ci_low,
        ci_high (Jeffreys, 95 %). Rates of an empty tier, and shares of no rows, are NaN.
    """
    rows = []
    for place, rule in enumerate(policy.tiers):
        here = tier == place
        count = int(here.sum())
        row: dict[str, object] = {
            "tier": rule.name,
            "tier_zh": rule.name_zh,
            "from_probability": rule.from_probability,
            "rows": count,
            "share": count / tier.size if tier.size else np.nan,
            "expected_rate": float(proba[here].mean()) if count else np.nan,
        }
        if target is not None:
            hits = int(target[here].sum())
            low, high = jeffreys_interval([hits], [count])
            row |= {
                "positives": hits,
                "observed_rate": hits / count if count else np.nan,
                "ci_low": float(low[0]) if count else np.nan,
                "ci_high": float(high[0]) if count else np.nan,
            }
        rows.append(row)
    return pd.DataFrame(rows)
