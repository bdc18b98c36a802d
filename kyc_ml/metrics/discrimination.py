"""How well a score separates positives from negatives."""

import numpy as np
from sklearn.metrics import roc_curve

from kyc_ml.metrics import ranking
from kyc_ml.metrics.arrays import Floats, Ints
from kyc_ml.metrics.resampling import bootstrap, percentile_interval


def recall_at_fpr(target: Floats, score: Floats, *, fpr: float) -> float:
    """Share of positives above the lowest threshold whose false-positive rate is <= `fpr`."""
    # every threshold: those on a straight piece of the curve may be the last one allowed
    false_rate, recall, _ = roc_curve(target, score, drop_intermediate=False)
    return float(recall[false_rate <= fpr].max())


def average_precision_interval(
    target: Floats, score: Floats, groups: Ints, *, draws: int, seed: int
) -> tuple[float, float]:
    """Percentile interval at 95 % of average precision, by drawing customers.

    The sample's own average precision is a little above the true one where positives are few,
    and so is its interval: a percentile interval does not correct for it.
    Source: Boyd, Eng and Page 2013, ECML PKDD, LNCS 8190, 451-466, on the bootstrap next to
    other intervals of it.

    Parameters
    ----------
    groups : int64 array of shape (n,)
        The customer of each row; see `draw_customers`.

    Returns
    -------
    low, high : float
        NaN where fewer than two samples hold a positive.
    """
    ranked = ranking.Ranking.of(target, score)

    def figure(times: Ints) -> Floats:
        hits, false = ranked.found(times)
        some = hits.size and hits[-1]
        return np.array([ranking.average_precision(hits, false) if some else np.nan])

    low, high = percentile_interval(bootstrap(figure, groups, draws=draws, seed=seed))
    return float(low[0]), float(high[0])


def ks_statistic(target: Floats, score: Floats) -> float:
    """Largest distance between both classes' distributions of the score, in [0, 1].

    Where high scores are the risky ones, it is the largest recall less false-positive rate.
    NaN where a class has no rows.

    Source: Kolmogorov 1933 and Smirnov 1948.
    """
    return ranking.ks(*_corners(target, score)) if (0 < int(target.sum()) < target.size) else np.nan


def _corners(target: Floats, score: Floats) -> tuple[Ints, Ints]:
    """Count positives and negatives down to each corner of the ROC curve."""
    return ranking.Ranking.of(target, score).found(np.ones(target.size, np.int64))
