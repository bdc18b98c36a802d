"""Tests of grades, lowest risk first: whether each one's rate is right, and rates rise.

A grade is a tier, or any class whose rows share a predicted rate.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from kyc_ml.metrics.arrays import Floats, Ints
from kyc_ml.metrics.intervals import jeffreys_interval
from kyc_ml.metrics.significance import holm


def jeffreys_p(
    hits: npt.ArrayLike, rows: npt.ArrayLike, rate: npt.ArrayLike
) -> tuple[Floats, Floats]:
    """Test predicted rates of grades against what was observed, by Jeffreys' posterior.

    The posterior of the true rate is Beta(hits + 1/2, rows - hits + 1/2); `under` is its mass
    below the predicted rate. Rows count as independent. Of few positives it rejects more often
    than its level says: at 0.05 up to 0.085 where five or more are expected, up to 0.16 where
    fewer are; `binomial_p` never does.

    Source: ECB 2019, Instructions for reporting the validation results of internal models,
    section 2.5.3.

    Parameters
    ----------
    hits, rows : arrays of counts, of one shape
    rate : array of that shape, in [0, 1]

    Returns
    -------
    under, over : float64 arrays of that shape
        One-sided p-values; a small `under` says that risk is under-predicted, a small `over`
        that it is over-predicted. NaN without rows.
    """
    d, n = np.asarray(hits, dtype=np.float64), np.asarray(rows, dtype=np.float64)
    p, posterior = np.asarray(rate, dtype=np.float64), stats.beta(d + 0.5, n - d + 0.5)
    some = n > 0
    return np.where(some, posterior.cdf(p), np.nan), np.where(some, posterior.sf(p), np.nan)


def binomial_p(
    hits: npt.ArrayLike, rows: npt.ArrayLike, rate: npt.ArrayLike
) -> tuple[Floats, Floats]:
    """Test predicted rates of grades by the exact binomial test, one-sided.

    It rejects less often than its level says, the more so the fewer positives there are.

    Source: Clopper and Pearson 1934, Biometrika 26, 404-413.

    Parameters
    ----------
    hits, rows, rate : arrays
        See `jeffreys_p`.

    Returns
    -------
    under, over : float64 arrays
        P(X >= hits) and P(X <= hits) at the predicted rate; NaN without rows.
    """
    d, n = np.asarray(hits, dtype=np.float64), np.asarray(rows, dtype=np.float64)
    p, some = np.asarray(rate, dtype=np.float64), n > 0
    # `sf` is strict: d - 1 includes the observed number
    above, below = stats.binom.sf(d - 1, n, p), stats.binom.cdf(d, n, p)
    return np.where(some, above, np.nan), np.where(some, below, np.nan)


def compute_grade_calibration(
    grade: Ints, target: Floats, proba: Floats, *, names: Sequence[str]
) -> pd.DataFrame:
    """Compare the mean probability of each grade with its observed rate.

    Where rows of a grade differ in probability, positives vary a little less than the tests
    allow for: they then reject less often than their level.

    Parameters
    ----------
    grade : int64 array of shape (n,)
        Places in `names`.
    target : array of 0 and 1, shape (n,)
    proba : array of shape (n,), in [0, 1]

    Returns
    -------
    DataFrame
        One row a grade: grade, rows, positives, expected_rate, observed_rate, low, high (95 %
        after Jeffreys), jeffreys_under, jeffreys_over, binomial_under, binomial_over, and
        jeffreys_under_holm, jeffreys_over_holm, adjusted over the grades. Rates and p-values
        of a grade without rows are NaN.
    """
    k = len(names)
    rows = np.bincount(grade, minlength=k)
    hits = np.bincount(grade, weights=target, minlength=k)
    some = np.where(rows > 0, rows, np.nan)
    expected = np.bincount(grade, weights=proba, minlength=k) / some
    low, high = jeffreys_interval(hits, rows)
    under, over = jeffreys_p(hits, rows, expected)
    fewer, more = binomial_p(hits, rows, expected)
    return pd.DataFrame(
        {
            "grade": list(names),
            "rows": rows,
            "positives": hits.astype(np.int64),
            "expected_rate": expected,
            "observed_rate": hits / some,
            "low": np.where(rows > 0, low, np.nan),
            "high": np.where(rows > 0, high, np.nan),
            "jeffreys_under": under,
            "jeffreys_over": over,
            "binomial_under": fewer,
            "binomial_over": more,
            "jeffreys_under_holm": holm(under),
            "jeffreys_over_holm": holm(over),
        }
    )


def compute_ordering(hits: Ints, rows: Ints, *, names: Sequence[str]) -> pd.DataFrame:
    """Test whether the rate of a grade is truly above that of the next higher grade.

    One-sided, of the hypothesis that the lower grade's rate is at most the higher one's, with
    the mid-p-value of Fisher's exact test: near its level where the exact one is well below.
    Grades without rows are passed over. Rows count as independent.

    Source: Fisher 1935, Journal of the Royal Statistical Society 98, 39-82; mid-p: Lancaster
    1961, Journal of the American Statistical Association 56, 223-234.

    Parameters
    ----------
    hits, rows : int64 arrays of shape (k,)
        Positives and rows of each grade, lowest first.

    Returns
    -------
    DataFrame
        One row a pair of neighbours: lower, higher, lower_rate, higher_rate, inverted (the
        lower one's rate is higher), p_value (small: not by chance), p_holm.
    """
    present = np.flatnonzero(np.asarray(rows) > 0)
    one, two = present[:-1], present[1:]
    d, n = np.asarray(hits)[present], np.asarray(rows)[present]
    rate = d / n
    # of all positives of the pair, how many fall to the lower grade
    law = (n[:-1] + n[1:], n[:-1], d[:-1] + d[1:])
    beyond, seen = stats.hypergeom.sf(d[:-1], *law), stats.hypergeom.pmf(d[:-1], *law)
    # half the weight of what was observed: mid-p
    p_value = np.minimum(beyond + 0.5 * seen, 1.0)
    return pd.DataFrame(
        {
            # of one grade there is no pair, and an empty list would be a column of numbers
            "lower": pd.Series([names[place] for place in one], dtype="str"),
            "higher": pd.Series([names[place] for place in two], dtype="str"),
            "lower_rate": rate[:-1],
            "higher_rate": rate[1:],
            "inverted": rate[:-1] > rate[1:],
            "p_value": p_value,
            "p_holm": holm(p_value),
        }
    )
