"""Assign tiers by the cut-offs of a row's segment, and count the rows of each tier."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from kyc_ml.decision.tiers.policy import TierPolicy
from kyc_ml.decision.tiers.sections import WHOLE, SegmentPolicy
from kyc_ml.metrics import Floats, Ints, Names, observed_over_expected


def assign_tiers(proba: Floats, *, policy: TierPolicy, segment: Names | None = None) -> Ints:
    """Map probabilities of shape (n,) onto places in ``policy.tiers`` of shape (n,).

    A probability equal to a cut-off belongs to the tier above it.

    `segment`: object array of shape (n,); names of segments as `name_segments` returns them;
    without it all rows have the cut-offs of all.
    Raises ValueError if a probability is NaN or outside [0, 1].

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
    # "right": a probability at a cut-off belongs to the tier that begins there
    tier = np.asarray(np.searchsorted(policy.cut_offs(), proba, side="right") - 1, np.int64)
    for name in () if segment is None else policy.segment_names:
        own = segment == name
        tier[own] = np.searchsorted(policy.cut_offs(name), proba[own], side="right") - 1
    return tier


def name_segments(values: pa.Array, segments: SegmentPolicy) -> tuple[Names, dict[str, int]]:
    """Name the segment of each row by its value of the segment feature.

    Returns `segment`: object array of shape (n,); name of a segment with separate cut-offs, else
    'all'.
    Returns `without`: dict of 'missing' and 'unlisted' to count; rows that have the cut-offs of all
    because their value is missing, and because it belongs to no segment.
    """
    own = {value: each.name for each in segments.own for value in each.values}  # noqa: PD011
    named = np.array([own.get(each, WHOLE) for each in values.to_pylist()], dtype=object)
    missing = values.null_count
    return named, {"missing": missing, "unlisted": int((named == WHOLE).sum()) - missing}


def compute_tier_table(
    tier: Ints,
    proba: Floats,
    *,
    policy: TierPolicy,
    target: Floats | None = None,
    customers: Ints | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Count rows by tier, with the expected rate and, given outcomes, the observed rate.

    Parameters
    ----------
    customers : int64 array of shape (n,), optional
        The customer of each row, as a number from 0; without it rows are independent.
    confidence : float
        Of the interval of each tier by itself.

    Returns
    -------
    DataFrame
        One row per tier, lowest first: tier, tier_zh, from_probability (of all), rows,
        share, expected_rate and, where `target` is given, positives, observed_rate, ci_low,
        ci_high (as of `observed_over_expected`). Rates of an empty tier, and shares of no
        rows, are NaN.
    """
    rows = []
    for place, rule in enumerate(policy.tiers):
        here = tier == place
        count = int(here.sum())
        row: dict[str, Any] = {
            "tier": rule.name,
            "tier_zh": rule.name_zh,
            "from_probability": rule.from_probability,
            "rows": count,
            "share": count / tier.size if tier.size else np.nan,
            "expected_rate": float(proba[here].mean()) if count else np.nan,
        }
        if target is not None:
            hits = int(target[here].sum())
            found = observed_over_expected(
                target[here],
                proba[here],
                None if customers is None else customers[here],
                confidence=confidence,
            )
            row |= {
                "positives": hits,
                "observed_rate": hits / count if count else np.nan,
                "ci_low": found.low * row["expected_rate"],
                "ci_high": found.high * row["expected_rate"],
            }
        rows.append(row)
    return pd.DataFrame(rows)
