"""Which rows are reviewed: each day's highest scores first, or all whose review pays."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from kyc_ml.metrics.arrays import Floats, Ints, Mask


def pays(proba: Floats, *, review_cost: float, miss_cost: float) -> Mask:
    """Return which rows' expected loss is worth a review; it takes calibrated probabilities.

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
        # lexsort sorts by its last key first: by day, then by falling score
        order = np.lexsort((-score, day))
        days, place = np.unique(day[order], return_inverse=True)
        begins = np.ones(order.size, np.bool_)
        # a block is a tie within a day: its rows are reviewed in equal shares
        begins[1:] = (np.diff(place) != 0) | (np.diff(score[order]) != 0)
        block_day = place[begins]
        end = max(end_day, int(days[-1]) + 1) if days.size else end_day
        return cls(
            order=order,
            block=np.cumsum(begins) - 1,
            block_day=block_day,
            first_block=np.searchsorted(block_day, np.arange(days.size)),
            # capacity of days without rows counts for the last day that has some
            days=np.diff(np.append(days, end)),
        )

    def reviewed(self, per_day: float, times: Ints | None = None) -> Floats:
        """Return the share of each row that is reviewed, 0 to 1.

        Parameters
        ----------
        per_day : float
            Reviews a day.
        times : int64 array of shape (n,), optional
            Number of times that each row is in the sample; once if not given.

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
        before -= before[self.first_block][self.block_day]
        room = per_day * self.days[self.block_day].astype(np.float64)
        shares[self.order] = _share(room, before, size)[self.block]
        return shares


def _share(room: Floats, before: Floats, size: Floats) -> Floats:
    """Return the share of `size` rows that there is room for after those `before` them."""
    # a block of which nothing was drawn has size 0
    return np.clip((room - before) / np.maximum(size, 1.0), 0.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturedPositives:
    """Positives in a queue, ready to be counted for many capacities and samples."""

    queue: ReviewQueue
    positives: Ints
    """int64 array of shape (n_positives,); their places in the queue's order."""
    last: Ints
    """int64 array of shape (m,); the last positive, as a place in `positives`, of each block that
    holds one."""
    day: Ints
    begins: Ints
    ends: Ints
    """`day`, `begins` and `ends`: int64 arrays of shape (m,); the day of each of these blocks, as a
    place in the queue's days; rows of the queue before it, and up to it."""
    opens: Ints
    """int64 array, one a day of decisions and one more; rows of the queue before each day, and all
    of them."""

    @classmethod
    def of(cls, queue: ReviewQueue, target: Floats) -> Self:
        """Find the positives, target of shape (n,), in a queue."""
        positives = np.flatnonzero(target[queue.order] == 1)
        bounds = np.append(0, np.cumsum(np.bincount(queue.block)))
        block = queue.block[positives]
        last = np.flatnonzero(np.diff(block, append=-1))
        mine = block[last]
        return cls(
            queue=queue,
            positives=positives,
            last=last,
            day=queue.block_day[mine],
            begins=bounds[mine],
            ends=bounds[mine + 1],
            opens=bounds[np.append(queue.first_block, bounds.size - 1)],
        )

    def found(self, per_day: Floats, times: Ints) -> tuple[Floats, Floats]:
        """Count reviews, and the positives among them, of a sample.

        `per_day`: float64 array of shape (k,); reviews a day.
        `times`: int64 array of shape (n,); number of times that each row is in the sample.
        Returns `reviewed, caught`: float64 arrays of shape (k,).

        Examples
        --------
        >>> queue = ReviewQueue.of(np.array([0.9, 0.5, 0.5]), np.array([0, 0, 0]), end_day=1)
        >>> catches = CapturedPositives.of(queue, np.array([0.0, 1.0, 0.0]))
        >>> reviewed, caught = catches.found(np.array([1.0, 2.0]), np.ones(3, np.int64))
        >>> reviewed.tolist(), caught.tolist()
        ([1.0, 2.0], [0.0, 0.5])
        """
        weight = times[self.queue.order]
        rows = np.concatenate([[0], np.cumsum(weight)])
        before = (rows[self.begins] - rows[self.opens][self.day]).astype(np.float64)
        size = (rows[self.ends] - rows[self.begins]).astype(np.float64)
        hits = np.diff(np.cumsum(weight[self.positives])[self.last], prepend=0)
        days = self.queue.days.astype(np.float64)
        reviewed = [np.minimum(room * days, np.diff(rows[self.opens])).sum() for room in per_day]
        caught = [(hits * _share(room * days[self.day], before, size)).sum() for room in per_day]
        return np.array(reviewed), np.array(caught)
