"""Margin to probability: monotone maps fitted on rows of their own, kept as numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold

from kyc_ml.config import CalibrationConfig
from kyc_ml.errors import DatasetError

Floats = npt.NDArray[np.float64]
Method = Literal["none", "platt", "isotonic"]


class ReversedRankingError(DatasetError):
    """A map would rank the rows the other way round than the model does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrator:
    """A monotone map from margin to probability.

    Attributes
    ----------
    method : {'none', 'platt', 'isotonic'}
        none: ``expit(margin)`` · platt: ``expit(slope * margin + intercept)`` ·
        isotonic: straight lines between knots, flat outside them.
    slope, intercept : float
    knots, levels : tuple of float
        Margins, increasing, and their probabilities, not decreasing.
    """

    method: Method
    slope: float = 1.0
    intercept: float = 0.0
    knots: tuple[float, ...] = ()
    levels: tuple[float, ...] = ()

    def probability(self, margin: Floats) -> Floats:
        """Map margins of shape (n,) to probabilities of shape (n,)."""
        if self.method == "isotonic":
            return np.asarray(np.interp(margin, self.knots, self.levels))
        return np.asarray(expit(self.slope * margin + self.intercept))

    def to_dict(self) -> dict[str, Any]:
        """Give the map as numbers that JSON keeps to the last bit."""
        return {
            "method": self.method,
            "slope": self.slope,
            "intercept": self.intercept,
            "knots": list(self.knots),
            "levels": list(self.levels),
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Read what `to_dict` wrote."""
        numbers = {"knots": tuple(content["knots"]), "levels": tuple(content["levels"])}
        return cls(**{**content, **numbers})


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationChoice:
    """The chosen map and the log loss of every candidate, lowest first.

    Attributes
    ----------
    candidates : DataFrame
        method, log_loss (cross-validated on the calibration rows).
    """

    calibrator: Calibrator
    candidates: pd.DataFrame


def fit_calibrator(margin: Floats, target: Floats, *, method: Method) -> Calibrator:
    """Fit one map on margins and outcomes of shape (n,).

    Isotonic levels stay half an observation away from 0 and 1: no row of the future is
    impossible or certain because none of n rows was an exception.

    Raises
    ------
    ReversedRankingError
        If a Platt slope is not positive.
    """
    if method == "none":
        return Calibrator(method="none")
    if method == "platt":
        fit = LogisticRegression(C=np.inf, max_iter=1000).fit(margin[:, None], target)
        slope, intercept = float(fit.coef_[0, 0]), float(fit.intercept_[0])
        if slope <= 0:
            msg = (
                f"the Platt slope is {slope:.3g}, but must be above 0: the model ranks the "
                "calibration rows the wrong way round; check the labels of that period"
            )
            raise ReversedRankingError(msg)
        return Calibrator(method="platt", slope=slope, intercept=intercept)
    least = 0.5 / target.size
    fit = IsotonicRegression(y_min=least, y_max=1.0 - least).fit(margin, target)
    knots, levels = fit.X_thresholds_, fit.y_thresholds_
    return Calibrator(
        method="isotonic",
        knots=tuple(float(knot) for knot in knots),
        levels=tuple(float(level) for level in levels),
    )


def cross_calibrate(margin: Floats, target: Floats, *, method: Method, folds: int) -> Floats:
    """Give each row the probability of a map fitted on the other folds."""
    proba = np.empty_like(margin)
    for fitted, held in StratifiedKFold(n_splits=folds).split(margin[:, None], target):
        calibrator = fit_calibrator(margin[fitted], target[fitted], method=method)
        proba[held] = calibrator.probability(margin[held])
    return proba


def to_probability(margin: Floats) -> Floats:
    """Take log-odds as they are: ``1 / (1 + exp(-margin))``."""
    return Calibrator(method="none").probability(margin)


def choose_calibrator(
    margin: Floats, target: Floats, *, config: CalibrationConfig
) -> CalibrationChoice:
    """Compare the candidates by cross-validated log loss and fit the best on all rows.

    A candidate that would reverse the ranking in some fold has an infinite loss and is
    listed last.

    Raises
    ------
    DatasetError
        If a fold would lack one of the classes, or no candidate keeps the ranking.
    """
    positives = int(target.sum())
    if min(positives, target.size - positives) < config.folds:
        msg = (
            f"the calibration part must hold at least {config.folds} rows of each class, got "
            f"{positives} positives of {target.size}: widen splits.calibration_days"
        )
        raise DatasetError(msg)
    losses: dict[Method, float] = {}
    for method in config.candidates:
        try:
            proba = cross_calibrate(margin, target, method=method, folds=config.folds)
        except ReversedRankingError:
            losses[method] = np.inf
        else:
            losses[method] = float(log_loss(target, proba))
    best = min(losses, key=losses.__getitem__)
    candidates = pd.DataFrame({"method": list(losses), "log_loss": list(losses.values())})
    return CalibrationChoice(
        calibrator=fit_calibrator(margin, target, method=best),
        candidates=candidates.sort_values("log_loss", ignore_index=True),
    )
