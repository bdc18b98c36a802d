"""Tests that may be looked at every day: evidence that grows only where the hypothesis is wrong.

An e-value is at least 0 and has a mean of at most 1 where the hypothesis is true, given all that
was known before; so it is rarely large by chance, whatever the dependence over time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp

from kyc_ml.metrics.arrays import Floats, Ints, Mask

FACTORS: Final[Floats] = np.array([1.5, 2.2, 4.0, 0.65, 0.35])
"""Factors of the odds that evidence of a wrong level bets on."""
WEIGHTS: Final[Floats] = np.array([0.35, 0.25, 0.1, 0.2, 0.1])
"""Their shares; convention: more on risk that is higher than predicted."""
_SIZES: Final[Floats] = 2.0 ** -np.arange(0.0, 10.0)
"""Bets of a comparison, in shares of the difference of log losses."""
_STAKE: Final = 0.9
"""Largest share of the evidence that the rows of one customer and day can cost."""
_EDGE: Final = 1e-6
"""Probabilities of a comparison are kept this far from 0 and 1."""


def level_evidence(
    target: Floats, proba: Floats, *, day: Ints, groups: Ints, margin: float = 0.0
) -> Floats:
    """Compute the e-values of each day against right probabilities, one for each factor.

    The hypothesis is that the outcome of each row has a mean, given all outcomes of earlier days
    and those of other customers of its day, of at least ``proba / (1 + margin)`` and at most
    ``proba * (1 + margin)``. Rows of one customer on one day may depend on each other in any way:
    their bets are added, not multiplied.

    Source: a bet on a factor of the odds is a likelihood ratio; Waudby-Smith and Ramdas 2024,
    Journal of the Royal Statistical Society B 86, 1-27 (betting on bounded means).

    Parameters
    ----------
    target : array of 0 and 1, shape (n,)
    proba : array of shape (n,), in [0, 1]
    day : int64 array of shape (n,)
        Place of the day on which the outcome counts, from 0.
    groups : int64 array of shape (n,)
        The customer of each row, as a number from 0.

    Returns
    -------
    float64 array of shape (days, len(FACTORS))
        Logs of e-values; 0 for a day without rows.
    """
    cluster = _Clusters.of(day, groups)
    high = np.minimum(proba * (1.0 + margin), 1.0)
    low = proba / (1.0 + margin)
    grown = []
    for factor in FACTORS:
        mean = high if factor > 1.0 else low
        bet = (factor - 1.0) / (1.0 + (factor - 1.0) * mean)
        loss = np.maximum(bet * mean, -bet * (1.0 - mean))
        grown.append(cluster.log_growth(bet * (target - mean), loss))
    return np.column_stack(grown)


def comparison_evidence(
    target: Floats, champion: Floats, challenger: Floats, *, day: Ints, groups: Ints
) -> tuple[Floats, Floats]:
    """Compute e-values of each day against an equal or worse, and an equal or better, challenger.

    The first hypothesis is that the log loss of the champion less that of the challenger has a
    mean of at most 0, the second of at least 0, each given what `level_evidence` is given. A row
    has one of two differences, both known before its outcome, so bets are bounded.

    Source: Henzi and Ziegel 2022, Biometrika 109, 647-663 (sequential comparison of forecasts).

    Returns
    -------
    better, worse : float64 arrays of shape (days, 10)
        Logs of e-values, one for each size of a bet.
    """
    cluster = _Clusters.of(day, groups)
    one, two = (np.clip(each, _EDGE, 1.0 - _EDGE) for each in (champion, challenger))
    if_positive, if_negative = np.log(two / one), np.log1p(-two) - np.log1p(-one)
    gain = np.where(target == 1.0, if_positive, if_negative)
    sides = []
    for sign in (1.0, -1.0):
        loss = -np.minimum(np.minimum(sign * if_positive, sign * if_negative), 0.0)
        grown = [cluster.log_growth(sign * gain, loss, size=size) for size in _SIZES]
        sides.append(np.column_stack(grown))
    return sides[0], sides[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """Evidence of a change, day by day.

    Attributes
    ----------
    evidence : float64 array of shape (days, ...)
        Log of the evidence over its limit: an alarm where it is at least 0.
    alarm : bool array of that shape
    state : float64 array of shape (..., k)
        What `detect_change` continues from; finite numbers of at least 0.
    """

    evidence: Floats
    alarm: Mask
    state: Floats


def detect_change(
    log_values: Floats,
    *,
    limit: float,
    weights: npt.ArrayLike = WEIGHTS,
    state: Floats | None = None,
) -> Detection:
    """Add the evidence of all days on which a change may have begun, and begin again at an alarm.

    With e-values e of a day, evidence is ``M = (M + 1) e``, and an alarm is raised at
    ``M >= limit``. The mean number of days to a false alarm is at least `limit`, and the mean
    number of false alarms in n days is at most n / limit, because M and `limit` for each alarm,
    less the days, fall on average. Both hold for every dependence over time.

    Source: Shin, Ramdas and Rinaldo 2024, New England Journal of Statistics in Data Science 2,
    229-260 (e-detectors, Shiryaev-Roberts form).

    Parameters
    ----------
    log_values : float64 array of shape (days, ..., k)
        Logs of the e-values of k bets, of any number of subjects.
    weights : array of shape (k,)
        Shares of the bets, of sum 1.
    state : float64 array of shape (..., k), optional
        That of the days before; days can be added in any number of calls.
    """
    # the state is log(1 + M): it begins at 0 and stays finite
    held = np.zeros(log_values.shape[1:]) if state is None else np.array(state, dtype=np.float64)
    evidence = np.empty(log_values.shape[:-1])
    for day, step in enumerate(log_values):
        held = np.logaddexp(0.0, held + step)
        evidence[day] = _log_of_sum(held, np.asarray(weights, np.float64)) - np.log(limit)
        held[evidence[day] >= 0.0] = 0.0
    return Detection(evidence=evidence, alarm=evidence >= 0.0, state=held)


def _log_of_sum(held: Floats, weights: Floats) -> Floats:
    """Return the log of the weighted mean of M, from logs of 1 + M."""
    # M itself: the log of M + 1 less 1 would lose the digits of small M
    with np.errstate(divide="ignore"):
        own = held + np.log(-np.expm1(-held))
    return np.asarray(logsumexp(own, axis=-1, b=weights), np.float64)


def total_evidence(log_values: Floats, weights: npt.ArrayLike | None = None) -> Floats:
    """Multiply the e-values of all days so far, and take the mean over bets, in logs.

    The chance that it ever reaches log(1 / a) where the hypothesis is true is at most a.

    Source: Ville 1939; Ramdas, Gruenwald, Vovk and Shafer 2023, Statistical Science 38, 576-601.

    Returns
    -------
    float64 array of shape (days,)
    """
    bets = log_values.shape[-1]
    share = np.full(bets, 1.0 / bets) if weights is None else np.asarray(weights, np.float64)
    return np.asarray(logsumexp(np.cumsum(log_values, axis=0), axis=-1, b=share), np.float64)


def change_began(log_values: Floats, *, alarm: int) -> int:
    """Return the day from which on the evidence of an alarm is largest.

    Parameters
    ----------
    log_values : float64 array of shape (days, k)
    alarm : int
        Place of the day of the alarm.
    """
    before = np.vstack([np.zeros(log_values.shape[1]), np.cumsum(log_values[: alarm + 1], axis=0)])
    gain = before[-1] - before[:-1]
    return int(np.unravel_index(np.argmax(gain), gain.shape)[0])


def e_bh(values: npt.ArrayLike, *, level: float) -> Mask:
    """Choose hypotheses to reject so that the false ones are at most a share `level` on average.

    It holds for every dependence among the hypotheses.

    Source: Wang and Ramdas 2022, Journal of the Royal Statistical Society B 84, 822-852.

    Parameters
    ----------
    values : array of shape (n,)
        e-values, not their logs; NaN counts as no evidence.

    Examples
    --------
    >>> e_bh([50.0, 1.0, 30.0, 0.2], level=0.1).tolist()
    [True, False, True, False]
    """
    given = np.nan_to_num(np.asarray(values, np.float64), nan=0.0, posinf=np.inf)
    order = np.argsort(-given, kind="stable")
    enough = given[order] * np.arange(1, given.size + 1) >= given.size / level
    chosen = np.zeros(given.size, np.bool_)
    chosen[order[: int(np.flatnonzero(enough).max(initial=-1)) + 1]] = True
    return chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class _Clusters:
    """Rows of one customer on one day: place of each row's cluster, and each cluster's day."""

    place: Ints
    day: Ints
    days: int

    @classmethod
    def of(cls, day: Ints, groups: Ints) -> _Clusters:
        customers = int(groups.max(initial=-1)) + 1
        found, place = np.unique(day * customers + groups, return_inverse=True)
        return cls(place=place, day=found // max(customers, 1), days=int(day.max(initial=-1)) + 1)

    def log_growth(self, value: Floats, loss: Floats, *, size: float = 1.0) -> Floats:
        """Bet on the sum of each cluster, scaled so that it can never cost more than `_STAKE`."""
        n = self.day.size
        total = np.bincount(self.place, weights=value, minlength=n)
        most = np.bincount(self.place, weights=loss, minlength=n)
        scale = np.minimum(size, _STAKE / np.maximum(most, np.finfo(np.float64).tiny))
        grown = np.bincount(self.day, weights=np.log1p(scale * total), minlength=self.days)
        return np.asarray(grown, np.float64)
