"""Changes in figures of many nights: what is predicted by the calendar, how strange it is, alarms.

Each figure is predicted from its own earlier nights: level, trend, weekday and end of month, by
least squares that forget. What is left is divided by its usual size. The strangest feature of a
family is ranked among the earlier nights, and ranks become evidence that accumulates: so one
strange night alone raises no alarm, and hundreds of features raise no more alarms than one.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from kyc_ml.metrics.arrays import Floats, Ints, Mask
from kyc_ml.metrics.sequential import e_bh

ALARM: Final = 365.0
"""Evidence that raises an alarm: nights like the earlier ones reach it once a year at most."""
_MEMORY: Final = 120.0
"""Nights after which an earlier one counts 1/e. Convention: a season."""
_KEEP: Final = 1.0 - 1.0 / _MEMORY
_WARM: Final = 21
"""Nights before the first prediction: three of each weekday. Convention."""
_WINDOW: Final = 365
"""Nights among which a night is ranked."""
_BETS: Final = (0.01, 0.03)
"""Ranks below which two of the four bets win; the others are on the first rank, and on all."""
_PRIOR: Final = 5.0
"""Nights that the size of chance alone counts as, before the size of residuals is known."""
_WILD: Final = 25.0
_OLD: Final = 60.0
"""Nights for which a level after a change is the mean since then. Convention."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One alarm of a family.

    Attributes
    ----------
    family : int
    night, since : int
        Night that raised it, and the first one of the evidence.
    features : tuple of int
        Features that changed, the strangest first.
    """

    family: int
    night: int
    since: int
    features: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What `find_changes` found in n nights.

    Attributes
    ----------
    strangeness : float64 array of shape (n, features)
        About standard normal for usual nights; NaN without a prediction.
    evidence : float64 array of shape (n, families)
        Shiryaev-Roberts statistic of each night; 0 before there is any.
    left : float64 array of shape (n, columns)
        Value minus prediction, in the unit of the values; NaN where a night has no value.
    alarms : tuple of Change, in order of nights
    """

    strangeness: Floats
    evidence: Floats
    left: Floats
    alarms: tuple[Change, ...]


def calendar_of(days: pd.DatetimeIndex) -> Floats:
    """Return what predicts a night, shape (n, 10): level, trend, six weekdays, end and begin.

    The last two are 1 on the last two days of a month and on the first.
    """
    weekday = np.eye(7)[days.day_of_week.to_numpy()][:, 1:]
    left = days.days_in_month.to_numpy() - days.day.to_numpy()
    trend = (days - days[0]).days.to_numpy() / 365.0 if len(days) else np.zeros(0)
    level = np.ones(len(days))
    return np.column_stack([level, trend, weekday, left < 2, days.day.to_numpy() == 1])


def find_changes(
    values: Floats,
    noise: Floats,
    *,
    feature: Ints,
    family: Ints,
    calendar: Floats,
    skip: Mask | None = None,
) -> Changes:
    """Find the nights on which a family of features changed, each change once.

    With nights that are exchangeable but for level, trend, weekday and end of month, a family
    raises an alarm at most once in `ALARM` nights on average, however many features it has and
    however they depend on each other. After an alarm the features that changed have a new level.

    Source: conformal ranks: Vovk, Gammerman and Shafer 2005, Algorithmic Learning in a Random
    World, Springer; evidence from ranks: Vovk and Wang 2021, Annals of Statistics 49, 1736-1754;
    accumulation: Shin, Ramdas and Rinaldo 2024, New England Journal of Statistics in Data Science.

    Parameters
    ----------
    values : float64 array of shape (n, columns)
        Figures whose noise does not depend on their level, such as the logarithm of a count; NaN
        where a night has none.
    noise : float64 array of shape (n, columns)
        Variance by which chance alone moves each value, above 0.
    feature : int64 array of shape (columns,)
        Feature of each column, ascending from 0 without gaps: a histogram has several columns.
    family : int64 array of shape (features,)
        Family of each feature, from 0.
    calendar : float64 array of shape (n, terms)
        See `calendar_of`; the first term is 1.
    skip : bool array of shape (n,), optional
        Nights from which nothing is learned, such as refused ones; they can raise an alarm.
    """
    n, columns = values.shape
    watch = _Watch(feature, family, terms=calendar.shape[1])
    strangeness = np.full((n, family.size), np.nan)
    left = np.full((n, columns), np.nan)
    evidence = np.zeros((n, int(family.max(initial=-1)) + 1))
    alarms: list[Change] = []
    for night in range(n if columns else 0):
        learns = skip is None or not skip[night]
        left[night], residual = watch.compare(
            values[night], noise[night], calendar[night], learns=learns
        )
        strangeness[night] = watch.summarise(residual)
        evidence[night], raised = watch.weigh(strangeness[: night + 1], usual=learns)
        for found in raised:
            watch.restart(found, left[: night + 1])
        alarms += raised
    return Changes(strangeness=strangeness, evidence=evidence, left=left, alarms=tuple(alarms))


