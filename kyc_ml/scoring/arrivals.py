"""How many rows a day should bring: the law of a table's arrivals, learned from its own days."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final, TypeAlias

import numpy as np

_Array: TypeAlias = np.ndarray[tuple[int], np.dtype[Any]]

_LEVEL_DAYS: Final = 28
_FEWEST_DAYS: Final = 56
"""Days beyond those of the level without which no law is learned."""
_FEWEST_WEEKS: Final = 4
_MONTHS_DAYS: Final = 90
"""From here on a day of the month has its own effect: it was seen three times."""
_YEAR_DAYS: Final = 300
_DEVIATIONS: Final = 4.5
_BELOW_LOWEST, _BELOW_LOWEST_EARLY = 0.85, 0.75
"""Convention: how far below the quietest day of the past a day is no longer a quiet day. With
less than a year the quietest has not been seen."""
_HOLIDAY: Final = 0.35
"""Convention: share of a usual day below which a day is not even a holiday of a bank."""
_CHANCE: Final = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """The rows of the last day, and what was expected."""

    rows: int
    expected: float
    remainders: _Array
    """Array; logarithm of rows over expectation, of the last day and the days before it."""
    usual: _Array
    """Array of bool; which of the days before teach; the last day never does."""
    holidays_known: bool
    """Whether holidays are declared, or a year of days contains them."""

    @property
    def fewest(self) -> float:
        """Below it the day is not explained by the table's own past, or by chance."""
        fewest = self._fewest(self.remainders, self.usual)
        return fewest if self.holidays_known else min(fewest, _HOLIDAY * self.expected)

    def fewest_beside(self, other: Arrivals) -> float:
        """Below it the day is not explained by a day that was as quiet in another table."""
        n = min(len(self.remainders), len(other.remainders))
        usual = self.usual[:n] & other.usual[:n]
        difference = self.remainders[:n] - other.remainders[:n]
        return self._fewest(difference, usual, beside=float(other.remainders[0]))

    def _fewest(self, remainders: _Array, usual: _Array, beside: float = 0.0) -> float:
        past = remainders[usual]
        if len(past) < _FEWEST_DAYS // 2:  # most are holidays of one table or the other
            return 0.0
        below = _BELOW_LOWEST if len(past) >= _YEAR_DAYS else _BELOW_LOWEST_EARLY
        # 1.4826: of a normal distribution
        spread = 1.4826 * float(np.median(np.abs(past - np.median(past))))
        lowest = min(float(past.min()) + math.log(below), -_DEVIATIONS * spread)
        expected = self.expected * math.exp(min(beside, 0.0))
        return min(expected * math.exp(lowest), _poisson_floor(expected))


def expect_arrivals(
    rows: Sequence[int], *, last: date, holidays: Collection[date] = ()
) -> Arrivals | None:
    """Compare the last day with what its weekday and its day of the month usually bring.

    The level of a day is the mean of the 28 days before it. The logarithm of rows over level
    has an effect of the weekday and, from 90 days on, one of the day of the month (medians); what
    remains is the spread. A day has too few rows if all of this is true: it lies 4.5 robust
    deviations below expectation, 15 % below the quietest remainder of the last 400 days (25 %
    with less than 300 days), and in the lowest 0.0001 of a Poisson distribution. With less than
    300 days and no declared holidays it must also lie below 0.35 of the expectation.
    `tests/benchmarks/arrivals.py` measures how often this is wrong.

    `rows`: of each day, the last first.
    `last`: calendar day of the first of them.
    `holidays`: days that do not count as usual.
    None with fewer than 85 days or 4 of this weekday, and on a holiday.
    """
    n = np.asarray(rows, dtype=np.float64)
    days = len(n) - _LEVEL_DAYS
    if days <= _FEWEST_DAYS or last in holidays:
        return None
    dates = [last - timedelta(days=back) for back in range(len(n))]
    usual = np.array([day not in holidays for day in dates])
    level = _mean_before(n, usual)
    dates, usual = dates[:days], usual[:days]
    usual[0] = False
    if usual[::7].sum() < _FEWEST_WEEKS:
        return None
    remainders = np.log((n[:days] + 0.5) / (level + 0.5))
    effect = _effects(
        remainders, np.array([day.weekday() for day in dates]), usual, least=_FEWEST_WEEKS
    )
    if days >= _MONTHS_DAYS:
        of_month = np.array([day.day for day in dates])
        effect = effect + _effects(remainders - effect, of_month, usual, least=3)
    effect = effect + np.median((remainders - effect)[usual])
    return Arrivals(
        rows=int(n[0]),
        expected=float((level[0] + 0.5) * np.exp(effect[0])),
        remainders=remainders - effect,
        usual=usual,
        holidays_known=bool(holidays) or days >= _YEAR_DAYS,
    )


def _mean_before(n: _Array, usual: _Array) -> _Array:
    """Return the mean of the usual ones among the 28 days before each day."""

    def sum_before(each: _Array) -> _Array:
        total = np.concatenate([[0.0], np.cumsum(each)])
        return np.asarray(total[1 + _LEVEL_DAYS :] - total[1:-_LEVEL_DAYS])

    return np.asarray(sum_before(n * usual) / np.maximum(sum_before(usual), 1.0))


def _effects(remainder: _Array, group: _Array, usual: _Array, *, least: int) -> _Array:
    """Return the median of each group's usual days at each day; 0 with fewer than `least`."""
    effect = np.zeros(len(remainder))
    for each in np.unique(group):
        members = group == each
        seen = remainder[members & usual]
        if len(seen) >= least:
            effect[members] = np.median(seen)
    return effect


def _poisson_floor(expected: float) -> float:
    """Return the smallest count that chance does not fall below more than once in 10,000 times."""
    from scipy.stats import poisson  # noqa: PLC0415  loads for long

    return float(poisson.ppf(_CHANCE, max(expected, 0.0)))
