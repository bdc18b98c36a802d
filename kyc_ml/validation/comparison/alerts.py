"""Count what the alerts of each model find and cost."""

from typing import Final

import numpy as np
import pandas as pd

from kyc_ml.metrics import Floats, ReviewQueue, pays
from kyc_ml.registry import Scores
from kyc_ml.validation.comparison.rows import LaterRows
from kyc_ml.validation.comparison.settings import ComparisonSettings

WHAT_PAYS: Final = "all that pays"
"""Rule that reviews every row whose expected loss is at least the cost of a review."""


def compute_alerts(
    rows: LaterRows, scores: dict[str, Scores], *, settings: ComparisonSettings
) -> pd.DataFrame:
    """Count alerts and the positives found, for each capacity and for `WHAT_PAYS`.

    See `Comparison.alerts`.
    """
    day, target = rows.day, rows.target
    days = max(rows.end_day, int(day.max()) + 1) - int(day.min())
    reviewed = {who: _reviewed(rows, found, settings) for who, found in scores.items()}
    rules = [f"{per_day:g} a day" for per_day in settings.capacities]
    return pd.DataFrame(
        [
            {"rule": rule, "model": who, **_count(shares[place], target, days, settings)}
            for place, rule in enumerate([*rules, WHAT_PAYS])
            for who, shares in reviewed.items()
        ]
    )


def _reviewed(rows: LaterRows, found: Scores, settings: ComparisonSettings) -> list[Floats]:
    """Return the reviewed share of each evaluated row: for each capacity, then for `WHAT_PAYS`."""
    queue = ReviewQueue.of(found.margin[rows.evaluated], rows.day, end_day=rows.end_day)
    worth = pays(
        found.probability[rows.evaluated],
        review_cost=settings.review_cost,
        miss_cost=settings.miss_cost,
    )
    shares = [queue.reviewed(per_day) for per_day in settings.capacities]
    return [*shares, worth.astype(np.float64)]


def _count(
    share: Floats, target: Floats, days: int, settings: ComparisonSettings
) -> dict[str, float]:
    alerts, found = float(share.sum()), float(share @ target)
    cost, avoided = settings.review_cost * alerts, settings.miss_cost * found
    return {
        "alerts": alerts,
        "alerts_a_day": alerts / days,
        "positives_found": found,
        "precision": found / alerts if alerts else np.nan,
        "recall": found / float(target.sum()),
        "cost_of_reviews": cost,
        "loss_avoided": avoided,
        "net": avoided - cost,
    }
