"""Compute the figures of both models and their differences, with paired intervals."""

from collections.abc import Callable
from typing import Final

import numpy as np
import pandas as pd

from kyc_ml import metrics
from kyc_ml.registry import Scores
from kyc_ml.validation.comparison.rows import LaterRows
from kyc_ml.validation.comparison.settings import ComparisonSettings

BOOTSTRAP: Final = "bootstrap by customer"
DELONG: Final = "DeLong, rows independent"
LOWER: Final = frozenset({"log_loss", "brier", "expected_cost"})
"""Figures for which a lower value is better; for the others a higher value is better."""


def recall_name(per_day: float) -> str:
    """Return the name of the recall at a capacity.

    Examples
    --------
    >>> recall_name(50.0)
    'recall_at_50_a_day'
    """
    return f"recall_at_{per_day:g}_a_day"


def objective_figure(settings: ComparisonSettings) -> str:
    """Return the name of the figure that decides the verdict."""
    if settings.objective == "recall_at_capacity":
        return recall_name(settings.capacities[0])
    return settings.objective


class Figures:
    """One model's figures of the evaluated rows, or of any sample of them.

    Ranking figures use the margin, because a calibrator may give equal probabilities; the others
    use the calibrated probability. `expected_cost` is the mean cost of a row if every row is
    reviewed whose review pays.
    """

    def __init__(self, rows: LaterRows, scores: Scores, settings: ComparisonSettings) -> None:
        margin, proba = (values[rows.evaluated] for values in (scores.margin, scores.probability))
        target = rows.target
        self._target = target
        self._ranking = metrics.Ranking.of(target, margin)
        self._queue = metrics.ReviewQueue.of(margin, rows.day, end_day=rows.end_day)
        self._capacities = settings.capacities
        reviewed = metrics.pays(
            proba, review_cost=settings.review_cost, miss_cost=settings.miss_cost
        )
        self._means = {
            "log_loss": metrics.log_losses(target, proba),
            "brier": (proba - target) ** 2,
            "expected_cost": metrics.compute_costs(
                target, reviewed, review_cost=settings.review_cost, miss_cost=settings.miss_cost
            ),
        }

    def of(self, times: metrics.Ints) -> dict[str, float]:
        """Compute every figure.

        `times` is how often the sample contains each evaluated row; it must contain both classes.
        """
        hits, false = self._ranking.found(times)
        positives = times * self._target
        return {
            "auc": metrics.auc(hits, false),
            "average_precision": metrics.average_precision(hits, false),
            "recall_at_5_percent_fpr": metrics.recall_at_fpr_of_ranks(hits, false, fpr=0.05),
            **{
                recall_name(per_day): _mean(self._queue.reviewed(per_day, times), positives)
                for per_day in self._capacities
            },
            **{name: _mean(values, times) for name, values in self._means.items()},
        }


def _mean(values: metrics.Floats, weight: metrics.Floats | metrics.Ints) -> float:
    """Return a weighted mean, without BLAS: its threads cost time and may change the last bit."""
    return float((values * weight).sum() / weight.sum())


def compute_differences(
    rows: LaterRows,
    challenger: Scores,
    champion: Scores,
    *,
    settings: ComparisonSettings,
    progress: Callable[[int, int], None],
) -> tuple[pd.DataFrame, int]:
    """Compute figures of both models and their differences.

    Intervals are those of `paired_differences`, for the AUC also DeLong's.

    Returns `metrics`: see `Comparison.metrics`.
    Returns `skipped`: samples of one class only, which have no figures.
    """
    one, other = (Figures(rows, scores, settings) for scores in (challenger, champion))
    everything = np.ones(rows.target.size, np.int64)
    found, before = one.of(everything), other.of(everything)

    def differences(times: metrics.Ints) -> dict[str, float]:
        first, second = one.of(times), other.of(times)
        return {name: first[name] - second[name] for name in first}

    paired = metrics.paired_differences(
        differences,
        target=rows.target,
        customers=rows.customers,
        seed=settings.seed,
        draws=settings.samples,
        progress=progress,
    )
    lines = [
        _line(name, before[name], value, paired.low[name], paired.high[name], method=BOOTSTRAP)
        for name, value in found.items()
    ]
    delong = metrics.compare_aucs(
        rows.target,
        challenger.margin[rows.evaluated],
        champion.margin[rows.evaluated],
        metrics.number_customers(rows.customers),
    )
    lines.insert(
        1, _line("auc", before["auc"], found["auc"], delong.low, delong.high, method=DELONG)
    )
    return pd.DataFrame(lines), paired.skipped


def _line(
    name: str, champion: float, challenger: float, low: float, high: float, *, method: str
) -> dict[str, object]:
    return {
        "figure": name,
        "champion": champion,
        "challenger": challenger,
        "difference": challenger - champion,
        "low": float(low),
        "high": float(high),
        "better": "lower" if name in LOWER else "higher",
        "method": method,
    }