class _Watch:
    """The state of `find_changes` between two nights."""

    def __init__(self, feature: Ints, family: Ints, *, terms: int) -> None:
        self._feature, self._family = feature, family
        self._starts = np.flatnonzero(np.diff(feature, prepend=-1))
        self._order = np.argsort(family, kind="stable")
        self._first = np.flatnonzero(np.diff(family[self._order], prepend=-1))
        # weekdays and ends of months begin without effect, and are learned within some weeks
        self._gram = np.diag([1e-6, *np.ones(terms - 1)])
        self._moment = np.zeros((terms, feature.size))
        self._squares = np.full(feature.size, _PRIOR)
        self._seen = np.zeros(feature.size)
        self._age = np.full(feature.size, _OLD)
        self._evidence = np.zeros(self._first.size)
        self._since = np.zeros(self._first.size, np.int64)
        self._farthest: list[Floats] = []

    def compare(
        self, value: Floats, noise: Floats, terms: Floats, *, learns: bool
    ) -> tuple[Floats, Floats]:
        """Return value minus prediction, and the same in its usual size; learn from the night."""
        known = np.isfinite(value)
        weights = np.linalg.solve(self._gram, terms)
        fresh = known & (self._seen == 0)
        if fresh.any():  # as if it had always been so
            self._moment[:, fresh] = np.outer(self._gram[:, 0], value[fresh])
        expected = weights @ self._moment
        left = value - expected
        unsure = 1.0 + max(float(terms @ weights), 0.0) + 1.0 / self._age
        square = np.where(known, left, 0.0) ** 2 / (noise * unsure)
        size = np.maximum(self._squares / (_PRIOR + np.minimum(self._seen, _MEMORY)), 1.0)
        ready = known & (self._seen >= _WARM)
        residual = np.where(ready, left / np.sqrt(noise * unsure * size), np.nan)
        if learns:
            # a young level is the mean since its change; a figure that is absent was as expected
            young = known & (self._age < _OLD)
            moved = np.where(young, left / (self._age + 1.0), 0.0)
            self._moment += np.outer(self._gram[:, 0], moved)
            learned = np.where(known & ~young, value, expected + moved)
            self._gram = _KEEP * self._gram + np.outer(terms, terms)
            self._moment = _KEEP * self._moment + np.outer(terms, learned)
            # one wild night must not make the next one usual
            fading = np.where(self._seen >= _MEMORY, _KEEP, 1.0)
            self._squares = self._squares * fading + np.minimum(square, _WILD * size) * known
            self._seen += known
            self._age += young
        return left, residual

    def summarise(self, residual: Floats) -> Floats:
        """Return one figure for each feature; Wilson and Hilferty 1931, PNAS 17, 684-688."""
        there = np.isfinite(residual)
        count = np.add.reduceat(there, self._starts, dtype=np.float64)
        total = np.add.reduceat(np.where(there, residual, 0.0) ** 2, self._starts)
        freedom = np.maximum(count - (count > 1), 1.0)  # shares add up to 1
        spread = 2.0 / (9.0 * freedom)
        figure = (np.cbrt(total / freedom) - (1.0 - spread)) / np.sqrt(spread)
        return np.where(count > 0, figure, np.nan)

    def weigh(self, strangeness: Floats, *, usual: bool) -> tuple[Floats, list[Change]]:
        """Return the evidence of each family, and the alarms that it raises."""
        night = len(strangeness) - 1
        last = np.where(np.isfinite(strangeness[-1]), strangeness[-1], -np.inf)[self._order]
        farthest = np.maximum.reduceat(last, self._first)
        earlier = np.array(self._farthest[-_WINDOW:]).reshape(-1, farthest.size)
        self._evidence = (self._evidence + 1.0) * evidence_of_ranks(earlier, farthest)
        kept = np.isfinite(farthest) & usual
        self._farthest.append(np.where(kept, farthest, np.nan))
        said, alarms = self._evidence.copy(), []
        for family in np.flatnonzero(said >= ALARM):
            since = int(self._since[family])
            changed = _changed(strangeness, np.flatnonzero(self._family == family), since)
            alarms.append(Change(family=int(family), night=night, since=since, features=changed))
            for place in range(since, night + 1):  # strange nights are not a reference
                self._farthest[place][family] = np.nan
            self._evidence[family] = 0.0
        self._since[self._evidence < 1.0] = night + 1
        return said, alarms

    def restart(self, change: Change, left: Floats) -> None:
        """Set the features that changed to the level that they have had since."""
        columns = np.flatnonzero(np.isin(self._feature, change.features))
        since = left[change.since :, columns]
        known = np.isfinite(since)
        count = np.maximum(known.sum(axis=0), 1)
        level = np.where(known, since, 0.0).sum(axis=0) / count
        self._moment[:, columns] += np.outer(self._gram[:, 0], level)
        self._age[columns] = count


