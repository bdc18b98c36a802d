"""How well a score separates positives from negatives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats
from sklearn.metrics import roc_auc_score, roc_curve

from kyc_ml.metrics import ranking
from kyc_ml.metrics.arrays import Floats, Ints
from kyc_ml.metrics.intervals import NORMAL_REACH
from kyc_ml.metrics.resampling import bootstrap, percentile_interval


def auc_interval(target: Floats, score: Floats) -> tuple[float, float, float]:
    """Area under the ROC curve with its DeLong interval at 95 %, clipped to [0, 1].

    Source: DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44, 837-845; mid-ranks after
    Sun and Xu 2014, IEEE Signal Processing Letters 21, 1389-1393.

    Returns
    -------
    auc, low, high : float
    """
    auc = float(roc_auc_score(target, score))
    reach = NORMAL_REACH * np.sqrt(_delong_variance(*_placements(target, score)))
    return auc, max(0.0, auc - reach), min(1.0, auc + reach)


@dataclass(frozen=True, slots=True, kw_only=True)
class AucDifference:
    """How much higher one score's area under the ROC curve is than another's on the same rows.

    Attributes
    ----------
    difference : float
    low, high : float
        Its DeLong interval at 95 %, within [-1, 1]. Rows count as independent: where customers
        have several, it is too narrow.
    p_value : float
        Two-sided, of no difference; NaN where the difference has no variance.
    """

    difference: float
    low: float
    high: float
    p_value: float


def compare_aucs(target: Floats, first: Floats, second: Floats) -> AucDifference:
    """Compare two correlated areas under the ROC curve: `first` less `second`.

    The variance of the difference is that of the differences of placement values, which
    equals var(first) + var(second) - 2 cov, and is exactly 0 for equal scores.

    Source: as for `auc_interval`.

    Parameters
    ----------
    target : array of 0 and 1, shape (n,), of both classes
    first, second : arrays of shape (n,)
    """
    wins, losses = (
        one - other
        for one, other in zip(_placements(target, first), _placements(target, second), strict=True)
    )
    difference = float(wins.mean())
    error = np.sqrt(_delong_variance(wins, losses))
    reach = NORMAL_REACH * error
    return AucDifference(
        difference=difference,
        low=max(-1.0, difference - reach),
        high=min(1.0, difference + reach),
        p_value=float(2.0 * stats.norm.sf(abs(difference) / error)) if error > 0 else np.nan,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AucDecline:
    """Test whether a score ranks worse than it did at first.

    Attributes
    ----------
    initial, current : float
        Areas under the ROC curve.
    error : float
        Standard error of the current one, after DeLong.
    statistic : float
        (initial - current) / error.
    p_value : float
        One-sided, of no decline.
    """

    initial: float
    current: float
    error: float
    statistic: float
    p_value: float


def auc_decline(target: Floats, score: Floats, *, initial: float) -> AucDecline:
    """Test whether the area under the ROC curve fell below that of the initial validation.

    The initial area counts as known without error: where it came from few positives, a
    decline is reported too easily. Rows count as independent.

    Source: ECB 2019, Instructions for reporting the validation results of internal models,
    section 2.5.4.

    Parameters
    ----------
    target : array of 0 and 1, shape (n,)
    score : array of shape (n,)
    initial : float, in [0, 1]

    Returns
    -------
    AucDecline
        Figures are NaN where a class has fewer than two rows. Where the current area has no
        variance, as that of equal scores, the p-value is 0 or 1, or 0.5 for equal areas.
    """
    if min((target == 1).sum(), (target == 0).sum()) < 2:
        return AucDecline(
            initial=initial, current=np.nan, error=np.nan, statistic=np.nan, p_value=np.nan
        )
    wins, losses = _placements(target, score)
    current, error = float(wins.mean()), float(np.sqrt(_delong_variance(wins, losses)))
    fall = initial - current
    # without variance any fall is certain; its sign is kept
    certain = float(np.copysign(np.inf, fall)) if fall else 0.0
    statistic = fall / error if error > 0.0 else certain
    return AucDecline(
        initial=initial,
        current=current,
        error=error,
        statistic=statistic,
        p_value=float(stats.norm.sf(statistic)),
    )


def _placements(target: Floats, score: Floats) -> tuple[Floats, Floats]:
    """Share of negatives below each positive, and of positives above each negative; ties half."""
    above, below = score[target == 1], score[target == 0]
    ranks = stats.rankdata(np.concatenate([above, below]))
    wins = (ranks[: above.size] - stats.rankdata(above)) / below.size
    losses = 1.0 - (ranks[above.size :] - stats.rankdata(below)) / above.size
    return wins, losses


def _delong_variance(wins: Floats, losses: Floats) -> float:
    """Add the variances of both classes' means; NaN where a class has one row."""
    parts = (
        float(np.var(share, ddof=1)) / share.size if share.size > 1 else np.nan
        for share in (wins, losses)
    )
    return sum(parts)


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
    return ranking.ks(*_corners(target, score)) if _both(target) else np.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialAuc:
    """Area under the first piece of the ROC curve.

    Attributes
    ----------
    raw : float
        In [0, max_fpr].
    standardised : float
        McClish's: 0.5 by chance, 1 for a perfect score.
    """

    raw: float
    standardised: float


def partial_auc(target: Floats, score: Floats, *, max_fpr: float) -> PartialAuc:
    """Compute the area under the ROC curve up to a false-positive rate.

    Few institutions can review more than a few of a hundred rows: the rest of the curve says
    nothing of use. NaN where a class has no rows.

    Source: McClish 1989, Medical Decision Making 9, 190-195.

    Parameters
    ----------
    max_fpr : float, in (0, 1]
    """
    if not 0.0 < max_fpr <= 1.0:
        msg = f"partial_auc: max_fpr must be in (0, 1], got {max_fpr}"
        raise ValueError(msg)
    if not _both(target):
        return PartialAuc(raw=np.nan, standardised=np.nan)
    raw = ranking.partial_auc_of_ranks(*_corners(target, score), max_fpr=max_fpr)
    scaled = ranking.standardise_partial_auc(raw, max_fpr=max_fpr)
    return PartialAuc(raw=raw, standardised=scaled)


def _both(target: Floats) -> bool:
    return 0 < int(target.sum()) < target.size


def _corners(target: Floats, score: Floats) -> tuple[Ints, Ints]:
    """Count positives and negatives down to each corner of the ROC curve."""
    return ranking.Ranking.of(target, score).found(np.ones(target.size, np.int64))
