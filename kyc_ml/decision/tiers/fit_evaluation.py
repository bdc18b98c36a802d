"""Cut-offs held against rows: what each tier holds, and how near it is to its target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from scipy import stats

from kyc_ml.decision.tiers.fit_sections import BadRateFit, CapacityFit, FitMethod
from kyc_ml.decision.tiers.fitting import observed_periods
from kyc_ml.decision.tiers.policy import TierPolicy
from kyc_ml.decision.tiers.sections import WHOLE
from kyc_ml.errors import ConfigError
from kyc_ml.metrics import Floats, Mask, Names, Times

_CONFIDENCE: Final = 0.95
"""Level of the upper bounds shown where the method sets none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitRows:
    """Calibrated, mature rows to fit cut-offs on; best those that no model was fitted on.

    Attributes
    ----------
    proba : float64 array of shape (n,)
    target : array of 0 and 1, shape (n,)
    customers, segment : object arrays of shape (n,)
    days : datetime64[D] array of shape (n,)
        Day of each decision.
    """

    proba: Floats
    target: Floats
    customers: Names
    segment: Names
    days: Times

    def take(self, rows: Mask) -> FitRows:
        """Give some of the rows."""
        return FitRows(
            proba=self.proba[rows],
            target=self.target[rows],
            customers=self.customers[rows],
            segment=self.segment[rows],
            days=self.days[rows],
        )


def evaluate_cut_offs(rows: FitRows, policy: TierPolicy) -> pd.DataFrame:
    """Hold a policy's cut-offs against rows: how near targets and capacities came there.

    Returns
    -------
    DataFrame
        One row a segment with a method of its own, or all, and tier: segment, tier,
        in_force and proposed (cut-offs, equal here), rows, alerts (a day or a month, where
        capacity rules), expected_rate, positives, observed_rate, upper_rate (one-sided),
        limit (of rate or alerts) and met (None where nothing limits).

    Raises
    ------
    ConfigError
        If the policy has no `fit` section.
    """
    if policy.fit is None:
        msg = f"policy {policy.label!r} has no section fit: there are no targets to judge by"
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
    """Count the rows of each tier, and hold rate and alerts against what a method allows.

    Parameters
    ----------
    name : str
        Segment whose rows count; 'all' for all rows.
    in_force, proposed : TierPolicy
        Rows are counted by the proposed cut-offs; those in force stand beside them.

    Returns
    -------
    DataFrame
        One row a tier; see `evaluate_cut_offs`.
    """
    own = rows if name == WHOLE else rows.take(rows.segment == name)
    cuts = proposed.cut_offs(name)
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
    """Tell where a value is within its limit, up to rounding; None where there is no limit."""
    within = (value <= limit * (1.0 + 1e-9)).astype(object)
    return within.where(limit.notna() & value.notna(), None)


def upper_rate(hits: Floats, rows: Floats, *, confidence: float, interval: str) -> Floats:
    """Give the one-sided upper bound of observed rates; see `fitting.upper_within`.

    NaN where there are no rows.
    """
    if interval == "jeffreys":
        bound = stats.beta.ppf(confidence, hits + 0.5, rows - hits + 0.5)
    else:
        bound = stats.beta.ppf(confidence, hits + 1.0, np.where(rows > hits, rows - hits, 1.0))
    return np.asarray(np.where(rows > hits, bound, np.where(rows > 0, 1.0, np.nan)))
