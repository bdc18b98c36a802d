"""Arithmetic on features; missing where it is undefined."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kyc_ml.features.spec import DAY_US, HOUR_US, Formula, Reading

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]

_YEAR_DAYS = 365.25


def evaluate(how: Formula, inputs: Sequence[Floats]) -> Floats:
    """Evaluate a formula on its inputs, each of shape (n,); see `Formula`."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        match how.operation:
            case "ratio":
                return np.where(inputs[1] != 0, inputs[0] / inputs[1], np.nan)
            case "difference":
                return inputs[0] - inputs[1]
            case "z_score":
                gap = inputs[0] - inputs[1]
                return np.where(inputs[2] > 0, gap / inputs[2], np.nan)
            case "equals_zero":
                return np.where(np.isnan(inputs[0]), np.nan, (inputs[0] == 0).astype(np.float64))
            case "shrunk_share":
                known, total, known_all, total_all = inputs
                prior = np.where(total_all > 0, known_all / total_all, np.nan)
                weight = how.parameter
                return np.asarray((known + weight * prior) / (total + weight))


def read_time(reading: Reading, *, decision: Int64s, moment: Int64s, missing: Floats) -> Floats:
    """Turn a moment of a visible row into hours, years or days from the decision.

    Parameters
    ----------
    decision, moment : int64 arrays of shape (n,), microseconds
    missing : float64 array of shape (n,)
        NaN where there is no moment, else 0.
    """
    match reading:
        case "age_hours":
            return (decision - moment) / HOUR_US + missing
        case "years_since":
            return (decision - moment) / (DAY_US * _YEAR_DAYS) + missing
        case "days_until":
            return (moment - decision) / DAY_US + missing
        case _:
            msg = f"reading {reading!r} is not a reading of a time"
            raise ValueError(msg)
