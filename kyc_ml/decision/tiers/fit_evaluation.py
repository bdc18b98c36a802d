"""Evaluate cut-offs on rows: rate and alerts of each tier, compared with its target."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import pandas as pd

from kyc_ml.decision.tiers.fit_sections import BadRateFit, CapacityFit, FitMethod
from kyc_ml.decision.tiers.fitting import observed_periods, upper_rate
from kyc_ml.decision.tiers.policy import TierPolicy
from kyc_ml.decision.tiers.sections import WHOLE
from kyc_ml.errors import ConfigError
from kyc_ml.metrics import Floats, Mask, Names, Times

_CONFIDENCE: Final = 0.95
"""Level of the upper bounds where the method does not set one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitRows:
    """Calibrated, mature rows to fit cut-offs on; best rows that the model was not fitted on."""

    proba: Floats
    """float64 array of shape (n,)."""
    target: Floats
    """Array of 0 and 1, shape (n,)."""
    customers: Names
    segment: Names
    """`customers` and `segment`: object arrays of shape (n,)."""
    days: Times
    """datetime64[D] array of shape (n,); day of each decision."""

    def take(self, rows: Mask) -> FitRows:
        """Return some of the rows."""
        return FitRows(**{each.name: getattr(self, each.name)[rows] for each in fields(self)})


def evaluate_cut_offs(rows: FitRows, policy: TierPolicy) -> pd.DataFrame:
    """Compare a policy's cut-offs with targets and capacities on rows.

    One row per segment with a separate method, or all, and tier: segment, tier, in_force and
    proposed (cut-offs, equal here), rows, alerts (per day or month, for a capacity), expected_rate,
    positives, observed_rate, upper_rate (one-sided), limit (of rate or alerts) and met (None
    without a limit).
    Raises ConfigError if the policy has no `fit` section.
    """
    if policy.fit is None:
        msg = f"policy {policy.label!r} has no section fit: add one, its targets are needed"
        raise ConfigError(msg)
    methods = {WHOLE: policy.fit.whole, **policy.fit.segments}
    return pd.concat(
        [
            compare_with_limits(rows, name, method, policy, policy)
            for name, method in methods.items()
        ],
        ignore_index=True,
    )


def compare_with_limits(
    rows: FitRows, name: str, method: FitMethod, in_force: TierPolicy, proposed: TierPolicy
) -> pd.DataFrame:
    """Count the rows of each tier, and compare rate and alerts with the method's limits.

    `name`: segment whose rows count; 'all' for all rows.
    `in_force`, `proposed`: rows are counted by the proposed cut-offs; those in force are listed
    too. One row per tier; see `evaluate_cut_offs`.
    """
    own = rows if name == WHOLE else rows.take(rows.segment == name)
    cuts = proposed.cut_offs(name)
    # "right": a probability at a cut-off belongs to the tier that begins there
    tier = np.searchsorted(cuts, own.proba, side="right") - 1
    k = len(cuts)
    count = np.bincount(tier, minlength=k).astype(np.float64)
    hits = np.bincount(tier, weights=own.target, minlength=k).astype(np.float64)
    some = np.where(count > 0, count, np.nan)
    confidence = method.confidence if isinstance(method, BadRateFit) else _CONFIDENCE
    interval = method.interval if isinstance(method, BadRateFit) else "jeffreys"
    table = pd.DataFrame(
        {
            "segment": name,
            "tier": proposed.tier_names,
            "in_force": in_force.cut_offs(name),
            "proposed": cuts,
            "rows": count.astype(np.int64),
            "alerts": np.nan,
            "expected_rate": np.bincount(tier, weights=own.proba, minlength=k) / some,
            "positives": hits.astype(np.int64),
            "observed_rate": hits / some,
            "upper_rate": upper_rate(hits, some, confidence=confidence, interval=interval),
            "limit": np.nan,
            "met": None,
        }
    )
    if isinstance(method, BadRateFit):
        table["limit"] = table["tier"].map(method.highest_bad_rate)
        table["met"] = _within(table["upper_rate"], table["limit"])
    if isinstance(method, CapacityFit) and own.days.size:
        table["alerts"] = table["rows"] / observed_periods(own.days, per=method.per)
        table["limit"] = table["tier"].map(method.alerts)
        table["met"] = _within(table["alerts"], table["limit"])
    return table


def _within(value: pd.Series, limit: pd.Series) -> pd.Series:
    """Mark values within their limit, up to rounding; None without a limit."""
    within = (value <= limit * (1.0 + 1e-9)).astype(object)
    return within.where(limit.notna() & value.notna(), None)
