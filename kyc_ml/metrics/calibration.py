"""Calibration of predicted probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from kyc_ml.metrics.arrays import Floats, Ints
from kyc_ml.metrics.intervals import jeffreys_interval
from kyc_ml.metrics.significance import SignificanceTest


def compute_reliability(target: Floats, proba: Floats, *, n_bins: int = 20) -> pd.DataFrame:
    """Compare predicted with observed rates in bins of equal mass.

    Rows of equal probability share a bin, so the table does not depend on the order of rows;
    there are fewer bins than asked for where probabilities repeat.

    Returns
    -------
    DataFrame
        One row a bin: bin, n, mean_proba, event_rate, ci_low, ci_high.
    """
    place = _equal_mass(proba, n_bins)
    n = np.bincount(place)
    hits = np.bincount(place, weights=target)
    low, high = jeffreys_interval(hits, n)
    return pd.DataFrame(
        {
            "bin": np.arange(1, n.size + 1),
            "n": n,
            "mean_proba": np.bincount(place, weights=proba) / n,
            "event_rate": hits / n,
            "ci_low": low,
            "ci_high": high,
        }
    )


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


def _gaps(target: Floats, proba: Floats, n_bins: int) -> tuple[pd.Series, pd.Series]:
    bins = compute_reliability(target, proba, n_bins=n_bins)
    return (bins["event_rate"] - bins["mean_proba"]).abs(), bins["n"]


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
    n = np.bincount(place)
    said = np.bincount(place, weights=proba) / n
    rate = np.bincount(place, weights=target) / n
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


def spiegelhalter(target: Floats, proba: Floats) -> SignificanceTest:
    """Test, by the Brier score, whether every probability is right.

    z = sum (y - p)(1 - 2p) / sqrt(sum p (1 - p)(1 - 2p)^2), two-sided: the distance of the
    Brier score from its expectation, in standard deviations. Above 0 it is worse than
    expected. Rows count as independent; shifts near 0.5 are not seen.

    Source: Spiegelhalter 1986, Statistics in Medicine 5, 421-433.

    Returns
    -------
    SignificanceTest
        NaN where every probability is 0, 0.5 or 1.
    """
    weight = 1.0 - 2.0 * proba
    spread = float((proba * (1.0 - proba) * weight**2).sum())
    if spread == 0.0:
        return SignificanceTest(statistic=np.nan, p_value=np.nan)
    z = float(((target - proba) * weight).sum()) / float(np.sqrt(spread))
    return SignificanceTest(statistic=z, p_value=float(2.0 * stats.norm.sf(abs(z))))


def hosmer_lemeshow(
    target: Floats, proba: Floats, *, n_bins: int = 10, fitted: bool = False
) -> SignificanceTest:
    """Test whether observed rates are those predicted, bin by bin of equal mass.

    H = sum (O - n p)^2 / (n p (1 - p)) over bins, p a bin's mean probability. Of many rows it
    finds departures that do not matter, and of a rare class it needs about five positives
    expected in each bin. Rows count as independent.

    Source: Hosmer and Lemeshow 1980, Communications in Statistics A9, 1043-1069; as many
    degrees of freedom as bins on rows the model was not fitted on: Hosmer, Lemeshow and
    Sturdivant 2013, Applied Logistic Regression, section 5.2.2.

    Parameters
    ----------
    fitted : bool
        Whether the probabilities were fitted on these very rows, which costs two degrees.

    Returns
    -------
    SignificanceTest
        NaN without degrees of freedom. A bin that says 0 or 1 throughout and is wrong makes
        the statistic infinite.
    """
    bins = compute_reliability(target, proba, n_bins=n_bins)
    # two degrees fewer where the probabilities were fitted on these rows
    degrees = len(bins) - 2 * fitted
    if degrees < 1:
        return SignificanceTest(statistic=np.nan, p_value=np.nan, degrees=degrees)
    n, said = bins["n"].to_numpy(), bins["mean_proba"].to_numpy()
    squared = (n * (bins["event_rate"].to_numpy() - said)) ** 2
    spread = n * said * (1.0 - said)
    # infinite where a probability of 0 or 1 was wrong, 0 where it was right
    terms = np.where(squared > 0.0, np.inf, 0.0)
    np.divide(squared, spread, out=terms, where=spread > 0.0)
    h = float(terms.sum())
    return SignificanceTest(statistic=h, p_value=float(stats.chi2.sf(h, degrees)), degrees=degrees)
