"""Shifts of the log-odds by segment, shrunk towards 0 where a segment has few outcomes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
import scipy  # its parts load at their first use
from scipy.special import expit, logit

from kyc_ml.metrics import Floats, Ints, Names, jeffreys_interval

Values = Sequence[str | None] | Names


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentShift:
    """The outcomes of one segment, and the weight that its own rate gets."""

    name: str
    rows: int
    positives: int
    expected: float
    """Positives that the map of the whole expects among the rows."""
    credibility: float
    """float, in [0, 1]; weight of the segment's own rate; the rest is the whole's."""
    shift: float
    """Added to the log-odds of the whole's probability."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segments:
    """Shifts by segment; they do not change the order of rows within a segment."""

    feature: str
    """Category feature that holds the segment."""
    strength: float | None
    """Pseudo-observations K in favour of the whole; None where the segments gave no sign of
    differing: K is then infinite and every shift 0."""
    shifts: tuple[SegmentShift, ...]
    """Tuple of SegmentShift, by name."""

    def shift(self, proba: Floats, segment: Values) -> Floats:
        """Multiply the odds of each row by the factor of its segment; unknown segments have 1.

        Written so that rounding cannot change the order: every step is monotone in `proba`.
        """
        known = {each.name: place for place, each in enumerate(self.shifts)}
        place = [known.get(each, -1) for each in _as_objects(segment, n=proba.size)]
        # an unknown segment has place -1: the last factor, 1
        factor = np.append(np.exp([each.shift for each in self.shifts]), 1.0)[place]
        # rows with a factor of 1 keep their probability to the last bit
        moved = factor != 1.0
        p, factor = proba[moved], factor[moved]
        shifted = proba.copy()
        shifted[moved] = 1.0 / (1.0 + (1.0 - p) / (p * factor))
        return shifted

    def to_frame(self) -> pd.DataFrame:
        """Return the evidence of each segment, and the weight of the overall rate.

        One row a segment: segment, rows, positives, expected, event_rate with its 95 % interval
        ci_low, ci_high (Jeffreys), credibility, borrowed (1 - credibility), shift.
        """
        table = pd.DataFrame([asdict(each) for each in self.shifts])
        low, high = jeffreys_interval(table["positives"], table["rows"])
        return pd.DataFrame(
            {
                "segment": table["name"],
                "rows": table["rows"],
                "positives": table["positives"],
                "expected": table["expected"],
                "event_rate": table["positives"] / table["rows"],
                "ci_low": low,
                "ci_high": high,
                "credibility": table["credibility"],
                "borrowed": 1.0 - table["credibility"],
                "shift": table["shift"],
            }
        )

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Read what `dataclasses.asdict` wrote; raise ValueError if a name comes twice."""
        shifts = tuple(SegmentShift(**each) for each in content["shifts"])
        if len({str(each.name) for each in shifts}) < len(shifts):
            raise ValueError("a segment of the calibration is given twice")
        return cls(**{**content, "shifts": shifts})


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentRows:
    """The segment of each of n rows."""

    feature: str
    names: tuple[str, ...]
    """Tuple of str, sorted."""
    codes: Ints
    """int array of shape (n,); place in `names`; -1 is missing."""
    strength: float | None
    """Pseudo-observations in favour of the whole; None is to estimate it."""

    @classmethod
    def of(cls, segment: Values, *, n: int, feature: str, strength: float | None) -> Self:
        """Return the number of the segment of each of n rows.

        Raises ValueError if there are not n values.
        """
        values = _as_objects(segment, n=n)
        present = ~pd.isna(values)
        names, place = np.unique(values[present].astype(str), return_inverse=True)
        codes = np.full(n, -1, np.int64)
        codes[present] = place
        return cls(feature=feature, names=tuple(names.tolist()), codes=codes, strength=strength)

    @property
    def values(self) -> Names:
        """The name of each row's segment; None is missing."""
        # code -1 picks the last entry, None
        return np.array([*self.names, None], dtype=object)[self.codes]

    def take(self, rows: Ints) -> SegmentRows:
        """Return the segments of these rows."""
        return SegmentRows(
            feature=self.feature,
            names=self.names,
            codes=self.codes[rows],
            strength=self.strength,
        )


