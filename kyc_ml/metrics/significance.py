"""Results of tests, and corrections for several tests."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kyc_ml.metrics.arrays import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class SignificanceTest:
    """A test statistic and its p-value.

    Attributes
    ----------
    statistic : float
        NaN where the rows do not determine it.
    p_value : float
        Chance of a statistic at least as far out where the null hypothesis holds; NaN with it.
    degrees : int or None
        Degrees of freedom of a chi-squared statistic; None for a normal one.
    """

    statistic: float
    p_value: float
    degrees: int | None = None


def holm(p_values: npt.ArrayLike) -> Floats:
    """Adjust p-values for how many there are: the chance of any false alarm stays at the level.

    Valid whatever the dependence of the tests.

    Source: Holm 1979, Scandinavian Journal of Statistics 6, 65-70.

    Parameters
    ----------
    p_values : array of any shape
        NaN says that a test has no p-value: it is not counted and stays NaN.

    Returns
    -------
    float64 array of the same shape

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    given = np.asarray(p_values, dtype=np.float64)
    known = given[~np.isnan(given)]
    order = np.argsort(known)
    steps = known[order] * np.arange(known.size, 0, -1)
    adjusted = np.empty_like(known)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    out = np.full(given.shape, np.nan)
    out[~np.isnan(given)] = adjusted
    return out
