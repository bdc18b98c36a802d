"""Fairness of flags and probabilities between groups of customers."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from kyc_ml.metrics.arrays import AnyArray, Floats, Ints, Mask
from kyc_ml.metrics.clustering import dependence, design_effect
from kyc_ml.metrics.intervals import CONFIDENCE, jeffreys_interval, ratio_upper
from kyc_ml.metrics.resampling import bootstrap, percentile_interval

RATES: Final = ("selection_rate", "fpr", "tpr", "observed_over_expected")
PARITIES: Final = {
    "demographic_parity": "selection_rate",
    "predictive_equality": "fpr",
    "equal_opportunity": "tpr",
}
"""Each parity, and the rate it compares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fairness:
    """Rates by group, and how far apart they are.

    Attributes
    ----------
    rates : DataFrame
        One row a group and rate: group, figure (of `RATES`), rows, positives, value, low,
        high. A rate of no rows is NaN.
    parity : DataFrame
        One row a parity: figure (of `PARITIES`), value (the lowest group's rate over the
        highest one's: 1 where all are alike; NaN where all are 0), lowest, highest (the
        groups), high, high_lowest, high_highest. Groups without the rate are passed over. Of
        many or small groups chance alone draws `value` far below 1; `high` is the upper end at
        95 % of the ratio that is most surely low, with the groups it is of, corrected for how
        many pairs there are, at most 1.
    """

    rates: pd.DataFrame
    parity: pd.DataFrame


def compute_fairness(
    target: Floats,
    flagged: Mask,
    proba: Floats,
    group: AnyArray,
    *,
    groups: Ints,
    fewest: int = 1,
    draws: int = 500,
    seed: int = 0,
) -> Fairness:
    """Compare selection, error rates and calibration of groups, with intervals.

    Intervals of rates are percentile intervals at 95 % over draws of customers. That of a parity
    cannot be: the lowest rate of a draw is lower still than the lowest one observed. It is made of
    Jeffreys' intervals of counts divided by their design effect, which is at least that of all
    groups together, at a level divided by the number of ordered pairs of groups (Bonferroni).

    Source: Hardt, Price and Srebro 2016, NeurIPS, 3315-3323 (equal opportunity);
    Chouldechova 2017, Big Data 5, 153-163 (predictive equality, calibration); interval of a
    ratio: see `kyc_ml.metrics.intervals.ratio_upper`.

    Parameters
    ----------
    target : array of 0 and 1, shape (n,)
    flagged : bool array of shape (n,)
    proba : array of shape (n,), in [0, 1]
    group : array of shape (n,)
        What must not matter, such as nationality; rows where it is missing are a group of
        their own, named 'missing'.
    groups : int64 array of shape (n,)
        The customer of each row; see `draw_customers`.
    fewest : int
        Customers with rows, negatives or positives that a group needs for a rate of them.
    """
    # as objects first: a category cannot take the new value "missing"
    labels = pd.Series(group).astype(object).where(~pd.isna(group), "missing").astype(str)
    # sorted: the order of groups does not depend on the order of rows
    place, found = pd.factorize(labels, sort=True)
    names = found.to_numpy()
    k = names.size
    # four cells for each group: by outcome and flag
    cell = place * 4 + 2 * target.astype(np.int64) + flagged

    def rates(times: Ints) -> Floats:
        weight = times.astype(np.float64)
        count = np.bincount(cell, weights=weight, minlength=4 * k).reshape(k, 4)
        expected = np.bincount(place, weights=weight * proba, minlength=k)
        return _rates(count.astype(np.float64), expected.astype(np.float64))

    among = {
        "selection_rate": np.ones(target.size, np.bool_),
        "fpr": target == 0,
        "tpr": target == 1,
    }
    enough = {
        rate: _customers(place[here], groups[here], k) >= fewest for rate, here in among.items()
    }
    value = rates(np.ones(target.size, np.int64))
    for rate, groups_of_it in enough.items():
        value[RATES.index(rate), ~groups_of_it] = np.nan
    drawn = bootstrap(lambda times: rates(times).ravel(), groups, draws=draws, seed=seed)
    low, high = percentile_interval(drawn)
    rows, positives = np.bincount(place, minlength=k), np.bincount(place[target == 1], minlength=k)
    table = pd.DataFrame(
        {
            "group": np.tile(names, len(RATES)),
            "figure": np.repeat(RATES, k),
            "rows": np.tile(rows, len(RATES)),
            "positives": np.tile(positives, len(RATES)),
            "value": value.ravel(),
            "low": np.where(np.isnan(value.ravel()), np.nan, low),
            "high": np.where(np.isnan(value.ravel()), np.nan, high),
        }
    )
    parity = []
    for figure, rate in PARITIES.items():
        here = among[rate] & enough[rate][place]
        at, kept = np.unique(place[here], return_inverse=True)
        surest = _surest(flagged[here], kept, groups[here], names[at])
        parity.append({"figure": figure, **_farthest(value[RATES.index(rate)], names), **surest})
    return Fairness(rates=table, parity=pd.DataFrame(parity))


