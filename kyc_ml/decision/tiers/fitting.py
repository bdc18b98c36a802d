"""Fit cut-offs to rows: by highest bad rates or by capacity."""

import math
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
from scipy import stats
from scipy.special import betainc

from kyc_ml.decision.tiers.fit_sections import BadRateFit, CapacityFit
from kyc_ml.errors import DatasetError
from kyc_ml.metrics import Floats, Ints, Mask, Times

_MOST_STEPS: Final = 1_500
"""Most places at which a bad rate may be cut: more do not change cut-offs noticeably."""

_PRIORS: Final = {"jeffreys": (0.5, 0.5), "clopper_pearson": (1.0, 0.0)}
"""What each interval adds to the counts of positives and of others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """Rows counted by probability, lowest first; rows of equal probability are not separated."""

    values: Floats
    """float64 array of shape (m,); distinct probabilities, increasing."""
    place: Ints
    """int64 array of shape (n,); place of each row's probability in `values`."""
    target: Floats
    """Array of 0 and 1, shape (n,)."""
    rows: Floats
    hits: Floats
    expected: Floats
    """`rows`, `hits` and `expected`: float64 arrays of shape (m + 1,); rows, positives, and
    positives expected, below each value; the last entry counts all."""
    steps: Ints
    """int64 array; places in `values` at which a bad rate may be cut; m is after all rows."""

    @classmethod
    def of(cls, proba: Floats, target: Floats) -> Self:
        """Sort rows, once for all bootstrap samples."""
        values, place = np.unique(proba, return_inverse=True)
        m = values.size
        even = np.linspace(1, m, min(m, _MOST_STEPS // 2)).astype(np.int64)
        # denser towards the top, where the few rows of the highest tiers are
        near_top = m - np.geomspace(1, max(m, 1), _MOST_STEPS // 2).astype(np.int64)
        return cls(
            values=values,
            place=place,
            target=target,
            rows=_cumulated(place, np.ones(place.size), m),
            hits=_cumulated(place, target, m),
            expected=_cumulated(place, proba, m),
            steps=np.unique(np.concatenate([even, near_top[near_top > 0]])),
        )

    def sampled(self, times: Ints) -> Self:
        """Count each row as often as it was drawn; times has shape (n,)."""
        m = self.values.size
        rows = _cumulated(self.place, times.astype(np.float64), m)
        return replace(
            self,
            rows=rows,
            hits=_cumulated(self.place, self.target * times, m),
            expected=np.concatenate([[0.0], np.cumsum(np.diff(rows) * self.values)]),
        )

    @property
    def top(self) -> float:
        """Highest probability; NaN without rows."""
        return float(self.values[-1]) if self.values.size else np.nan

    def cut(self, step: int) -> float:
        """Return the shortest number above all values below a step, and at most its value."""
        below = self.values[step - 1]
        above = self.values[step] if step < self.values.size else 1.0
        return shortest_between(float(below), float(above))


def _cumulated(place: Ints, weight: Floats, m: int) -> Floats:
    by_value = np.bincount(place, weights=weight, minlength=m)
    return np.concatenate([[0.0], np.cumsum(by_value)])


def shortest_between(low: float, high: float) -> float:
    """Return the number with fewest digits in ``(low, high]``; `high` if no other is shorter.

    Examples
    --------
    >>> shortest_between(0.0123456, 0.0131)
    0.013
    >>> shortest_between(0.2, 0.2000001)
    0.2000001
    """
    for digits in range(1, 15):
        unit = 10.0 ** (math.floor(math.log10(high)) - digits + 1)
        candidate = float(f"{math.floor(high / unit) * unit:.{digits}g}")
        if low < candidate <= high:
            return candidate
    return high


def upper_within(hits: Floats, rows: Floats, rate: float, method: BadRateFit) -> Mask:
    """Mark where the one-sided upper bound of an observed rate is at most `rate`.

    Rows count as independent: where those of a customer depend on each other it is too low.

    Jeffreys: the `confidence` quantile of Beta(hits + 1/2, rows - hits + 1/2).
    Source: Brown, Cai and DasGupta 2001, Statistical Science 16, 101-133; Cai 2005, Journal
    of Statistical Planning and Inference 131, 63-88, for one side.
    Clopper-Pearson: that of Beta(hits + 1, rows - hits), exact and wider.
    Source: Clopper and Pearson 1934, Biometrika 26, 404-413. Where all rows are positive
    both bounds are 1.
    """
    alpha, beta = _PRIORS[method.interval]
    misses = rows - hits
    # the quantile is at most the rate where the distribution has reached the level by then
    reached = betainc(hits + alpha, np.where(misses > 0, misses + beta, 1.0), rate)
    return np.asarray((misses > 0) & (reached >= method.confidence))


def upper_rate(hits: Floats, rows: Floats, *, confidence: float, interval: str) -> Floats:
    """Return the one-sided upper bound of observed rates; see `upper_within`.

    1 where all rows are positive, NaN without rows.
    """
    alpha, beta = _PRIORS[interval]
    misses = np.where(rows > hits, rows - hits, 1.0)
    bound = stats.beta.ppf(confidence, hits + alpha, misses + beta)
    return np.asarray(np.where(rows > hits, bound, np.where(rows > 0, 1.0, np.nan)))


def fit_bad_rates(ladder: Ladder, tiers: tuple[str, ...], method: BadRateFit) -> list[int]:
    """Find the step at which each tier except the lowest begins.

    From the lowest tier up, each takes as many rows as its upper bound allows and leaves the
    tiers above it what they need: a wide low tier could include, within its rate, all rows
    that the next one may have. Such a tier keeps about `fewest_rows`.

    Ends of a tier are tried in a fixed order: from the middle of what its probabilities let
    expect outwards, up to the first one whose bound is too high. So the search for a wide tier
    does not make its bound optimistic: it holds for rows like those fitted on as often as it says.
    Source: Maurer, Hothorn and Lehmacher 1995, in: Biometrie in der chemisch-pharmazeutischen
    Industrie 6, 3-18 (tests in a fixed sequence).

    Raises DatasetError if no rows of at least `fewest_rows` have a low enough bound.
    """
    latest = _latest_starts(ladder, tiers, method)
    found: list[int] = []
    start = 0
    for place, tier in enumerate(tiers[:-1]):
        ends = _allowed_ends(ladder, start, latest[place + 1], tier, method)
        after = tiers[place + 1] if place + 2 < len(tiers) else None
        fitting = (
            int(end)
            for end in ends[::-1]
            if after is None
            or _allowed_ends(ladder, int(end), latest[place + 2], after, method).size
        )
        end = next(fitting, None)
        if end is None:
            raise _unmet(ladder, start, tier, method)
        found.append(end)
        start = end
    return found


def _allowed_ends(ladder: Ladder, start: int, latest: int, tier: str, method: BadRateFit) -> Ints:
    """List the steps up to `latest` at which a tier that begins at `start` may end."""
    ends = ladder.steps[(ladder.steps > start) & (ladder.steps <= latest)]
    rows = ladder.rows[ends] - ladder.rows[start]
    hits = ladder.hits[ends] - ladder.hits[start]
    expected = ladder.expected[ends] - ladder.expected[start]
    rate = method.highest_bad_rate[tier]
    allowed = upper_within(hits, rows, rate, method) & (rows >= method.fewest_rows)
    hoped = np.flatnonzero(upper_within(expected, rows, rate, method))
    if hoped.size:
        # chosen without outcomes: only beyond it an end could be allowed by chance alone
        middle = int(np.searchsorted(rows, rows[hoped[-1]] / 2.0))
        broken = np.flatnonzero(~allowed[middle:])
        if broken.size:
            allowed[middle + broken[0] :] = False
    return np.asarray(ends[allowed])


def _latest_starts(ladder: Ladder, tiers: tuple[str, ...], method: BadRateFit) -> list[int]:
    """Return the latest step at which each tier may begin so that it and those above fit."""
    # found by bisection: where a tier fits, it nearly always fits from an earlier step too, because
    # the rows before it are less often bad
    latest = [ladder.values.size]
    for tier in reversed(tiers[:-1]):
        starts = np.concatenate([[0], ladder.steps[ladder.steps < latest[0]]])
        if not _allowed_ends(ladder, 0, latest[0], tier, method).size:
            raise _unmet(ladder, 0, tier, method)
        fits, fails = 0, starts.size
        while fails - fits > 1:
            middle = (fits + fails) // 2
            if _allowed_ends(ladder, int(starts[middle]), latest[0], tier, method).size:
                fits = middle
            else:
                fails = middle
        latest.insert(0, int(starts[fits]))
    return latest


def _unmet(ladder: Ladder, start: int, tier: str, method: BadRateFit) -> DatasetError:
    ends = ladder.steps[ladder.steps > start]
    rows, hits = ladder.rows[ends] - ladder.rows[start], ladder.hits[ends] - ladder.hits[start]
    wide = (rows >= method.fewest_rows) & (rows > hits)
    bounds = upper_rate(
        hits[wide], rows[wide], confidence=method.confidence, interval=method.interval
    )
    least = float(np.min(bounds, initial=1.0))
    msg = (
        f"tier {tier!r}: {ladder.rows[-1] - ladder.rows[start]:,.0f} rows lie above its start, but "
        f"no lowest part of at least {method.fewest_rows} that leaves enough to the tiers above "
        f"has an upper bound of the bad rate of at most {method.highest_bad_rate[tier]:g}: raise "
        f"its highest_bad_rate (these rows allow {math.ceil(least * 1e3) / 1e3:g} at best) in the "
        "section `fit` of a policy file and give that as --policy, or use more rows"
    )
    return DatasetError(msg)


def fit_capacities(
    ladder: Ladder, tiers: tuple[str, ...], method: CapacityFit, *, periods: float
) -> list[int]:
    """Find the step at which each tier with alerts begins, the lowest of them first.

    From the highest tier down, each takes as many rows as its capacity allows. Rows of equal
    probability are not separated: with few distinct probabilities, some capacity stays unused.

    `periods`: number of days or months that the rows cover.
    Raises DatasetError if even the highest probability exceeds the capacity, or two tiers would
    begin alike.
    """
    found: list[int] = []
    end = ladder.values.size
    for tier in reversed(tiers[-len(method.alerts) :]):
        room = method.alerts[tier] * periods
        # a share for rounding: a capacity that is met exactly is not exceeded
        over = ladder.rows[end] - ladder.rows[:end] > room * (1.0 + 1e-12)
        step = int(over.sum())  # over is true up to a step, and false from there on
        if step in {0, end}:
            raise DatasetError(
                f"tier {tier!r}: a capacity of {room:,.1f} of {ladder.rows[end]:,.0f} rows gives "
                "no separate cut-off: too many rows share a probability, or all rows fit; change "
                "its number of alerts"
            )
        found.append(step)
        end = step
    return found[::-1]


def observed_periods(days: Times, *, per: str) -> float:
    """Count the days, or months of 365.25 / 12 days, that decisions cover.

    The last day of decisions counts as long as the usual distance between such days: a day for
    transactions, a month for monthly reviews. Reviews of a single day are one period.
    """
    distinct = np.unique(days).astype("datetime64[D]").astype(np.int64)
    if distinct.size == 1:
        return 1.0
    span = float(distinct[-1] - distinct[0] + np.median(np.diff(distinct)))
    return span if per == "day" else span / (365.25 / 12)
