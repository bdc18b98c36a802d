"""Calibration of predicted probabilities."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from kyc_ml.metrics.arrays import Floats, Ints
from kyc_ml.metrics.clustering import dependence
from kyc_ml.metrics.intervals import jeffreys_interval
from kyc_ml.metrics.level import observed_over_expected
from kyc_ml.metrics.significance import SignificanceTest


def compute_reliability(
    target: Floats, proba: Floats, *, n_bins: int = 20, groups: Ints | None = None
) -> pd.DataFrame:
    """Compare predicted with observed rates in bins of equal mass.

    Rows of equal probability share a bin, so the table does not depend on the order of rows;
    there are fewer bins than asked for where probabilities repeat.

    Parameters
    ----------
    groups : int64 array of shape (n,), optional
        The customer of each row, as a number from 0; without it rows are independent.

    Returns
    -------
    DataFrame
        One row a bin: bin, n, mean_proba, event_rate, ci_low, ci_high (95 %, as of
        `observed_over_expected`; after Jeffreys where a bin's probabilities are 0).
    """
    place = _equal_mass(proba, n_bins)
    n, said, rate = _rates(target, proba, place)
    low, high = jeffreys_interval(rate * n, n)
    for each in np.flatnonzero(said > 0.0):
        here = place == each
        found = observed_over_expected(
            target[here], proba[here], None if groups is None else groups[here]
        )
        # rounding can put an end on the wrong side of a rate of 0 or 1
        low[each] = min(found.low * said[each], rate[each])
        high[each] = max(found.high * said[each], rate[each])
    return pd.DataFrame(
        {
            "bin": np.arange(1, n.size + 1),
            "n": n,
            "mean_proba": said,
            "event_rate": rate,
            "ci_low": low,
            "ci_high": high,
        }
    )


def _rates(target: Floats, proba: Floats, place: Ints) -> tuple[Ints, Floats, Floats]:
    """Count the rows of each bin, with its mean probability and its observed rate."""
    n = np.bincount(place)
    said = np.bincount(place, weights=proba) / n
    return n, said, np.bincount(place, weights=target) / n


def _equal_mass(proba: Floats, n_bins: int) -> Ints:
    """Return each row its bin, from 0 in the order of probabilities; no bin is empty."""
    # cuts are probabilities that occur, so that equal ones share a bin
    cuts = np.sort(proba)[np.arange(1, n_bins) * proba.size // n_bins] if proba.size else proba
    # frequent probabilities are several cuts: without `unique` some bins would be empty
    return _number(np.searchsorted(np.unique(cuts), proba, side="right"))


def _number(labels: Ints | Floats) -> Ints:
    """Return equal labels one number, from 0 in their order."""
    return np.asarray(np.unique(labels, return_inverse=True)[1], dtype=np.int64)


def calibration_error(target: Floats, proba: Floats, *, n_bins: int = 20) -> float:
    """Mean distance of predicted and observed rates over bins of equal mass (ECE).

    Chance alone makes it positive, the more so the fewer rows a bin has.

    Source: Naeini, Cooper and Hauskrecht 2015, AAAI, 2901-2907; equal mass after Nixon et
    al. 2019, CVPR Workshops, 38-41.
    """
    gap, n = _gaps(target, proba, n_bins)
    return float((gap * n).sum() / n.sum())


def largest_calibration_error(target: Floats, proba: Floats, *, n_bins: int = 20) -> float:
    """Largest distance of predicted and observed rates over bins of equal mass (MCE).

    Source: as for `calibration_error`.
    """
    return float(_gaps(target, proba, n_bins)[0].max())


def _gaps(target: Floats, proba: Floats, n_bins: int) -> tuple[Floats, Ints]:
    n, said, rate = _rates(target, proba, _equal_mass(proba, n_bins))
    return np.abs(rate - said), n


@dataclass(frozen=True, slots=True, kw_only=True)
class BrierParts:
    """The Brier score and its decomposition.

    Attributes
    ----------
    score : float
        Mean squared distance; reliability - resolution + uncertainty + within_bins.
    reliability : float
        Squared distance of predicted and observed rates of bins; 0 is best.
    resolution : float
        Squared distance of the bins' observed rates from the prevalence; more is better.
    uncertainty : float
        Variance of the outcome.
    within_bins : float
        What rows of unequal probability in one bin add; 0 where a bin has one probability.
    skill : float
        1 - score / uncertainty: 0 for the prevalence said of every row; NaN for one class.
    """

    score: float
    reliability: float
    resolution: float
    uncertainty: float
    within_bins: float
    skill: float


def decompose_brier(target: Floats, proba: Floats, *, n_bins: int | None = None) -> BrierParts:
    """Split the Brier score into reliability, resolution and uncertainty.

    Source: Murphy 1973, Journal of Applied Meteorology 12, 595-600; parts within bins after
    Stephenson, Coelho and Jolliffe 2008, Weather and Forecasting 23, 752-757.

    Parameters
    ----------
    target : array of 0 and 1, shape (n,), n at least 1
    proba : array of shape (n,), in [0, 1]
    n_bins : int, optional
        Bins of equal mass. Without it each probability is a bin: then reliability and
        resolution of probabilities that hardly repeat are both large, by chance.
    """
    place = _number(proba) if n_bins is None else _equal_mass(proba, n_bins)
    n, said, rate = _rates(target, proba, place)
    prevalence = float(target.mean())
    uncertainty = prevalence * (1.0 - prevalence)
    off = proba - said[place]
    score = float(((proba - target) ** 2).mean())
    return BrierParts(
        score=score,
        reliability=float((n * (said - rate) ** 2).sum() / target.size),
        resolution=float((n * (rate - prevalence) ** 2).sum() / target.size),
        uncertainty=uncertainty,
        within_bins=float((off**2 - 2.0 * off * (target - rate[place])).mean()),
        skill=1.0 - score / uncertainty if uncertainty > 0.0 else np.nan,
    )


def spiegelhalter(target: Floats, proba: Floats, groups: Ints | None = None) -> SignificanceTest:
    """Test, by the Brier score, whether every probability is right.

    z = sum (y - p)(1 - 2p) / sqrt(sum p (1 - p)(1 - 2p)^2), two-sided: the distance of the
    Brier score from its expectation, in standard deviations. Above 0 it is worse than
    expected. Shifts near 0.5 are not seen.

    Source: Spiegelhalter 1986, Statistics in Medicine 5, 421-433; see `dependence`.

    Parameters
    ----------
    groups : int64 array of shape (n,), optional
        The customer of each row, as a number from 0; without it rows are independent.

    Returns
    -------
    SignificanceTest
        NaN where every probability is 0, 0.5 or 1.
    """
    weight = 1.0 - 2.0 * proba
    own = (target - proba) * weight
    hangs = dependence(own, groups)
    spread = float((proba * (1.0 - proba) * weight**2).sum()) * hangs.effect
    if spread == 0.0:
        return SignificanceTest(statistic=np.nan, p_value=np.nan)
    z = float(own.sum()) / float(np.sqrt(spread))
    return SignificanceTest(statistic=z, p_value=float(2.0 * stats.t.sf(abs(z), hangs.degrees)))


def hosmer_lemeshow(
    target: Floats,
    proba: Floats,
    groups: Ints | None = None,
    *,
    n_bins: int = 10,
    fewest: float = 5.0,
    fitted: bool = False,
) -> SignificanceTest:
    """Test whether observed counts are those expected, bin by bin of rising probability.

    H = sum (O - E)^2 / V over bins, E and V the mean and variance of a bin's count if its
    probabilities are right. Bins expect equally many positives: of a rare class, bins of equally
    many rows would expect next to none. H is compared with the multiple of a chi-squared variable
    that has its mean and variance, as counts of few positives are not normal. Of many rows it finds
    departures that do not matter.

    Source: Hosmer and Lemeshow 1980, Communications in Statistics A9, 1043-1069; as many
    degrees of freedom as bins on rows the model was not fitted on: Hosmer, Lemeshow and
    Sturdivant 2013, Applied Logistic Regression, section 5.2.2; two moments after Satterthwaite
    1946, Biometrics Bulletin 2, 110-114; see `dependence`.

    Parameters
    ----------
    groups : int64 array of shape (n,), optional
        The customer of each row, as a number from 0; without it rows are independent.
    n_bins : int
        Most bins.
    fewest : float
        Positives, and negatives, that a bin expects at least; fewer bins where they are too few.
    fitted : bool
        Whether the probabilities were fitted on these very rows, which costs two degrees.

    Returns
    -------
    SignificanceTest
        NaN without degrees of freedom. A probability of 0 or 1 that is wrong makes the statistic
        infinite.
    """
    place = _equal_expectation(proba, n_bins, fewest)
    bins = int(place.max(initial=-1)) + 1
    # two degrees fewer where the probabilities were fitted on these rows
    degrees = bins - 2 * fitted
    if degrees < 1:
        return SignificanceTest(statistic=np.nan, p_value=np.nan, degrees=degrees)
    own = proba * (1.0 - proba)
    spread, fourth = (
        np.bincount(place, weights=each, minlength=bins) for each in (own, own * (1.0 - 6.0 * own))
    )
    squared = np.bincount(place, weights=target - proba, minlength=bins) ** 2
    terms, excess = np.zeros((2, bins))
    np.divide(squared, spread, out=terms, where=spread > 0.0)
    np.divide(fourth, spread**2, out=excess, where=spread > 0.0)
    scaled = (target - proba) / np.sqrt(np.where(spread > 0.0, spread, np.inf))[place]
    cells = None if groups is None else _number(place * (int(groups.max()) + 1) + groups)
    h = float(terms.sum()) / dependence(scaled, cells).effect
    if ((own == 0.0) & (target != proba)).any():
        h = np.inf
    # variance over twice the mean, of all bins
    scale = max(1.0 + float(excess.mean()) / 2.0, np.finfo(np.float64).eps)
    return SignificanceTest(
        statistic=h, p_value=float(stats.chi2.sf(h / scale, degrees / scale)), degrees=degrees
    )


def _equal_expectation(proba: Floats, n_bins: int, fewest: float) -> Ints:
    """Return each row its bin of rising probability; bins expect about equally many positives."""
    value, inverse, n = np.unique(proba, return_inverse=True, return_counts=True)
    expected = value * n
    total = float(expected.sum())
    scarce = min(total, proba.size - total)
    bins = min(n_bins, int(scarce / fewest)) if fewest else n_bins
    # a probability that many rows share is put where its middle row is
    middle = (np.cumsum(expected) - expected / 2.0) / (total or 1.0)
    return _number(np.minimum(middle * max(bins, 1), max(bins, 1) - 1e-9).astype(np.int64)[inverse])
