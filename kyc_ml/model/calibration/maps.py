"""The map from margin to probability, as numbers that JSON keeps."""

from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Self, get_args

import numpy as np
from scipy.special import expit

from kyc_ml.config import CalibrationMethod
from kyc_ml.metrics import Floats
from kyc_ml.model.calibration.segments import Segments, Values
from kyc_ml.model.calibration.venn_abers import apply_steps
from kyc_ml.storage import remember

Method = CalibrationMethod

_FARTHEST: Final = 36.0
"""Log-odds up to which a float64 probability differs from 1: ln(2^52) is 36.04."""
_LEAST: Final = float(expit(-_FARTHEST))
_MOST: Final = float(expit(_FARTHEST))


@remember
def _as_array(numbers: tuple[float, ...]) -> Floats:
    return np.array(numbers, np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrator:
    """A monotone map from margin to probability."""

    method: Method
    """{'none', 'platt', 'beta', 'isotonic', 'venn_abers'}; none: ``expit(margin)`` · platt:
    ``expit(slope * margin + intercept)`` · beta:
    ``expit(slope * ln p - upper_slope * ln(1 - p) + intercept)`` of ``p = expit(margin)`` between
    the two knots, with slope 1 in log-odds outside them · isotonic: straight lines between knots,
    flat outside them · venn_abers: steps, see `fit_venn_abers`."""
    slope: float = 1.0
    intercept: float = 0.0
    upper_slope: float = 1.0
    knots: tuple[float, ...] = ()
    levels: tuple[float, ...] = ()
    """`knots` and `levels`: margins, increasing, and probabilities, not decreasing. The beta map
    keeps the lowest and the highest margin it was fitted on as its knots."""
    segments: Segments | None = None
    """What the odds of a segment are multiplied with."""

    def __repr__(self) -> str:
        facts: list[str] = [self.method]
        if self.knots:
            facts.append(f"{len(self.knots):,} knots")
        if self.segments is not None:
            facts.append(f"{len(self.segments.shifts):,} segments of {self.segments.feature}")
        return f"Calibrator({', '.join(facts)})"

    def probability(self, margin: Floats, segment: Values | None = None) -> Floats:
        """Map margins of shape (n,) to probabilities of shape (n,), never exactly 0 or 1.

        `segment`: sequence of str or None, length n; a segment that is missing or was not
        calibrated has the whole's probability, and so have all rows where it is not given.
        Raises ValueError if a margin is NaN, or there are not as many segments as margins.
        """
        n_nan = int(np.isnan(margin).sum())
        if n_nan:
            raise ValueError(f"margins must be numbers, got {n_nan} NaN of {margin.size}")
        proba = self._of_the_whole(margin)
        if self.segments is not None and segment is not None:
            proba = self.segments.shift(proba, segment)
        # a shift may have reached 0 or 1 again
        return np.clip(proba, _LEAST, _MOST)

    def without_segments(self) -> Self:
        """Return the map without segments."""
        return replace(self, segments=None)

    def _of_the_whole(self, margin: Floats) -> Floats:
        """Map without segments, inside what `probability` lets pass."""
        if self.method == "isotonic":
            proba = np.interp(margin, _as_array(self.knots), _as_array(self.levels))
        elif self.method == "venn_abers":
            proba = apply_steps(margin, _as_array(self.knots), _as_array(self.levels))
        elif self.method == "beta":
            # outside the fitted margins the log-odds continue with slope 1
            inside = np.clip(margin, self.knots[0], self.knots[-1])
            proba = expit(
                self.upper_slope * np.logaddexp(0.0, inside)
                - self.slope * np.logaddexp(0.0, -inside)
                + self.intercept
                + (margin - inside)
            )
        else:
            proba = expit(self.slope * margin + self.intercept)
        return np.clip(proba, _LEAST, _MOST)

    def to_dict(self) -> dict[str, Any]:
        """Return the map as numbers that JSON keeps to the last bit."""
        return {
            "method": self.method,
            "slope": self.slope,
            "intercept": self.intercept,
            "upper_slope": self.upper_slope,
            "knots": list(self.knots),
            "levels": list(self.levels),
            "segments": None if self.segments is None else asdict(self.segments),
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Read what `to_dict` wrote, or wrote before there were beta maps and segments.

        Raises ValueError if the knots or levels are not those of the method. Other content of
        another form raises what Python does: KeyError, TypeError.
        """
        numbers = {"knots": tuple(content["knots"]), "levels": tuple(content["levels"])}
        segments = content.get("segments")
        shifts = None if segments is None else Segments.from_dict(segments)
        return cls(**{**content, **numbers, "segments": shifts})._checked()

    def _checked(self) -> Self:
        """Return the map, or raise ValueError if it could not be applied, or is not monotone."""
        knots, levels = np.array(self.knots, np.float64), np.array(self.levels, np.float64)
        slopes = np.array([self.slope, self.intercept, self.upper_slope], np.float64)
        # a step has a level at each knot, and one before, between and after them
        wanted = {"isotonic": knots.size, "venn_abers": 2 * knots.size + 1}.get(self.method, 0)
        sound = (
            self.method in get_args(Method)
            and np.isfinite([*slopes, *knots, *levels]).all()
            and (np.diff(knots) >= 0.0).all()
            and (np.diff(levels) >= 0.0).all()
            and ((levels >= 0.0) & (levels <= 1.0)).all()
            and levels.size == wanted
            and (knots.size > 0 or self.method in {"none", "platt"})
        )
        if not sound:
            msg = f"the numbers of the calibration are not those of the method {self.method!r}"
            raise ValueError(msg)
        return self


def to_probability(margin: Floats) -> Floats:
    """Take log-odds as they are: ``1 / (1 + exp(-margin))``."""
    return Calibrator(method="none").probability(margin)
