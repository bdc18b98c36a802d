"""A score in use: at a frozen threshold, and at what can be reviewed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from kyc_ml.metrics import ranking
from kyc_ml.metrics.arrays import Floats, Ints
from kyc_ml.metrics.capacity import CapturedPositives, ReviewQueue
from kyc_ml.metrics.intervals import jeffreys_interval
from kyc_ml.metrics.resampling import Strata, bootstrap, percentile_interval

RANKING_FIGURES: Final = ("auc", "gini", "ks", "average_precision", "recall_at_fpr", "partial_auc")
"""Figures of `compute_ranking_figures`."""


def threshold_at_fpr(target: Floats, score: Floats, *, fpr: float) -> float:
    """Return the lowest score from which on at most a share `fpr` of negatives is flagged.

    Found on rows of validation, it is to be kept for later ones: see `rates_at_threshold`.

    Returns
    -------
    float
        A score is flagged at or above it. Infinite where even the highest score flags too
        many; NaN without negatives.
    """
    negatives = np.sort(score[target == 0])
    if not negatives.size:
        return np.nan
    candidates = np.unique(score)
    # "left" in the search: a negative at the threshold itself is flagged too
    false = (negatives.size - np.searchsorted(negatives, candidates)) / negatives.size
    allowed = candidates[false <= fpr]
    return float(allowed[0]) if allowed.size else np.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdRates:
    """What a threshold does on rows it was not chosen on.

    Attributes
    ----------
    threshold : float
        Scores at or above it are flagged.
    rows, flagged : int
    recall, fpr, precision : float
        Share of positives flagged, of negatives flagged, and of flagged that are positive;
        each with its interval at 95 % after Jeffreys, for which rows count as independent.
        NaN where the share is of no rows.
    """

    threshold: float
    rows: int
    flagged: int
    recall: float
    recall_low: float
    recall_high: float
    fpr: float
    fpr_low: float
    fpr_high: float
    precision: float
    precision_low: float
    precision_high: float


def rates_at_threshold(target: Floats, score: Floats, *, threshold: float) -> ThresholdRates:
    """Compute recall, realised false-positive rate and precision at a frozen threshold.

    Parameters
    ----------
    target : array of 0 and 1, shape (n,)
    score : array of shape (n,)
    threshold : float
        Such as that of `threshold_at_fpr` on rows of validation.
    """
    flagged, positive = score >= threshold, target == 1
    hits = int((flagged & positive).sum())
    n, chosen, positives = target.size, int(flagged.sum()), int(positive.sum())
    above = np.array([hits, chosen - hits, hits])
    below = np.array([positives, n - positives, chosen])
    some = below > 0
    rate = np.full(3, np.nan)
    np.divide(above, below, out=rate, where=some)
    low, high = (np.where(some, bound, np.nan) for bound in jeffreys_interval(above, below))
    return ThresholdRates(
        threshold=threshold,
        rows=n,
        flagged=chosen,
        recall=float(rate[0]),
        recall_low=float(low[0]),
        recall_high=float(high[0]),
        fpr=float(rate[1]),
        fpr_low=float(low[1]),
        fpr_high=float(high[1]),
        precision=float(rate[2]),
        precision_low=float(low[2]),
        precision_high=float(high[2]),
    )


def compute_operating_points(
    target: Floats,
    score: Floats,
    *,
    per_day: Floats,
    groups: Ints,
    day: Ints | None = None,
    end_day: int | None = None,
    draws: int = 500,
    seed: int = 0,
    strata: Strata | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Compute precision and recall at many capacities, each day's highest scores first.

    Rows of equal score share the reviews left for them evenly. Intervals are percentile
    intervals at 95 % over draws of customers; the capacity stays in every draw.

    Parameters
    ----------
    target : array of 0 and 1, shape (n,)
    score : array of shape (n,)
    per_day : float64 array of shape (k,)
        Reviews a day.
    groups : int64 array of shape (n,)
        The customer of each row; see `draw_customers`.
    day : int64 array of shape (n,), optional
        Day of each decision. Without it all rows are of one day, and a capacity is of all.
    end_day : int, optional
        The day after the period; the day after the last decision where it is not given.

    Returns
    -------
    DataFrame
        One row a capacity: per_day, reviewed (rows in all), precision, precision_low,
        precision_high, recall, recall_low, recall_high. NaN where nothing is reviewed, or
        nothing positive.
    """
    when = np.zeros(target.size, np.int64) if day is None else day
    end = int(when.max(initial=0)) + 1 if end_day is None else end_day
    # rows are sorted once here, so that no draw jumps about in memory
    order = np.lexsort((-score, when))
    queue = ReviewQueue.of(score[order], when[order], end_day=end)
    catches = CapturedPositives.of(queue, target[order])
    positive = target[order].astype(np.int64)

    def figures(times: Ints) -> Floats:
        reviewed, caught = catches.found(per_day, times)
        return np.concatenate(
            [
                np.divide(caught, reviewed, out=np.full(per_day.size, np.nan), where=reviewed > 0),
                caught / (float((times * positive).sum()) or np.nan),
            ]
        )

    whole = np.ones(target.size, np.int64)
    value = figures(whole)
    drawn = bootstrap(
        figures, groups[order], draws=draws, seed=seed, strata=strata, progress=progress
    )
    low, high = percentile_interval(drawn)
    k = per_day.size
    return pd.DataFrame(
        {
            "per_day": per_day,
            "reviewed": catches.found(per_day, whole)[0],
            "precision": value[:k],
            "precision_low": low[:k],
            "precision_high": high[:k],
            "recall": value[k:],
            "recall_low": low[k:],
            "recall_high": high[k:],
        }
    )


def compute_ranking_figures(
    target: Floats,
    score: Floats,
    *,
    groups: Ints,
    max_fpr: float = 0.05,
    draws: int = 500,
    seed: int = 0,
    strata: Strata | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Compute ranking figures with percentile intervals at 95 % over draws of customers.

    Parameters
    ----------
    target : array of 0 and 1, shape (n,)
    score : array of shape (n,)
    groups : int64 array of shape (n,)
        The customer of each row; see `draw_customers`.
    max_fpr : float, in (0, 1)
        False-positive rate of the recall and of the partial area, which is McClish's.

    Returns
    -------
    DataFrame
        One row a figure: figure (of `RANKING_FIGURES`), value, low, high, draws (those of
        both classes). NaN where a class has no rows.
    """
    # sorted once: draws then read memory in order
    order = np.argsort(-score, kind="stable")
    ordered = ranking.Ranking.of(target[order], score[order])

    def figures(times: Ints) -> Floats:
        hits, false = ordered.found(times)
        if not (hits[-1] and false[-1]):
            return np.full(len(RANKING_FIGURES), np.nan)
        area = ranking.auc(hits, false)
        part = ranking.partial_auc_of_ranks(hits, false, max_fpr=max_fpr)
        return np.array(
            [
                area,
                2.0 * area - 1.0,
                ranking.ks(hits, false),
                ranking.average_precision(hits, false),
                ranking.recall_at_fpr_of_ranks(hits, false, fpr=max_fpr),
                ranking.standardise_partial_auc(part, max_fpr=max_fpr),
            ]
        )

    drawn = bootstrap(
        figures, groups[order], draws=draws, seed=seed, strata=strata, progress=progress
    )
    low, high = percentile_interval(drawn)
    return pd.DataFrame(
        {
            "figure": RANKING_FIGURES,
            "value": figures(np.ones(target.size, np.int64)),
            "low": low,
            "high": high,
            "draws": int((~np.isnan(drawn[:, 0])).sum()),
        }
    )
