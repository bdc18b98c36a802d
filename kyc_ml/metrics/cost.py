"""Cost of reviews and misses, and savings of a model."""

from dataclasses import dataclass

import numpy as np

from kyc_ml.metrics.arrays import Floats, Mask


def compute_costs(
    target: Floats, flagged: Mask, *, review_cost: float, miss_cost: float | Floats
) -> Floats:
    """Return each row's cost: a review where it is flagged, a miss where a positive is not.

    Source: Bahnsen, Stojanovic, Aouada and Ottersten 2014, SIAM Data Mining, 677-685.

    Parameters
    ----------
    target : array of 0 and 1, shape (n,)
    flagged : bool array of shape (n,)
    miss_cost : float, or array of shape (n,)
        Such as the amount of each transaction; in the unit of `review_cost`.
    """
    return np.asarray(np.where(flagged, review_cost, miss_cost * target), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Savings:
    """Cost of the flags of a model, and the cost without a model.

    Attributes
    ----------
    cost, cost_of_none, cost_of_all : float
        Sums over rows: of the flags, without any review, and with every row reviewed.
    savings : float
        Share of the cheaper way without a model that the flags save: 1 at best, below 0
        where it would be better to do without; NaN where that way costs nothing.
    """

    cost: float
    cost_of_none: float
    cost_of_all: float
    savings: float


def compute_savings(
    target: Floats, flagged: Mask, *, review_cost: float, miss_cost: float | Floats
) -> Savings:
    """Compare the cost of flags with the cheaper of reviewing nothing and everything.

    Source: as for `compute_costs`.

    Parameters
    ----------
    target, flagged, review_cost, miss_cost
        See `compute_costs`.
    """
    every = np.ones(target.size, np.bool_)
    cost, none, whole = (
        float(compute_costs(target, flags, review_cost=review_cost, miss_cost=miss_cost).sum())
        for flags in (flagged, ~every, every)
    )
    least = min(none, whole)
    return Savings(
        cost=cost,
        cost_of_none=none,
        cost_of_all=whole,
        savings=(least - cost) / least if least > 0.0 else np.nan,
    )
