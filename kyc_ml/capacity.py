"""Which rows are reviewed: each day's highest scores first, or all whose review pays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def pays(proba: Floats, *, review_cost: float, miss_cost: float) -> npt.NDArray[np.bool_]:
    """Tell which rows' expected loss is worth a review; it takes calibrated probabilities.

    Source: Bahnsen, Stojanovic, Aouada and Ottersten 2014, SIAM Data Mining, 677-685 (Bayes
    minimum risk).

    Examples
    --------
    >>> pays(np.array([0.009, 0.01, 0.5]), review_cost=1.0, miss_cost=100.0).tolist()
    [False, True, True]
    """
    return np.asarray(proba * miss_cost >= review_cost)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewQueue:
    """Rows in the order of their review, put in order once for any capacity and any sample.

    What is decided on a day can be reviewed until the next day of decisions. Rows of equal
    score share the reviews left for them evenly: their order does not matter.

    Attributes
    ----------
    order : int64 array of shape (n,)
        Rows by day, then by score, highest first.
    block : int64 array of shape (n,)
        Which rows, in that order, share a day and a score; numbers from 0 rise by 1.
    block_day : int64 array, one a block
        The block's day, as a place in `days`.
    first_block : int64 array, one a day of decisions
    days : int64 array, one a day of decisions
        Days until the next day of decisions, or until the end.
    """

    order: Ints
    block: Ints
    block_day: Ints
    first_block: Ints
    days: Ints

    @classmethod
    def of(cls, score: Floats, day: Ints, *, end_day: int) -> Self:
        """Put rows in order.

        Parameters
        ----------
        score : float64 array of shape (n,)
        day : int64 array of shape (n,)
            Day of each decision, counted from any day.
        end_day : int
            The day after the period that the rows come from.
        """
        order = np.lexsort((-score, day))
        days, place = np.unique(day[order], return_inverse=True)
        begins = np.ones(order.size, np.bool_)
        begins[1:] = (np.diff(place) != 0) | (np.diff(score[order]) != 0)
        block_day = place[begins]
        end = max(end_day, int(days[-1]) + 1) if days.size else end_day
        return cls(
            order=order,
            block=np.cumsum(begins) - 1,
            block_day=block_day,
            first_block=np.searchsorted(block_day, np.arange(days.size)),
            days=np.diff(np.append(days, end)),
        )

    def reviewed(self, per_day: float, times: Ints | None = None) -> Floats:
        """Give the share of each row that is reviewed, 0 to 1.

        Parameters
        ----------
        per_day : float
            Reviews a day.
        times : int64 array of shape (n,), optional
            How often each row is there, in a bootstrap sample; once where it is not given.

        Examples
        --------
        >>> queue = ReviewQueue.of(np.array([0.9, 0.5, 0.5]), np.array([0, 0, 0]), end_day=1)
        >>> queue.reviewed(2.0).tolist()
        [1.0, 0.5, 0.5]
        """
        shares = np.zeros(self.order.size)
        if not self.order.size:
            return shares
        weight = None if times is None else times[self.order]
        size = np.bincount(self.block, weights=weight).astype(np.float64)
        before = np.cumsum(size) - size
        left = per_day * self.days[self.block_day] - (
            before - before[self.first_block][self.block_day]
        )
        share = np.clip(left / np.maximum(size, 1.0), 0.0, 1.0)
        shares[self.order] = share[self.block]
        return shares
