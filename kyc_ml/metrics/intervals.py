"""Intervals of counts and rates, at 95 % by default."""

from typing import Final

import numpy as np
import numpy.typing as npt
import scipy  # its parts load at their first use
from scipy.special import ndtri

from kyc_ml.metrics.arrays import Floats

CONFIDENCE: Final = 0.95
NORMAL_REACH: Final = float(ndtri(0.5 + CONFIDENCE / 2))
"""Standard errors that the interval of a normal estimate reaches to each side."""


def jeffreys_interval(
    positives: npt.ArrayLike, rows: npt.ArrayLike, *, confidence: float = CONFIDENCE
) -> tuple[Floats, Floats]:
    """Interval of a rate under Jeffreys' prior; closed where all or none are positive.

    Source: Brown, Cai and DasGupta 2001, Statistical Science 16, 101-133.
    """
    hits, n = np.asarray(positives, dtype=np.float64), np.asarray(rows, dtype=np.float64)
    tail = (1.0 - confidence) / 2
    low = np.where(hits == 0, 0.0, scipy.stats.beta.ppf(tail, hits + 0.5, n - hits + 0.5))
    high = np.where(hits == n, 1.0, scipy.stats.beta.ppf(1.0 - tail, hits + 0.5, n - hits + 0.5))
    return low, high


def ratio_upper(
    above: npt.ArrayLike,
    above_high: npt.ArrayLike,
    below: npt.ArrayLike,
    below_low: npt.ArrayLike,
) -> Floats:
    """Return the upper end of the interval of a ratio of two independent rates (MOVER-R).

    It is computed from the rates and the ends of their intervals, so it is valid where a
    rate is 0, at which a bootstrap has no spread.

    Source: Donner and Zou 2012, Statistical Methods in Medical Research 21, 347-359.

    `above`, `above_high`: arrays of one shape; rate above the line, and the upper end of its
    interval.
    `below`, `below_low`: arrays of that shape; rate below the line, and the lower end of its
    interval.
    Returns float64 array of that shape; infinite where the rate below the line may be 0.
    """
    one, high, two, low = (
        np.asarray(each, dtype=np.float64) for each in (above, above_high, below, below_low)
    )
    product = one * two
    within = product**2 - high * low * (2.0 * one - high) * (2.0 * two - low)
    bottom = low * (2.0 * two - low)
    ratio = np.where(np.isnan(product), np.nan, np.inf)
    # rounding can make the difference slightly negative
    np.divide(product + np.sqrt(np.maximum(within, 0.0)), bottom, out=ratio, where=bottom > 0.0)
    return ratio
