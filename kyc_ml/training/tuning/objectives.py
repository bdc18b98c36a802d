"""The objectives of tuning: one number from outcomes, margins and days."""

from typing import Final

from sklearn.metrics import average_precision_score, log_loss

from kyc_ml.config import Objective, TuningConfig
from kyc_ml.metrics import Floats, Ints, ReviewQueue, pays
from kyc_ml.model import to_probability

MAXIMISED: Final = frozenset({"average_precision", "recall_at_capacity"})
"""Objectives that are better when larger; the others are better when smaller."""


def compute_objective(
    target: Floats,
    margin: Floats,
    day: Ints,
    *,
    end_day: int,
    objective: Objective,
    config: TuningConfig,
) -> float:
    """Compute the objective on rows with both classes.

    `target`, `margin`: float64 arrays of shape (n,); 0 or 1; log-odds, without calibration.
    `day`: int64 array of shape (n,); day of each decision, counted from any day.
    `end_day`: the day after the period that the rows come from.
    """
    if objective == "average_precision":
        return float(average_precision_score(target, margin))
    if objective == "log_loss":
        return float(log_loss(target, to_probability(margin), labels=[0.0, 1.0]))
    if objective == "recall_at_capacity":
        return recall_at_capacity(
            target, margin, day, end_day=end_day, per_day=config.capacity_per_day
        )
    return expected_cost(
        target,
        to_probability(margin),
        review_cost=config.review_cost,
        miss_cost=config.miss_cost,
    )


def recall_at_capacity(
    target: Floats, margin: Floats, day: Ints, *, end_day: int, per_day: float
) -> float:
    """Return the share of positives reviewed if each day reviews its highest margins.

    What is decided on a day can be reviewed until the next day of decisions: a day's rows
    have `per_day` reviews for each day until then, the last until `end_day`. Rows of equal
    margin share the reviews left for them evenly: their order does not matter.

    Examples
    --------
    >>> import numpy as np
    >>> target, margin = np.array([1.0, 0.0, 0.0, 1.0]), np.array([0.1, 0.9, 0.2, 0.3])
    >>> recall_at_capacity(target, margin, np.array([0, 0, 1, 1]), end_day=2, per_day=1.0)
    0.5
    """
    queue = ReviewQueue.of(margin, day, end_day=end_day)
    return float(target @ queue.reviewed(per_day) / target.sum())


def expected_cost(target: Floats, proba: Floats, *, review_cost: float, miss_cost: float) -> float:
    """Return the mean cost of a row if every row is reviewed whose expected loss exceeds the cost.

    Examples
    --------
    >>> import numpy as np
    >>> target, proba = np.array([1.0, 1.0, 0.0, 0.0]), np.array([0.5, 0.01, 0.3, 0.0])
    >>> expected_cost(target, proba, review_cost=1.0, miss_cost=10.0)  # 2 reviews, 1 missed
    3.0
    """
    reviewed = pays(proba, review_cost=review_cost, miss_cost=miss_cost)
    missed = target[~reviewed].sum()
    return float((review_cost * reviewed.sum() + miss_cost * missed) / target.size)