def _customers(place: Ints, groups: Ints, k: int) -> Ints:
    """Count the customers of each of k groups."""
    size = int(groups.max(initial=0)) + 1
    return np.bincount(np.unique(place * size + groups) // size, minlength=k)


def _rates(count: Floats, expected: Floats) -> Floats:
    """Compute `RATES` by group, shape (4, k), from counts of negatives and positives."""
    negatives, positives = count[:, :2].sum(axis=1), count[:, 2:].sum(axis=1)
    over = (
        (count[:, 1] + count[:, 3], negatives + positives),
        (count[:, 1], negatives),
        (count[:, 3], positives),
        (positives, expected),
    )
    return np.array([_ratio(above, below) for above, below in over])


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.asarray(above / np.where(below > 0, below, np.nan))


def _farthest(rates: Floats, names: AnyArray) -> dict[str, Any]:
    """Return the lowest rate over the highest; NaN is passed over."""
    known = pd.Series(rates, index=names).dropna()
    if not known.size:
        return {"value": np.nan, "lowest": None, "highest": None}
    value = known.min() / known.max() if known.max() > 0 else np.nan
    return {"value": float(value), "lowest": known.idxmin(), "highest": known.idxmax()}


def _surest(flagged: Mask, place: Ints, groups: Ints, names: AnyArray) -> dict[str, Any]:
    """Return the least upper end of a ratio of two groups' rates, and the groups."""
    k = names.size
    nothing = {"high": np.nan, "high_lowest": None, "high_highest": None}
    if k < 2:
        return nothing
    size = np.bincount(place, minlength=k).astype(np.float64)
    hits = np.bincount(place, weights=flagged, minlength=k).astype(np.float64)
    rate = _ratio(hits, size)
    residual = flagged - rate[place]
    # the effect of all groups is the least: a group without a flag would seem to have
    # independent rows
    common = dependence(residual, groups)
    effect = np.maximum(design_effect(residual, groups, part=place, parts=k), common.effect)
    # Bonferroni: every ordered pair is compared
    confidence = common.normal_confidence(1.0 - (1.0 - CONFIDENCE) / max(k * (k - 1), 1))
    low, high = jeffreys_interval(hits / effect, size / effect, confidence=confidence)
    upper = ratio_upper(rate[:, None], high[:, None], rate[None, :], low[None, :])
    # a group is not compared with itself
    upper[np.eye(k, dtype=np.bool_) | ~np.isfinite(upper)] = np.inf
    one, two = np.unravel_index(int(upper.argmin()), upper.shape)
    if not np.isfinite(upper[one, two]):
        return nothing
    found = min(float(upper[one, two]), 1.0)
    return {"high": found, "high_lowest": names[one], "high_highest": names[two]}
