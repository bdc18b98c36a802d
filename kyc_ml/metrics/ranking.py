"""Ranking figures of a bootstrap sample, from rows that were put in order once."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from kyc_ml.metrics.arrays import Floats, Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Rows from the highest score to the lowest.

    Only a score that a positive has bends the ROC curve: its rows are flagged together, and
    between two such scores the curve is flat. So a sample is counted where they begin and
    end, and a rare class costs little more than the sum of the sample.

    Attributes
    ----------
    order : int64 array of shape (n,)
    positives : int64 array of shape (n_positives,)
        Their places in the order.
    last : int64 array of shape (m,)
        The last positive, as a place in `positives`, of each score that a positive has.
    begins, ends : int64 arrays of shape (m,)
        Rows before each of these scores, and up to it.
    """

    order: Ints
    positives: Ints
    last: Ints
    begins: Ints
    ends: Ints

    @classmethod
    def of(cls, target: Floats, score: Floats) -> Self:
        """Put rows in order."""
        order = np.argsort(-score, kind="stable")
        positives = np.flatnonzero(target[order] == 1)
        bounds = np.concatenate([[0], np.flatnonzero(np.diff(score[order])) + 1, [order.size]])
        block = np.searchsorted(bounds, positives, side="right") - 1
        last = np.flatnonzero(np.diff(block, append=-1))
        return cls(
            order=order,
            positives=positives,
            last=last,
            begins=bounds[block[last]],
            ends=bounds[block[last] + 1],
        )

    def found(self, times: Ints) -> tuple[Ints, Ints]:
        """Count positives, and negatives, down to each corner of the ROC curve.

        Parameters
        ----------
        times : int64 array of shape (n,)
            Number of times that each row is in the sample.

        Returns
        -------
        hits, false : int64 arrays of shape (2 m + 1,)
            Before and at each score that a positive has, highest first, and of all rows.
        """
        weight = times[self.order]
        flagged = np.concatenate([[0], np.cumsum(weight)])
        at = np.cumsum(weight[self.positives])[self.last]
        before = np.concatenate([[0], at[:-1]]) if at.size else at
        hits = np.append(np.column_stack([before, at]).ravel(), at[-1:].sum())
        rows = np.column_stack([flagged[self.begins], flagged[self.ends]]).ravel()
        return hits, np.append(rows, flagged[-1]) - hits


def auc(hits: Ints, false: Ints) -> float:
    """Area under the ROC curve through counted points; ties count half."""
    width = np.diff(false, prepend=0)
    height = hits + np.concatenate([[0], hits[:-1]])
    return float(width @ height) / (2.0 * float(hits[-1]) * float(false[-1]))


def partial_auc_of_ranks(hits: Ints, false: Ints, *, max_fpr: float) -> float:
    """Area under the ROC curve up to a false-positive rate, in [0, `max_fpr`]."""
    rate = np.concatenate([[0.0], false / false[-1]])
    recall = np.concatenate([[0.0], hits / hits[-1]])
    inside = int(np.searchsorted(rate, max_fpr, side="right"))
    area = float(np.trapezoid(recall[:inside], rate[:inside]))
    if inside < rate.size:
        share = (max_fpr - rate[inside - 1]) / (rate[inside] - rate[inside - 1])
        edge = recall[inside - 1] + share * (recall[inside] - recall[inside - 1])
        area += float((max_fpr - rate[inside - 1]) * (recall[inside - 1] + edge) / 2)
    return area


def standardise_partial_auc(area: float, *, max_fpr: float) -> float:
    """Scale a partial area so that chance has 0.5 and a perfect score 1.

    Source: McClish 1989, Medical Decision Making 9, 190-195.
    """
    chance = max_fpr**2 / 2
    return 0.5 * (1.0 + (area - chance) / (max_fpr - chance))


def ks(hits: Ints, false: Ints) -> float:
    """Largest distance between both classes' distributions of the score, in [0, 1]."""
    return float(np.abs(hits / hits[-1] - false / false[-1]).max())


def average_precision(hits: Ints, false: Ints) -> float:
    """Mean precision over the positives, each at its own score."""
    flagged = np.maximum(hits + false, 1)  # a sample may hold no row of the highest score
    # no BLAS: its threads cost more than such a sum, and may change its last bit
    return float((np.diff(hits, prepend=0) / hits[-1] * (hits / flagged)).sum())


def recall_at_fpr_of_ranks(hits: Ints, false: Ints, *, fpr: float) -> float:
    """Share of positives above the lowest score whose false-positive rate is <= `fpr`."""
    within = hits[false / false[-1] <= fpr]
    return float(within[-1] / hits[-1]) if within.size else 0.0