def fit_segments(proba: Floats, target: Floats, segments: SegmentRows) -> Segments:
    """Shift each segment so that its mean probability is its credibility estimate.

    A segment with O positives and E expected ones among its n rows is shifted by the
    delta, one and only one, for which ::

        mean expit(logit(p) + delta) = Z O / n + (1 - Z) E / n,   Z = w / (w + K),

    ``w = sum p (1 - p)`` being the information of its rows, for rare events nearly E: K is
    K expected positives of pseudo-observations with the overall rate.
    K = 0 gives the segment its own rate, an infinite K the overall rate. A rate of 0
    or 1 that results is kept half an observation away from it.

    It assumes that a segment's log-odds differ by a constant: not its slope.

    Source: Bühlmann 1967, ASTIN Bulletin 4, 199-207, for Z; Bühlmann and Straub 1970, as in
    Bühlmann and Gisler 2005, A Course in Credibility Theory, chapter 4, for the weights w.

    `proba`, `target`: arrays of shape (n,); probabilities of the whole's map, inside (0, 1), and
    outcomes.
    """
    strength = segments.strength
    if strength is None:
        strength = estimate_strength(proba, target, segments)
    shifts = []
    for code, name in enumerate(segments.names):
        own = segments.codes == code
        if own.any():
            shifts.append(_fit_shift(name, proba[own], target[own], strength=strength))
    return Segments(
        feature=segments.feature,
        strength=strength if math.isfinite(strength) else None,
        shifts=tuple(shifts),
    )


def estimate_strength(proba: Floats, target: Floats, segments: SegmentRows) -> float:
    """Estimate K = 1 / tau2 from differences beyond sampling noise; infinite if none.

    With ``X = (O - E) / w``, a segment's shift to first order, of variance tau2 + 1 / w,
    over s segments of total weight W the unbiased estimate, cut at 0, is ::

        tau2 = (sum w (X - mean X)^2 - (s - 1)) / (W - sum w^2 / W).

    Source: Bühlmann and Straub 1970, as in Bühlmann and Gisler 2005, section 4.8.
    """
    present = segments.codes >= 0
    codes, s = segments.codes[present], len(segments.names)
    weight = np.bincount(codes, (proba * (1.0 - proba))[present], minlength=s)
    beyond = np.bincount(codes, (target - proba)[present], minlength=s)
    # in one statement: both right sides need the weights before the filter
    weight, beyond = weight[weight > 0], beyond[weight > 0]
    if weight.size < 2:
        return math.inf
    total = float(weight.sum())
    shift = beyond / weight
    spread = float((weight * (shift - beyond.sum() / total) ** 2).sum()) - (weight.size - 1)
    tau2 = spread / (total - float((weight**2).sum()) / total)
    return 1.0 / tau2 if tau2 > 0.0 else math.inf


def _fit_shift(name: str, proba: Floats, target: Floats, *, strength: float) -> SegmentShift:
    n, positives, expected = target.size, int(target.sum()), float(proba.sum())
    weight = float((proba * (1.0 - proba)).sum())
    credibility = 0.0 if math.isinf(strength) else weight / (weight + strength)
    rate, usual = positives / n, expected / n
    wanted = credibility * rate + (1.0 - credibility) * usual
    # the target stays half an outcome away from 0 and 1, where the shift would be infinite
    wanted = max(wanted, min(usual, 0.5 / n))
    wanted = min(wanted, max(usual, 1.0 - 0.5 / n))
    return SegmentShift(
        name=name,
        rows=n,
        positives=positives,
        expected=expected,
        credibility=credibility,
        shift=_solve_shift(proba, wanted) if credibility > 0.0 else 0.0,
    )


def _solve_shift(proba: Floats, wanted: float) -> float:
    """Find the shift of the log-odds that brings the mean probability to `wanted`."""
    log_odds = logit(proba)
    # shifted so that the highest, or the lowest, is the one wanted, the mean is past it
    low = float(logit(wanted) - log_odds.max()) - 1e-6
    high = float(logit(wanted) - log_odds.min()) + 1e-6
    return float(
        scipy.optimize.brentq(
            lambda shift: float(expit(log_odds + shift).mean()) - wanted, low, high, xtol=1e-12
        )
    )


def _as_objects(segment: Values, *, n: int) -> Names:
    values = np.asarray(segment, dtype=object)
    if values.shape != (n,):
        raise ValueError(f"there must be one segment a row, got {values.shape} for {n} rows")
    return values
