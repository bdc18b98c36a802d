"""Whether flags and probabilities treat groups of customers alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from kyc_ml.resampling import bootstrap, percentile_interval

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

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
        groups), low, high. Groups without the rate are passed over. Of small groups chance
        alone draws it below 1.
    """

    rates: pd.DataFrame
    parity: pd.DataFrame


def compute_fairness(
    target: Floats,
    flagged: npt.NDArray[np.bool_],
    proba: Floats,
    group: npt.NDArray[Any],
    *,
    groups: Ints,
    draws: int = 500,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Fairness:
    """Compare selection, error rates and calibration of groups, with bootstrap intervals.

    Intervals are percentile intervals at 95 % over draws of customers.

    Source: Hardt, Price and Srebro 2016, NeurIPS, 3315-3323 (equal opportunity);
    Chouldechova 2017, Big Data 5, 153-163 (predictive equality, calibration).

    Parameters
    ----------
    target : array of 0 and 1, shape (n,)
    flagged : bool array of shape (n,)
    proba : array of shape (n,), in [0, 1]
    group : array of shape (n,)
        What must not matter, such as nationality; rows where it is missing are a group of
        their own, named 'missing'.
    groups : int64 array of shape (n,)
        The customer of each row; see `kyc_ml.resampling.draw_customers`.
    """
    labels = pd.Series(group).astype(object).where(~pd.isna(group), "missing").astype(str)
    place, found = pd.factorize(labels, sort=True)
    names = found.to_numpy()
    k = names.size
    cell = place * 4 + 2 * target.astype(np.int64) + flagged

    def rates(times: Ints) -> Floats:
        weight = times.astype(np.float64)
        count = np.bincount(cell, weights=weight, minlength=4 * k).reshape(k, 4)
        expected = np.bincount(place, weights=weight * proba, minlength=k)
        return _rates(count.astype(np.float64), expected.astype(np.float64))

    value = rates(np.ones(target.size, np.int64))
    drawn = bootstrap(
        lambda times: _with_parity(rates(times)), groups, draws=draws, seed=seed, progress=progress
    )
    low, high = percentile_interval(drawn)
    rows, positives = np.bincount(place, minlength=k), np.bincount(place[target == 1], minlength=k)
    table = pd.DataFrame(
        {
            "group": np.tile(names, len(RATES)),
            "figure": np.repeat(RATES, k),
            "rows": np.tile(rows, len(RATES)),
            "positives": np.tile(positives, len(RATES)),
            "value": value.ravel(),
            "low": low[: value.size],
            "high": high[: value.size],
        }
    )
    parity = _parity_table(value, low[value.size :], high[value.size :], names)
    return Fairness(rates=table, parity=parity)


def _rates(count: Floats, expected: Floats) -> Floats:
    """Give `RATES` by group, shape (4, k), from counts of negatives and positives, flagged last."""
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


def _with_parity(rates: Floats) -> Floats:
    """Append the ratio of the lowest group's to the highest group's rate, for each parity."""
    compared = rates[[RATES.index(name) for name in PARITIES.values()]]
    # NaN is passed over; a rate that no group has stays out of reach of the comparison
    lowest = np.where(np.isnan(compared), np.inf, compared).min(axis=1)
    highest = np.where(np.isnan(compared), -np.inf, compared).max(axis=1)
    return np.concatenate([rates.ravel(), _ratio(np.where(highest > 0, lowest, np.nan), highest)])


def _parity_table(
    rates: Floats, low: Floats, high: Floats, names: npt.NDArray[Any]
) -> pd.DataFrame:
    ratio = _with_parity(rates)[rates.size :]
    lines = []
    for place, (figure, rate) in enumerate(PARITIES.items()):
        by_group = pd.Series(rates[RATES.index(rate)], index=names).dropna()
        lines.append(
            {
                "figure": figure,
                "value": ratio[place],
                "lowest": by_group.idxmin() if by_group.size else None,
                "highest": by_group.idxmax() if by_group.size else None,
                "low": low[place],
                "high": high[place],
            }
        )
    return pd.DataFrame(lines)
