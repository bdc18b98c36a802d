"""The level of probabilities: positives observed over positives expected, with its tests."""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import scipy  # its parts load at their first use
from scipy.special import expit, logit, ndtr, ndtri, stdtr

from kyc_ml.metrics.arrays import AnyArray, Floats, Ints
from kyc_ml.metrics.clustering import effective_size
from kyc_ml.metrics.intervals import CONFIDENCE

_LEAST: Final = 1e-12
"""Probabilities are kept this far from 0 and 1, where log-odds are infinite."""
_NEWTON_STEPS: Final = 100
_FARTHEST: Final = 60.0
"""Largest shift in log-odds: beyond it every probability is 0 or 1."""
_NEAR: Final = 0.05
"""Closer to the observed count than this the saddlepoint formula divides rounding errors."""
_CERTAIN: Final = 0.1
"""Of a count with less variance, all but a row or so are certain, and the formula fails."""
_ROUNDING: Final = 1e-12
_UNSEEN: Final = 0.25
"""Dependence of a customer's rows that one customer is taken to show before any is seen.

Convention: few customers with positives cannot show how much a customer's rows depend on each
other, and without it tests of 5 to 20 positives reject a right level up to six times as often as
they say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedOverExpected:
    """Positives observed over positives expected: 1 where the level is right.

    Attributes
    ----------
    ratio : float
        Above 1 where risk is under-predicted; NaN where none are expected.
    low, high : float
        Its interval, at 95 % by default.
    under_p, over_p : float
        One-sided mid-p-values of a right level: a small `under_p` says that risk is
        under-predicted, a small `over_p` that it is over-predicted.
    design_effect : float
        Variance of the count over that of independent rows, at least 1.
    """

    ratio: float
    low: float
    high: float
    under_p: float
    over_p: float
    design_effect: float


def observed_over_expected(
    target: Floats, proba: Floats, groups: Ints | None = None, *, confidence: float = CONFIDENCE
) -> ObservedOverExpected:
    """Compare how many rows are positive with how many should be.

    The count of positives is a sum of trials with different probabilities (Poisson-binomial). Its
    tail at a level comes from the saddlepoint formula, and the levels are those of a shift of all
    log-odds: the interval holds the levels that neither tail rejects. Where customers have
    several rows, the variance is multiplied by the design effect of their residuals, with a
    t-distribution because it is estimated.

    The tests assume that probabilities have the right order and spread within the rows. Of fewer
    than 20 positives of customers with several rows the interval is too wide where the rows are
    independent, and too narrow where all rows of a customer have one outcome.

    Source: Lugannani and Rice 1980, Advances in Applied Probability 12, 475-490, in the form of
    Barndorff-Nielsen 1986, Biometrika 73, 307-322; mid-p-values are the mean of both tails of
    whole counts, Daniels 1987, International Statistical Review 55, 37-48; Rao and Scott 1992,
    Biometrics 48, 577-585 (design effect).

    Parameters
    ----------
    target : array of 0 and 1, shape (n,)
    proba : array of shape (n,), in [0, 1]
    groups : int64 array of shape (n,), optional
        The customer of each row, as a number from 0; without it rows are independent.

    Returns
    -------
    ObservedOverExpected
        NaN where nothing is expected.

    Examples
    --------
    >>> found = observed_over_expected(np.repeat([1.0, 0.0], [10, 90]), np.full(100, 0.05))
    >>> [round(each, 3) for each in (found.ratio, found.low, found.high, found.under_p)]
    [2.0, 1.039, 3.421, 0.02]
    """
    count, expected = float(target.sum()), float(proba.sum())
    if expected == 0.0:
        return ObservedOverExpected(
            ratio=np.nan, low=np.nan, high=np.nan, under_p=np.nan, over_p=np.nan, design_effect=1.0
        )
    clusters = np.arange(target.size) if groups is None else groups
    level = _Level.of(target, logit(np.clip(proba, _LEAST, 1.0 - _LEAST)), clusters)
    z = level.deviation(0.0)
    reach = float(ndtri(0.5 + confidence / 2))
    low, high = (level.expected(level.reached(side)) for side in (reach, -reach))
    return ObservedOverExpected(
        ratio=count / expected,
        low=low / expected,
        high=high / expected,
        under_p=float(ndtr(-z)),
        over_p=float(ndtr(z)),
        design_effect=level.effect(0.0),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Level:
    """The count of positives, and its law at each level."""

    eta: Floats
    """float64 array of shape (n,); log-odds as predicted."""
    count: float
    shift: float
    """Shift of log-odds at which the count is expected; infinite where all rows agree."""
    entropy: float
    variance: float
    skewness: float
    """`entropy`, `variance` and `skewness`: at that shift: the cumulant function, and the variance
    and skewness of the count."""
    excess: float
    trend: float
    """`excess` and `trend`: design effect less 1, and its relative growth by one positive."""
    clusters: float
    """How many customers the design effect is estimated from."""

    @classmethod
    def of(cls, target: Floats, eta: Floats, groups: Ints) -> Self:
        count = float(target.sum())
        shift = _shift(eta, count)
        none = {"entropy": 0.0, "variance": 0.0, "skewness": 0.0, "trend": 0.0, "clusters": 0.0}
        if np.isinf(shift):
            unseen = _UNSEEN * _most(expit(eta), groups)
            return cls(eta=eta, count=count, shift=shift, excess=unseen, **none)
        fitted = expit(eta + shift)
        own = fitted * (1.0 - fitted)
        variance = float(own.sum())
        residual = target - fitted
        total: Floats = np.bincount(groups, weights=residual).astype(np.float64)
        square, alone = float((total**2).sum()), float((residual**2).sum())
        # of one customer the residuals sum to nothing but rounding
        several = square > _ROUNDING * alone
        clusters = square**2 / float((total**4).sum()) if several else 1.0
        seen = max(square / alone - 1.0, 0.0) * clusters / max(clusters - 1.0, 0.5)
        # customers that show the dependence: those with the rarer outcome
        shown = min(
            effective_size(np.bincount(groups, weights=each)) for each in (target, 1.0 - target)
        )
        return cls(
            eta=eta,
            count=count,
            shift=shift,
            entropy=_entropy(eta, shift),
            variance=variance,
            skewness=float((own * (1.0 - 2.0 * fitted)).sum()) / variance**1.5,
            # one customer more, of which nothing is known
            excess=(shown * seen + _UNSEEN * _most(fitted, groups)) / (shown + 1.0),
            trend=_trend(residual, total) if several else 0.0,
            clusters=clusters,
        )

    def expected(self, shift: float) -> float:
        """Return how many positives are expected at a shift of log-odds."""
        return float(expit(self.eta + shift).sum())

    def effect(self, shift: float) -> float:
        """Return the design effect at a shift of log-odds.

        A sample with few positives by chance also shows too little dependence: with a level
        that differs from the count, the design effect is that of the level.
        """
        growth = self.trend * (self.expected(shift) - self.count) if self.trend else 0.0
        return 1.0 + self.excess * float(np.exp(np.clip(growth, -1.5, 1.5)))

    def deviation(self, shift: float) -> float:
        """Return how far the count is above a level, in normal deviations of the same tail."""
        effect = self.effect(shift)
        if np.isinf(self.shift):
            sign = float(np.sign(self.shift))
            # all rows have one outcome: half the chance of that
            chance = 0.5 * np.exp(-_entropy(-sign * self.eta, -sign * shift) / effect)
            return -sign * float(ndtri(chance))
        root = self._signed_root(shift, effect)
        share = (effect - 1.0) / effect
        if not share:
            return root
        # only the share of the variance that is estimated needs a t-distribution
        degrees = max(self.clusters - 1.0, 1.0) / share**2
        return float(np.sign(root) * -ndtri(stdtr(degrees, -abs(root))))

    def _signed_root(self, shift: float, effect: float) -> float:
        """Return the signed root of the likelihood ratio, modified to be normal."""
        away = self.shift - shift
        gain = away * self.count - self.entropy + _entropy(self.eta, shift)
        root = float(np.sign(away) * np.sqrt(max(2.0 * gain / effect, 0.0)))
        if self.variance < _CERTAIN:
            return root
        if abs(root) < _NEAR:
            return root + self.skewness * float(np.sqrt(effect)) / 6.0
        # of whole counts: the hyperbolic tangent takes the middle of both tails at the count
        wald = 2.0 * float(np.tanh(away / 2.0) * np.sqrt(self.variance / effect))
        return root + float(np.log(wald / root)) / root

    def reached(self, deviation: float) -> float:
        """Return the shift of log-odds from which the count deviates by so much."""
        side = -float(np.sign(deviation))  # the count is above a lower level
        if np.isinf(self.shift):
            if np.sign(self.shift) == side:
                return self.shift
            rare = self.effect(0.0) * float(-np.log(2.0 * ndtr(-abs(deviation))))
            return side * float(
                scipy.optimize.brentq(
                    lambda shift: _entropy(side * self.eta, shift) - rare, -_FARTHEST, _FARTHEST
                )
            )
        reach = side * abs(deviation) * float(np.sqrt(self.effect(self.shift) / self.variance))
        near, far = self.shift, self.shift + reach
        while side * (deviation - self.deviation(far)) < 0.0:
            if abs(far) > _FARTHEST:
                return side * np.inf  # too few customers to exclude any level
            near, far, reach = far, far + reach, 2.0 * reach
        return float(
            scipy.optimize.brentq(
                lambda shift: self.deviation(shift) - deviation, near, far, rtol=1e-9
            )
        )


def _shift(eta: Floats, count: float) -> float:
    """Return the shift of log-odds at which `count` positives are expected."""
    if not 0.0 < count < eta.size:
        return -np.inf if not count else np.inf
    low, high = -_FARTHEST, _FARTHEST
    shift, aim = 0.0, logit(count / eta.size)
    for _ in range(_NEWTON_STEPS):
        fitted = expit(eta + shift)
        mean, slope = float(fitted.mean()), float((fitted * (1.0 - fitted)).mean())
        low, high = (shift, high) if mean * eta.size < count else (low, shift)
        # exact in one step where all probabilities are equal
        step = (aim - logit(mean)) * mean * (1.0 - mean) / slope if slope else np.inf
        if abs(step) < 1e-10:
            break
        shift = shift + step if low < shift + step < high else (low + high) / 2.0
    return float(shift)


def _entropy(eta: Floats, shift: float) -> float:
    """Return minus the log of the chance that no row is positive."""
    return float(np.logaddexp(0.0, eta + shift).sum())


def _trend(residual: Floats, total: AnyArray) -> float:
    """Return the relative growth of the design effect by one positive."""
    square, alone = float((total**2).sum()), float((residual**2).sum())
    return float((total**3).sum()) / square**2 - float((residual**3).sum()) / alone**2


def _most(proba: Floats, groups: Ints) -> float:
    """Return the design effect less 1 where all rows of a customer are as alike as can be."""
    own = proba * (1.0 - proba)
    return float((np.bincount(groups, weights=np.sqrt(own)) ** 2).sum() / own.sum()) - 1.0
