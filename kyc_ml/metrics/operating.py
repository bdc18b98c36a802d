"""A score in use: at a frozen threshold, and at what can be reviewed."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from kyc_ml.metrics import ranking
from kyc_ml.metrics.arrays import Floats, Ints, Mask
from kyc_ml.metrics.capacity import CapturedPositives, ReviewQueue
from kyc_ml.metrics.clustering import dependence
from kyc_ml.metrics.intervals import jeffreys_interval
from kyc_ml.metrics.resampling import bootstrap, percentile_interval

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
        each with its interval at 95 %. NaN where the share is of no rows.
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


def threshold_error(
    target: Floats, score: Floats, groups: Ints | None = None, *, threshold: float
) -> float:
    """Return the variance of the false-positive rate of a threshold on the rows it was chosen on.

    On other rows its rate differs from the one it was chosen for by the errors of both.

    Parameters
    ----------
    groups : int64 array of shape (n,), optional
        The customer of each row, as a number from 0; without it rows are independent.
    """
    negative = target == 0
    flagged = score[negative] >= threshold
    if not flagged.size:
        return np.nan
    rate = float(flagged.mean())
    found = dependence(
        np.asarray(flagged - rate, np.float64), None if groups is None else groups[negative]
    )
    return float(rate * (1.0 - rate) * found.effect / flagged.size)


def rates_at_threshold(
    target: Floats,
    score: Floats,
    groups: Ints | None = None,
    *,
    threshold: float,
    error: float = 0.0,
) -> ThresholdRates:
    """Compute recall, realised false-positive rate and precision at a frozen threshold.

    Intervals are those of `rate_interval`. Those of recall and false-positive rate also allow for
    the error of the threshold: of recall, along the slope of the ROC curve at the threshold.

    Parameters
    ----------
    target : array of 0 and 1, shape (n,)
    score : array of shape (n,)
    groups : int64 array of shape (n,), optional
        The customer of each row, as a number from 0; without it rows are independent.
    threshold : float
        Such as that of `threshold_at_fpr` on rows of validation.
    error : float
        Variance of its false-positive rate; see `threshold_error`. 0 for a threshold that was not
        chosen on rows.
    """
    flagged, positive = score >= threshold, target == 1
    slope = _roc_slope(score[positive], score[~positive], threshold)
    rates = {
        name: rate_interval(hit[among], None if groups is None else groups[among], error=extra)
        for name, hit, among, extra in (
            ("recall", flagged, positive, slope**2 * error),
            ("fpr", flagged, ~positive, error),
            ("precision", positive, flagged, 0.0),
        )
    }
    return ThresholdRates(
        threshold=threshold,
        rows=int(target.size),
        flagged=int(flagged.sum()),
        **{
            f"{name}{end}": value
            for name, found in rates.items()
            for end, value in zip(("", "_low", "_high"), found, strict=True)
        },
    )


def rate_interval(
    hit: Mask, groups: Ints | None = None, *, error: float = 0.0
) -> tuple[float, float, float]:
    """Return the share of rows that are hit, with its interval at 95 %; NaN without rows.

    The interval is Jeffreys' of counts divided by the design effect of customers.

    Source: Brown, Cai and DasGupta 2001, Statistical Science 16, 101-133; see `dependence`.

    Parameters
    ----------
    hit : bool array of shape (n,)
    groups : int64 array of shape (n,), optional
        The customer of each row, as a number from 0; without it rows are independent.
    error : float
        A variance that is added to that of the share.
    """
    if not hit.size:
        return np.nan, np.nan, np.nan
    rate = float(hit.mean())
    found = dependence(np.asarray(hit - rate, np.float64), groups)
    binomial = rate * (1.0 - rate)
    rows = hit.size / found.effect
    if binomial:
        rows = binomial / (binomial / rows + error)
    low, high = jeffreys_interval([rate * rows], [rows], confidence=found.confidence)
    return rate, float(low[0]), float(high[0])


def _roc_slope(positives: Floats, negatives: Floats, threshold: float) -> float:
    """Return the slope of the ROC curve at a threshold, over a fifth of its rate to each side."""
    if not (positives.size and negatives.size and np.isfinite(threshold)):
        return 0.0
    rate = float((negatives >= threshold).mean())
    if not 0.0 < rate < 1.0:
        return 0.0
    ends = np.quantile(negatives, [1.0 - min(1.2 * rate, 1.0), 1.0 - 0.8 * rate])
    steps = [(class_[:, None] >= ends).mean(axis=0) for class_ in (positives, negatives)]
    rise, run = (float(step[0] - step[1]) for step in steps)
    return rise / run if run > 0.0 else 0.0


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
    drawn = bootstrap(figures, groups[order], draws=draws, seed=seed)
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

    drawn = bootstrap(figures, groups[order], draws=draws, seed=seed)
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
