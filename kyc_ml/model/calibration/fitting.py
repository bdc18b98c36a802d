"""Fit one map on margins and outcomes."""

from dataclasses import replace

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from kyc_ml.errors import DatasetError, require_both_classes
from kyc_ml.metrics import Floats, Ints, Predictions
from kyc_ml.model.calibration.maps import Calibrator, Method
from kyc_ml.model.calibration.segments import SegmentRows, fit_segments
from kyc_ml.model.calibration.venn_abers import fit_venn_abers


class ReversedRankingError(DatasetError):
    """A map would rank the rows the other way round than the model does."""


def fit_calibrator(
    margin: Floats, target: Floats, *, method: Method, segments: SegmentRows | None = None
) -> Calibrator:
    """Fit one map on margins and outcomes of shape (n,), in any order of rows.

    No probability is exactly 0 or 1. Isotonic levels stay half an observation away from
    them: no row of the future is impossible or certain because none of n rows was an
    exception. Venn-Abers levels stay an observation of n + 2 away. The others have the
    whole line of log-odds, which is cut at +-36, where float64 ends before 1.

    Raises ReversedRankingError if a Platt slope is not positive, or both beta slopes are 0;
    DatasetError if a margin is not finite, or, but for 'none', there is one class only.
    """
    _require_evidence(margin, target, method=method)
    order = canonical_order(margin, target, segments)
    margin, target = margin[order], target[order]
    calibrator = _fit_whole(margin, target, method)
    if segments is None:
        return calibrator
    shifts = fit_segments(calibrator.probability(margin), target, segments.take(order))
    return replace(calibrator, segments=shifts)


def canonical_order(margin: Floats, target: Floats, segments: SegmentRows | None) -> Ints:
    """Order rows by what they hold, so that the order they came in changes no last bit."""
    keys = () if segments is None else (segments.codes,)
    return np.lexsort((*keys, target, margin))


def _require_evidence(margin: Floats, target: Floats, *, method: Method) -> None:
    odd = int((~np.isfinite(margin)).sum())
    if odd:
        msg = f"margins must be finite to be calibrated, got {odd} of {margin.size} that are not"
        raise DatasetError(msg)
    if method != "none":
        require_both_classes(
            f"a {method} map", int(target.sum()), target.size, cure="widen the calibration part"
        )


def _fit_whole(margin: Floats, target: Floats, method: Method) -> Calibrator:
    if method == "none":
        return Calibrator(method="none")
    if method == "platt":
        return _fit_platt(margin, target)
    if method == "beta":
        return _fit_beta(margin, target)
    if method == "venn_abers":
        steps, levels = fit_venn_abers(margin, target)
        return Calibrator(method=method, knots=_plain(steps), levels=_plain(levels))
    # levels of 0 or 1 would have an infinite log loss
    least = 0.5 / target.size
    fit = IsotonicRegression(y_min=least, y_max=1.0 - least).fit(margin, target)
    return Calibrator(
        method="isotonic", knots=_plain(fit.X_thresholds_), levels=_plain(fit.y_thresholds_)
    )


def _fit_platt(margin: Floats, target: Floats) -> Calibrator:
    """Fit slope and intercept by maximum likelihood, without Platt's smoothed outcomes.

    Smoothing adds one expected positive: much where there are few. Source: Platt 1999, in
    Advances in Large Margin Classifiers, 61-74.
    """
    fit = LogisticRegression(C=np.inf, max_iter=1000).fit(margin[:, None], target)
    slope, intercept = float(fit.coef_[0, 0]), float(fit.intercept_[0])
    if slope <= 0:
        raise ReversedRankingError(
            f"the Platt slope is {slope:.3g}, but must be above 0: the model ranks the "
            "calibration rows the wrong way round; check the labels of that period"
        )
    return Calibrator(method="platt", slope=slope, intercept=intercept)


def _fit_beta(margin: Floats, target: Floats) -> Calibrator:
    """Fit the three parameters by maximum likelihood, both slopes at least 0.

    The log-odds a ln p - b ln(1 - p) + c of p = expit(margin) have slope
    a (1 - p) + b p in the margin: monotone exactly where a, b >= 0. a = b is Platt's map.

    Where all margins lie on one side of 0, as for rare events, one of the slopes hardly
    shows in the rows and may be far off: outside the margins it was fitted on the map goes
    on with slope 1 (convention), not with that one.

    Source: Kull, Silva Filho and Flach 2017, AISTATS, PMLR 54, 623-631.
    """
    # ln p and -ln(1 - p): `logaddexp` keeps digits where p itself would be rounded to 0 or 1
    columns = np.column_stack([-np.logaddexp(0.0, -margin), np.logaddexp(0.0, margin)])
    centre, scale = columns.mean(axis=0), columns.std(axis=0)
    # a constant column would be divided by 0
    scale = np.where(scale > 0.0, scale, 1.0)
    design = np.column_stack([(columns - centre) / scale, np.ones_like(margin)])

    def loss(weights: Floats) -> tuple[float, Floats]:
        log_odds = design @ weights
        gap = (expit(log_odds) - target) / target.size
        return float((np.logaddexp(0.0, log_odds) - target * log_odds).mean()), design.T @ gap

    rate = float(target.mean())
    start = np.array([1.0, 1.0, np.log(rate / (1.0 - rate))])
    fit = minimize(
        loss,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, None), (0.0, None), (None, None)],
        options={"maxiter": 2000, "maxfun": 4000, "ftol": 1e-15, "gtol": 1e-10},
    )
    if fit.x[:2].max() <= 1e-9:
        raise ReversedRankingError(
            "both beta slopes are 0, but one must be above it: the model ranks the "
            "calibration rows the wrong way round; check the labels of that period"
        )
    # back to the scale of the margins
    slopes = fit.x[:2] / scale
    return Calibrator(
        method="beta",
        slope=float(slopes[0]),
        upper_slope=float(slopes[1]),
        intercept=float(fit.x[2] - slopes @ centre),
        knots=(float(margin.min()), float(margin.max())),
    )


def _plain(numbers: Floats) -> tuple[float, ...]:
    return tuple(float(number) for number in numbers)


def calibrate_later(score: Floats, target: Floats, tested: Floats) -> Predictions:
    """Return a baseline's test rows with Platt probabilities, fitted on calibration rows.

    So its probabilities are as recent as the model's. A baseline that ranks the calibration
    rows in the wrong direction has no information: its probability is their common rate.
    """
    try:
        proba = fit_calibrator(score, target, method="platt").probability(tested)
    except ReversedRankingError:
        proba = np.full(tested.size, target.mean())
    return Predictions(score=tested, probability=proba)
