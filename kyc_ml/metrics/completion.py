"""How soon positives become known: the share of the final ones that is known at each age."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from kyc_ml.metrics.arrays import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportingCurve:
    """Share of the positives of a window that is known at an age.

    Attributes
    ----------
    delay : float64 array of shape (k,)
        Delays at which positives became known, rising.
    known : float64 array of shape (k,)
        Share known from that delay on; 1 at the last one.
    """

    delay: Floats
    known: Floats

    @classmethod
    def of(cls, delay: Floats, age: Floats, *, weight: Floats | None = None) -> Self:
        """Estimate the curve from the positives known so far.

        A positive is seen only if its delay is at most its age: young rows show only the
        quick ones (right truncation). In reverse time that is late entry, and the product
        limit is the likeliest curve without any assumption on its shape, given that reporting
        does not change over time. Some rows must be old enough for every delay of the window;
        otherwise the curve is relative to the longest delay that could be seen.

        Source: Lagakos, Barraj and De Gruttola 1988, Biometrika 75, 515-523; Kalbfleisch and
        Lawless 1989, Journal of the American Statistical Association 84, 360-372.

        Parameters
        ----------
        delay, age : float64 arrays of shape (n,)
            Of each positive, in one unit, ``0 <= delay <= age``.
        weight : float64 array of shape (n,), optional
            How often each counts, as in a bootstrap sample.
        """
        counted = np.ones(delay.size) if weight is None else weight.astype(np.float64)
        times, place = np.unique(delay, return_inverse=True)
        events = np.bincount(place, weights=counted, minlength=times.size)
        old = np.argsort(age, kind="stable")
        gone = np.append(0.0, np.cumsum(counted[old]))
        # those with a delay up to d whose age is at least d
        at_risk = np.cumsum(events) - gone[np.searchsorted(age[old], times, side="left")]
        kept = np.ones(times.size)
        np.divide(at_risk - events, at_risk, out=kept, where=events > 0.0)
        # the share known at a delay is the chance of no later one
        known = np.append(np.cumprod(kept[::-1])[::-1][1:], 1.0)[: times.size]
        return cls(delay=times, known=known)

    def at(self, age: Floats) -> Floats:
        """Return the share known at each age, 0 to 1, shape (n,); 1 without any positive."""
        if not self.delay.size:
            return np.ones(age.size)
        return np.append(0.0, self.known)[np.searchsorted(self.delay, age, side="right")]
