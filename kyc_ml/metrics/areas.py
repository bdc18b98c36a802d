"""Areas under the ROC curve with their errors, by customer."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from scipy import stats
from scipy.special import expit, logit

from kyc_ml.metrics.arrays import Floats, Ints, Mask
from kyc_ml.metrics.intervals import NORMAL_REACH


def auc_interval(
    target: Floats, score: Floats, groups: Ints | None = None
) -> tuple[float, float, float]:
    """Area under the ROC curve with its interval at 95 %, by customer.

    Whole customers are the evidence: their placement values are added up. The interval is
    symmetric in log-odds of the area, so that it stays in [0, 1], with a t-distribution for the
    number of customers that carry the variance.

    Source: DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44, 837-845; mid-ranks after
    Sun and Xu 2014, IEEE Signal Processing Letters 21, 1389-1393; clusters after Obuchowski 1997,
    Biometrics 53, 567-578; log-odds after Pepe 2003, The Statistical Evaluation of Medical Tests,
    section 5.2.4.

    Parameters
    ----------
    groups : int64 array of shape (n,), optional
        The customer of each row, as a number from 0; without it rows are independent.

    Returns
    -------
    auc, low, high : float
        From 0 to 1 where one customer has all rows of a class; without reach where the area has no
        variance, as that of equal scores.
    """
    area = _Area.of(target, score, groups)
    return area.value, *area.interval()


@dataclass(frozen=True, slots=True, kw_only=True)
class AucDifference:
    """How much higher one score's area under the ROC curve is than another's on the same rows.

    Attributes
    ----------
    difference : float
    low, high : float
        Its interval at 95 %, within [-1, 1].
    p_value : float
        Two-sided, of no difference; NaN where the difference has no variance.
    """

    difference: float
    low: float
    high: float
    p_value: float


def compare_aucs(
    target: Floats, first: Floats, second: Floats, groups: Ints | None = None
) -> AucDifference:
    """Compare two correlated areas under the ROC curve: `first` less `second`.

    The variance of the difference is that of the differences of placement values, which
    equals var(first) + var(second) - 2 cov, and is exactly 0 for equal scores.

    Source: as for `auc_interval`.

    Parameters
    ----------
    target : array of 0 and 1, shape (n,), of both classes
    first, second : arrays of shape (n,)
    groups : int64 array of shape (n,), optional
        The customer of each row, as a number from 0; without it rows are independent.
    """
    area = _Area.between(*(_Area.of(target, score, groups) for score in (first, second)))
    error = float(np.sqrt(area.variance))
    reach = NORMAL_REACH * error
    z = abs(area.value) / error if error > 0.0 else np.nan
    return AucDifference(
        difference=area.value,
        low=max(-1.0, area.value - reach),
        high=min(1.0, area.value + reach),
        p_value=float(2.0 * stats.norm.sf(z)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AucDecline:
    """Test whether a score ranks worse than it did at first.

    Attributes
    ----------
    initial, current : float
        Areas under the ROC curve.
    initial_low, initial_high, current_low, current_high : float
        Their intervals at 95 %; see `auc_interval`.
    drop, low, high : float
        initial - current, with its interval at 95 %.
    p_value : float
        One-sided, of no decline.
    """

    initial: float
    initial_low: float
    initial_high: float
    current: float
    current_low: float
    current_high: float
    drop: float
    low: float
    high: float
    p_value: float


def auc_decline(target: Floats, score: Floats, groups: Ints, *, later: Mask) -> AucDecline:
    """Test whether the area under the ROC curve of later rows is below that of the first ones.

    Both areas have errors, by customer; customers with rows of both periods make the errors
    depend on each other. The test compares the areas' log-odds; the interval of the drop is put
    together from both areas' own.

    Source: ECB 2019, Instructions for reporting the validation results of internal models,
    section 2.5.4, where the initial area is without error; variances as for `auc_interval`;
    interval of a difference after Zou 2007, Psychological Methods 12, 399-413.

    Parameters
    ----------
    target : array of 0 and 1, shape (n,)
    score : array of shape (n,)
    groups : int64 array of shape (n,)
        The customer of each row, as a number from 0, the same in both periods.
    later : bool array of shape (n,)
        Rows of the later period; the others are those of the initial validation.

    Returns
    -------
    AucDecline
        Figures are NaN where a class of a period has rows of fewer than two customers. Where no
        area has a variance, as those of equal scores, the p-value is 0 or 1, or 0.5 for equal
        areas.
    """
    size = int(groups.max(initial=-1)) + 1
    parts = [np.flatnonzero(~later), np.flatnonzero(later)]
    if any(_fewest(target[part], groups[part]) < 2 for part in parts):
        return AucDecline(**dict.fromkeys((each.name for each in fields(AucDecline)), np.nan))
    first, now = (_Area.of(target[part], score[part], groups[part], size=size) for part in parts)
    ends = first.interval(), now.interval()
    drop = first.value - now.value
    fall = _Area.between(first, now)
    # what both areas' errors have in common
    common = (first.variance + now.variance - fall.variance) / 2.0
    scale = float(np.sqrt(first.variance * now.variance))
    shared = common / scale if scale > 0.0 else 0.0

    def reach(one: float, other: float) -> float:
        return float(np.sqrt(max(one**2 + other**2 - 2.0 * shared * one * other, 0.0)))

    return AucDecline(
        initial=first.value,
        initial_low=ends[0][0],
        initial_high=ends[0][1],
        current=now.value,
        current_low=ends[1][0],
        current_high=ends[1][1],
        drop=drop,
        low=drop - reach(first.value - ends[0][0], ends[1][1] - now.value),
        high=drop + reach(ends[0][1] - first.value, now.value - ends[1][0]),
        p_value=_decline_p(first, now),
    )


def _decline_p(first: _Area, now: _Area) -> float:
    if all(0.0 < each.value < 1.0 for each in (first, now)):
        first, now = first.in_log_odds(), now.in_log_odds()
    fall = _Area.between(first, now)
    if not fall.variance:
        # without variance any fall is certain; its sign is kept
        return 0.5 - 0.5 * float(np.sign(fall.value))
    return float(stats.t.sf(fall.value / np.sqrt(fall.variance), fall.degrees))


def _fewest(target: Floats, groups: Ints) -> int:
    """Return the customers of the class that has fewer of them."""
    return min(np.unique(groups[target == each]).size for each in (0, 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Area:
    """An area under the ROC curve, or a difference of two, and what each customer adds to it."""

    value: float
    own: Floats
    """float64 array, one a customer; sum of the placement values of the customer's positives and of
    its negatives, less the mean and over the number of rows of that class. NaN where a class has
    one customer."""

    @classmethod
    def of(
        cls, target: Floats, score: Floats, groups: Ints | None, *, size: int | None = None
    ) -> Self:
        group = np.arange(target.size) if groups is None else groups
        wins, losses = _placements(target, score)
        value, own = float(wins.mean()), np.zeros(int(group.max()) + 1 if size is None else size)
        for rows, shares in ((target == 1, wins), (target != 1, losses)):
            customers = np.unique(group[rows]).size
            # as the variance of a sample
            factor = np.sqrt(customers / (customers - 1)) if customers > 1 else np.nan
            own += np.bincount(
                group[rows], weights=(shares - value) * factor / shares.size, minlength=own.size
            )
        return cls(value=value, own=own)

    @classmethod
    def between(cls, first: _Area, second: _Area) -> Self:
        return cls(value=first.value - second.value, own=first.own - second.own)

    @property
    def variance(self) -> float:
        return float((self.own**2).sum())

    @property
    def degrees(self) -> float:
        """Degrees of freedom of the variance: few customers may carry most of it.

        Source: Satterthwaite 1946, Biometrics Bulletin 2, 110-114.
        """
        fourth = float((self.own**4).sum())
        return max(2.0 * self.variance**2 / fourth - 1.0, 1.0) if fourth > 0.0 else np.inf

    def in_log_odds(self) -> _Area:
        slope = self.value * (1.0 - self.value)
        return _Area(value=float(logit(self.value)), own=self.own / slope)

    def interval(self) -> tuple[float, float]:
        if np.isnan(self.variance):
            return 0.0, 1.0
        if not 0.0 < self.value < 1.0 or not self.variance:
            return self.value, self.value
        odds = self.in_log_odds()
        reach = float(stats.t.isf(0.025, odds.degrees) * np.sqrt(odds.variance))
        return float(expit(odds.value - reach)), float(expit(odds.value + reach))


def _placements(target: Floats, score: Floats) -> tuple[Floats, Floats]:
    """Share of negatives below each positive, and of positives above each negative; ties half."""
    above, below = score[target == 1], score[target == 0]
    ranks = stats.rankdata(np.concatenate([above, below]))
    wins = (ranks[: above.size] - stats.rankdata(above)) / below.size
    return wins, 1.0 - (ranks[above.size :] - stats.rankdata(below)) / above.size