def evidence_of_ranks(earlier: Floats, last: Floats) -> Floats:
    """Return an e-value of each family from the rank of its last night among earlier ones.

    Parameters
    ----------
    earlier : float64 array of shape (nights, families)
        NaN where a night does not count.
    last : float64 array of shape (families,)

    Returns
    -------
    float64 array of shape (families,)
        At most 1 on average if the last night is exchangeable with the earlier ones; 1 without
        any. The mean of four bets: on the first rank, on the first 1 % and 3 %, and on small
        ranks (the integral of k p^(k-1) over k).
    """
    there = np.isfinite(earlier)
    count = there.sum(axis=0) if len(earlier) else np.zeros(last.size, np.int64)
    above = (there & (earlier >= last)).sum(axis=0) if len(earlier) else count
    p = (1.0 + above) / (1.0 + count)
    bets = [(p <= 1.0 / (count + 1.0)) * (count + 1.0), *((p <= bet) / bet for bet in _BETS)]
    log = np.log(np.minimum(p, 1.0 - 1e-9))
    bets.append(np.where(p < 1.0, (1.0 - p + p * log) / (p * log**2), 0.5))
    return np.where((count >= _WARM) & np.isfinite(last), np.mean(bets, axis=0), 1.0)


def _changed(strangeness: Floats, features: Ints, since: int) -> tuple[int, ...]:
    """Return the features whose evidence since a night chance does not explain, by e-BH at 0.1."""
    history = strangeness[:, features]
    product = np.ones(features.size)
    for night in range(since, len(history)):
        product *= evidence_of_ranks(history[max(since - _WINDOW, 0) : since], history[night])
    last = np.nan_to_num(history[-1], nan=-np.inf)
    chosen = np.flatnonzero(e_bh(product, level=0.1))
    if not chosen.size:
        chosen = np.array([last.argmax()])
    ranked: Ints = features[chosen[np.argsort(-last[chosen], kind="stable")]]
    return tuple(int(each) for each in ranked)
