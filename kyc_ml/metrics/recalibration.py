"""Calibration intercept and slope (Cox): 0 and 1 for calibrated probabilities."""

from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.special import expit, logit

from kyc_ml.metrics.arrays import Floats, Ints
from kyc_ml.metrics.clustering import dependence

_NEWTON_STEPS = 50
_SINGULAR = 1e12


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationLine:
    """Intercept and slope of the outcome on predicted log-odds; calibrated are 0 and 1.

    Attributes
    ----------
    intercept, slope : float
    intercept_low, intercept_high, slope_low, slope_high : float
        Wald intervals at 95 %, by customer.
    p_value : float
        Of the likelihood-ratio test, with two degrees of freedom, of the line 0, 1; its statistic
        is divided by the mean design effect of the coefficients and compared with F, as that
        effect is estimated.
    """

    intercept: float
    intercept_low: float
    intercept_high: float
    slope: float
    slope_low: float
    slope_high: float
    p_value: float


def calibration_line(target: Floats, proba: Floats) -> tuple[float, float]:
    """Fit ``logit P(target) = intercept + slope * logit(proba)``; calibrated are 0 and 1.

    A slope below 1 says that probabilities are too extreme, above 1 that they are too timid.

    Source: Cox 1958, Biometrika 45, 562-565.

    Returns
    -------
    intercept, slope : float
        NaN where no finite line is likeliest: one class, one probability, or a threshold
        that separates the classes.
    """
    line = fit_calibration_line(target, proba)
    return line.intercept, line.slope


def fit_calibration_line(
    target: Floats, proba: Floats, groups: Ints | None = None
) -> CalibrationLine:
    """Fit the line of `calibration_line`, with intervals and a test of calibration.

    Source: Cox 1958, Biometrika 45, 562-565; the joint test after Miller, Hui and Tierney
    1991, Statistics in Medicine 10, 1213-1226; design effects after Rao and Scott 1987, Annals
    of Statistics 15, 385-397.

    Parameters
    ----------
    target : array of 0 and 1, shape (n,)
    proba : array of shape (n,), in (0, 1)
    groups : int64 array of shape (n,), optional
        The customer of each row, as a number from 0; without it rows are independent.

    Returns
    -------
    CalibrationLine
        All NaN where no finite line is likeliest.
    """
    design = np.column_stack([np.ones_like(proba), logit(proba)])
    line, curvature = _likeliest_line(target, design)
    reach = np.full(2, np.nan)
    p_value = np.nan
    if curvature is not None:
        inverse = np.linalg.inv(curvature)
        # what each row adds to the coefficients
        own = (target - expit(design @ line))[:, None] * (design @ inverse)
        found = [dependence(each, groups) for each in own.T]
        effect = np.array([each.effect for each in found])
        degrees = min(each.degrees for each in found)
        reach = np.sqrt(np.diag(inverse) * effect) * [each.reach for each in found]
        gain = _loss(target, design, np.array([0.0, 1.0])) - _loss(target, design, line)
        # rounding can make the gain of a perfect line slightly negative
        ratio = max(gain, 0.0) / _mean_effect(own, groups)
        p_value = float(
            stats.f.sf(ratio, 2, degrees) if np.isfinite(degrees) else stats.chi2.sf(2 * ratio, 2)
        )
    low, high = line - reach, line + reach
    return CalibrationLine(
        intercept=float(line[0]),
        intercept_low=float(low[0]),
        intercept_high=float(high[0]),
        slope=float(line[1]),
        slope_low=float(low[1]),
        slope_high=float(high[1]),
        p_value=p_value,
    )


def _mean_effect(own: Floats, groups: Ints | None) -> float:
    """Return the mean design effect of both coefficients and all their sums, at least 1."""
    if groups is None:
        return 1.0
    total = np.column_stack([np.bincount(groups, weights=each) for each in own.T])
    alone, together = own.T @ own, total.T @ total
    if np.linalg.cond(alone) > _SINGULAR:
        return 1.0
    return max(float(np.trace(np.linalg.solve(alone, together))) / 2.0, 1.0)


def _likeliest_line(target: Floats, design: Floats) -> tuple[Floats, Floats | None]:
    """Find the line by Newton's method, and the curvature there; NaN and None without one."""
    line = np.array([0.0, 1.0])
    for _ in range(_NEWTON_STEPS):
        fitted = expit(design @ line)
        curvature = design.T @ (design * (fitted * (1.0 - fitted))[:, None])
        # constant or separable: no line is the likeliest one
        if np.linalg.cond(curvature) > _SINGULAR:
            break
        step = np.linalg.solve(curvature, design.T @ (target - fitted))
        if np.abs(step).max() < 1e-8:
            return line, curvature
        here = _loss(target, design, line)
        while _loss(target, design, line + step) > here and np.abs(step).max() > 1e-9:
            step /= 2  # a whole step may overshoot
        line += step
    return np.full(2, np.nan), None


def _loss(target: Floats, design: Floats, line: Floats) -> float:
    fitted = design @ line
    return float((np.logaddexp(0.0, fitted) - target * fitted).sum())
