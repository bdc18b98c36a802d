"""Ranking figures of a bootstrap sample, from rows that were put in order once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Rows from the highest score to the lowest.

    Attributes
    ----------
    order : int64 array of shape (n,)
    ends : int64 array
        The last place of each score: rows of equal score are flagged together.
    positive : int64 array of shape (n,)
        0 or 1, in this order.
    """

    order: Ints
    ends: Ints
    positive: Ints

    @classmethod
    def of(cls, target: Floats, score: Floats) -> Self:
        """Put rows in order."""
        order = np.argsort(-score, kind="stable")
        ends = np.append(np.flatnonzero(np.diff(score[order])), order.size - 1)
        return cls(order=order, ends=ends, positive=target[order].astype(np.int64))

    def found(self, times: Ints) -> tuple[Ints, Ints]:
        """Count positives, and negatives, down to each score.

        Parameters
        ----------
        times : int64 array of shape (n,)
            How often each row is there.
        """
        weight = times[self.order]
        hits = np.cumsum(weight * self.positive)[self.ends]
        return hits, np.cumsum(weight)[self.ends] - hits


def auc(hits: Ints, false: Ints) -> float:
    """Area under the ROC curve through counted points; ties count half."""
    width = np.diff(false, prepend=0)
    height = hits + np.concatenate([[0], hits[:-1]])
    return float(width @ height) / (2.0 * float(hits[-1]) * float(false[-1]))


def average_precision(hits: Ints, false: Ints) -> float:
    """Mean precision over the positives, each at its own score."""
    flagged = np.maximum(hits + false, 1)  # a sample may hold no row of the highest score
    # no BLAS: its threads cost more than such a sum, and may change its last bit
    return float((np.diff(hits, prepend=0) / hits[-1] * (hits / flagged)).sum())


def recall_at_fpr(hits: Ints, false: Ints, *, fpr: float) -> float:
    """Share of positives above the lowest score whose false-positive rate is <= `fpr`."""
    within = hits[false / false[-1] <= fpr]
    return float(within[-1] / hits[-1]) if within.size else 0.0
