"""Concentration of customers in tiers, and whether it grew."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats


@dataclass(frozen=True, slots=True, kw_only=True)
class Concentration:
    """Concentration of counts in K classes.

    Attributes
    ----------
    variation : float
        Coefficient of variation sqrt(K sum (share - 1/K)^2), from 0 to sqrt(K - 1).
    index : float
        The ECB's Herfindahl index 1 + ln((variation^2 + 1) / K) / ln K, from 0 to 1.
    herfindahl : float
        The usual one, the sum of squared shares, from 1/K to 1.
    """

    variation: float
    index: float
    herfindahl: float


def concentration(counts: npt.ArrayLike) -> Concentration:
    """Measure the concentration of counts in classes.

    Source: ECB 2019, Instructions for reporting the validation results of internal models,
    section 2.5.5.3.

    Parameters
    ----------
    counts : array of shape (K,), K at least 2
        NaN for all figures where all are 0.
    """
    given = np.asarray(counts, dtype=np.float64)
    if given.size < 2:
        raise ValueError(f"concentration: counts must be of at least 2 classes, got {given.size}")
    if not given.sum():
        return Concentration(variation=np.nan, index=np.nan, herfindahl=np.nan)
    share, k = given / given.sum(), given.size
    variation = float(np.sqrt(k * ((share - 1.0 / k) ** 2).sum()))
    return Concentration(
        variation=variation,
        index=float(1.0 + np.log((variation**2 + 1.0) / k) / np.log(k)),
        herfindahl=float((share**2).sum()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConcentrationChange:
    """Test whether customers are more concentrated than at first.

    Attributes
    ----------
    initial, current : Concentration
    statistic : float
    p_value : float
        One-sided, of no growth.
    least_p : float
        The least p-value that any counts could give: where it is above the level wanted, the
        test can never reject.
    """

    initial: Concentration
    current: Concentration
    statistic: float
    p_value: float
    least_p: float


def concentration_change(initial: npt.ArrayLike, current: npt.ArrayLike) -> ConcentrationChange:
    """Test whether concentration grew, as the ECB does.

    With V the coefficient of variation, z = sqrt(K - 1) (V - V_initial) / sqrt(V^2 (0.5 +
    V^2)). The test takes the K shares for a sample of a normal law and does not see how many
    customers there are: with few classes it cannot reject at any usual level. It informs; it
    should gate nothing.

    Source: ECB 2019, Instructions for reporting the validation results of internal models, section
    2.5.5.3; the variance after Miller 1991, Communications in Statistics 20, 3351-3363.

    Parameters
    ----------
    initial, current : arrays of counts, shape (K,), K at least 2
    """
    before, after = concentration(initial), concentration(current)
    k = np.asarray(initial).size
    if k != np.asarray(current).size:
        raise ValueError(
            f"concentration_change: both counts must be of the same classes, got {k} and "
            f"{np.asarray(current).size}"
        )
    z = _statistic(after.variation, before.variation, k)
    least = float(stats.norm.sf(_statistic(_farthest(before.variation, k), before.variation, k)))
    return ConcentrationChange(
        initial=before,
        current=after,
        statistic=z,
        p_value=float(stats.norm.sf(z)),
        least_p=least,
    )


def _statistic(variation: float, initial: float, k: int) -> float:
    if variation == 0.0:  # the limit: even counts are no more concentrated than any
        return 0.0 if initial == 0.0 else -np.inf
    return float(np.sqrt(k - 1) * (1.0 - initial / variation) / np.sqrt(0.5 + variation**2))


def _farthest(initial: float, k: int) -> float:
    """Return the variation at which the statistic is largest: it falls again beyond."""
    if np.isnan(initial):
        return np.nan
    # where the slope of the statistic is 0: v^3 - 2 a v^2 - a / 2 = 0, of one real root
    roots = np.roots([1.0, -2.0 * initial, 0.0, -initial / 2.0])
    best = float(roots[np.abs(roots.imag).argmin()].real)
    return min(max(best, 1e-12), float(np.sqrt(k - 1)))
