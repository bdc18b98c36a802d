"""Design effect: rows of one cluster, such as a customer, give less evidence."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, stdtrit

from kyc_ml.metrics.arrays import Floats, Ints
from kyc_ml.metrics.intervals import CONFIDENCE


def design_effect(residual: Floats, groups: Ints, *, part: Ints, parts: int) -> Floats:
    """Return the design effect of the sum of residuals in each part of the rows.

    In part k it is sum_c (sum of c's residuals)^2 / sum of squared residuals, at least 1. Counts
    divided by it have about the variance that a test of independent rows takes for granted.
    Residuals must be about the level that was observed: a level that is wrong for all customers
    alike would else pass for dependence of their rows.
    Of few customers with positives it comes out too low.

    Source: Rao and Scott 1992, Biometrics 48, 577-585.

    Parameters
    ----------
    residual : float64 array of shape (n,)
        Outcome less its expectation at the observed level of its part.
    groups : int64 array of shape (n,)
        The customer of each row, as a number from 0.
    part : int64 array of shape (n,)
        Place of each row's part.
    parts : int
        How many parts there are.

    Returns
    -------
    float64 array of shape (parts,)
        1 for a part without rows, or without residuals.

    Examples
    --------
    >>> twice = np.array([0.5, 0.5, -0.5, -0.5])
    >>> part = np.zeros(4, np.int64)
    >>> design_effect(twice, np.array([0, 0, 1, 1]), part=part, parts=1).tolist()
    [2.0]
    """
    size = int(groups.max()) + 1 if groups.size else 1
    # one number for each pair of part and cluster
    cell, inverse = np.unique(part * size + groups, return_inverse=True)
    of_cluster = np.bincount(inverse, weights=residual, minlength=cell.size) ** 2
    between = np.bincount(cell // size, weights=of_cluster, minlength=parts)
    within = np.bincount(part, weights=residual**2, minlength=parts)
    ratio = np.ones(parts)
    np.divide(between, within, out=ratio, where=within > 0.0)
    return np.maximum(ratio, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependence:
    """How much more an estimate varies because rows of one customer are not independent."""

    effect: float
    """Its variance over that of independent rows, at least 1."""
    degrees: float
    """Degrees of freedom: only the share of the variance beyond independent rows is estimated;
    infinite without such a share."""

    @property
    def reach(self) -> float:
        """Standard errors that an interval at 95 % reaches to each side."""
        return float(stdtrit(self.degrees, 0.5 + CONFIDENCE / 2))

    @property
    def confidence(self) -> float:
        """Confidence of a normal interval that reaches as far."""
        return self.normal_confidence(CONFIDENCE)

    def normal_confidence(self, confidence: float) -> float:
        """Return the confidence of a normal interval that reaches as far as one of t at another."""
        return float(2.0 * ndtr(stdtrit(self.degrees, 0.5 + confidence / 2)) - 1.0)


def dependence(own: Floats, groups: Ints | None) -> Dependence:
    """Measure the dependence of rows by what each row adds to an estimate.

    Source: Rao and Scott 1992, Biometrics 48, 577-585; degrees of freedom after Satterthwaite
    1946, Biometrics Bulletin 2, 110-114.

    `own`: float64 array of shape (n,); residual of each row, times its weight in the estimate.
    `groups`: int64 array of shape (n,); the customer of each row, as a number from 0; without it
    rows are independent.

    Examples
    --------
    >>> dependence(np.array([0.5, 0.5, -0.5, -0.5]), np.array([0, 0, 1, 1])).effect
    3.0
    """
    alone = float((own**2).sum())
    if groups is None or not alone:
        return Dependence(effect=1.0, degrees=np.inf)
    total = np.bincount(groups, weights=own)
    square = float((total**2).sum())
    clusters = square**2 / max(float((total**4).sum()), np.finfo(np.float64).tiny)
    excess = max(square / alone - 1.0, 0.0) * clusters / max(clusters - 1.0, 0.5)
    share = excess / (1.0 + excess)
    degrees = max(clusters - 1.0, 1.0) / share**2 if share else np.inf
    return Dependence(effect=1.0 + excess, degrees=degrees)


def effective_customers(groups: Ints) -> float:
    """Count how many equally active customers the rows are worth, if a customer's are all alike.

    It is (sum_c m_c)^2 / sum_c m_c^2, with m_c the rows of customer c: as many as there are
    customers where all have as many rows, fewer where some have most of them.

    Source: Kish 1965, Survey Sampling, Wiley (effective size of unequal weights).

    Examples
    --------
    >>> effective_customers(np.array([0, 0, 1, 1])), effective_customers(np.array([0, 0, 0, 1]))
    (2.0, 1.6)
    """
    return effective_size(np.bincount(groups))


def effective_size(count: npt.ArrayLike) -> float:
    """Return Kish's effective number of groups from the number of rows of each; 0 without rows."""
    sizes = np.asarray(count, np.float64)
    return float(sizes.sum() ** 2 / (sizes**2).sum()) if sizes.any() else 0.0
