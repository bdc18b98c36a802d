"""Ranking and calibration figures; `compute_*` returns tidy tables that plots only draw."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats
from scipy.special import expit, logit
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    log_loss,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

Floats = npt.NDArray[np.float64]

_CONFIDENCE = 0.95
_Z = float(stats.norm.ppf(0.5 + _CONFIDENCE / 2))
_NEWTON_STEPS = 50
_SINGULAR = 1e12


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """How well probabilities rank and how far they can be believed.

    Intervals are at 95 %. `average_precision` has prevalence as its floor, not 0.5.
    Figures of a part with one class only are NaN where they are undefined.
    """

    rows: int
    positives: int
    prevalence: float
    auc: float
    auc_low: float
    auc_high: float
    average_precision: float
    recall_at_5_percent_fpr: float
    log_loss: float
    brier: float
    calibration_error: float
    observed_over_expected: float
    observed_over_expected_low: float
    observed_over_expected_high: float

    def as_dict(self) -> dict[str, float]:
        """Give the figures by name."""
        return asdict(self)


def compute_quality(target: Floats, score: Floats, proba: Floats) -> Quality:
    """Compute ranking figures of `score` and calibration figures of `proba`.

    Parameters
    ----------
    target : array of 0 and 1, shape (n,)
    score : array of shape (n,)
        What ranks, such as the margin: a calibrator may give equal probabilities.
    proba : array of shape (n,), in [0, 1]
    """
    positives = int(target.sum())
    both = 0 < positives < target.size
    auc, low, high = auc_interval(target, score) if both else (np.nan, np.nan, np.nan)
    expected = float(proba.sum())
    count_low, count_high = poisson_interval(positives)
    return Quality(
        rows=int(target.size),
        positives=positives,
        prevalence=positives / target.size if target.size else np.nan,
        auc=auc,
        auc_low=low,
        auc_high=high,
        average_precision=float(average_precision_score(target, score)) if both else np.nan,
        recall_at_5_percent_fpr=recall_at_fpr(target, score, fpr=0.05) if both else np.nan,
        log_loss=float(log_loss(target, proba, labels=[0.0, 1.0])),
        brier=float(brier_score_loss(target, proba)),
        calibration_error=calibration_error(target, proba),
        observed_over_expected=positives / expected,
        observed_over_expected_low=count_low / expected,
        observed_over_expected_high=count_high / expected,
    )


def auc_interval(target: Floats, score: Floats) -> tuple[float, float, float]:
    """Area under the ROC curve with its DeLong interval at 95 %, clipped to [0, 1].

    Source: DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44, 837-845; mid-ranks after
    Sun and Xu 2014, IEEE Signal Processing Letters 21, 1389-1393.

    Returns
    -------
    auc, low, high : float
    """
    auc = float(roc_auc_score(target, score))
    reach = _Z * np.sqrt(_delong_variance(*_placements(target, score)))
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
    reach = _Z * error
    return AucDifference(
        difference=difference,
        low=max(-1.0, difference - reach),
        high=min(1.0, difference + reach),
        p_value=float(2.0 * stats.norm.sf(abs(difference) / error)) if error > 0 else np.nan,
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


def poisson_interval(count: int) -> tuple[float, float]:
    """Exact 95 % interval of a Poisson mean after observing `count`.

    Source: Garwood 1936, Biometrika 28, 437-442.

    Examples
    --------
    >>> [round(bound, 3) for bound in poisson_interval(10)]
    [4.795, 18.39]
    """
    tail = (1.0 - _CONFIDENCE) / 2
    low = float(stats.chi2.ppf(tail, 2 * count) / 2) if count else 0.0
    return low, float(stats.chi2.ppf(1.0 - tail, 2 * count + 2) / 2)


def jeffreys_interval(positives: npt.ArrayLike, rows: npt.ArrayLike) -> tuple[Floats, Floats]:
    """95 % interval of a rate under Jeffreys' prior; closed where all or none are positive.

    Source: Brown, Cai and DasGupta 2001, Statistical Science 16, 101-133.
    """
    hits, n = np.asarray(positives, dtype=np.float64), np.asarray(rows, dtype=np.float64)
    tail = (1.0 - _CONFIDENCE) / 2
    low = np.where(hits == 0, 0.0, stats.beta.ppf(tail, hits + 0.5, n - hits + 0.5))
    high = np.where(hits == n, 1.0, stats.beta.ppf(1.0 - tail, hits + 0.5, n - hits + 0.5))
    return low, high


def compute_reliability(target: Floats, proba: Floats, *, n_bins: int = 20) -> pd.DataFrame:
    """Compare predicted with observed rates in bins of equal mass.

    Rows of equal probability share a bin, so the table does not depend on the order of rows;
    there are fewer bins than asked for where probabilities repeat.

    Returns
    -------
    DataFrame
        One row a bin: bin, n, mean_proba, event_rate, ci_low, ci_high.
    """
    order = np.argsort(proba, kind="stable")
    sorted_proba = proba[order]
    cuts = np.arange(1, n_bins) * proba.size // n_bins
    starts = np.unique(np.searchsorted(sorted_proba, sorted_proba[cuts], side="left"))
    parts = [part for part in np.split(order, starts) if part.size]
    n = np.array([part.size for part in parts])
    hits = np.array([target[part].sum() for part in parts])
    low, high = jeffreys_interval(hits, n)
    return pd.DataFrame(
        {
            "bin": np.arange(1, len(parts) + 1),
            "n": n,
            "mean_proba": [float(proba[part].mean()) for part in parts],
            "event_rate": hits / n,
            "ci_low": low,
            "ci_high": high,
        }
    )


def calibration_error(target: Floats, proba: Floats, *, n_bins: int = 20) -> float:
    """Mean distance of predicted and observed rates over bins of equal mass (ECE)."""
    bins = compute_reliability(target, proba, n_bins=n_bins)
    gap = (bins["event_rate"] - bins["mean_proba"]).abs()
    return float((gap * bins["n"]).sum() / bins["n"].sum())


def calibration_line(target: Floats, proba: Floats) -> tuple[float, float]:
    """Fit ``logit P(target) = intercept + slope * logit(proba)``; calibrated are 0 and 1.

    A slope below 1 says that probabilities are too extreme, above 1 that they are too timid.

    Source: Cox 1958, Biometrika 45, 562-565.

    Returns
    -------
    intercept, slope : float
        NaN where no finite line is likeliest: one class, one probability, or a threshold
        that separates the classes.
    """
    log_odds = logit(proba)
    design = np.column_stack([np.ones_like(log_odds), log_odds])

    def loss(line: Floats) -> float:
        fitted = design @ line
        return float((np.logaddexp(0.0, fitted) - target * fitted).sum())

    line = np.array([0.0, 1.0])
    for _ in range(_NEWTON_STEPS):
        fitted = expit(design @ line)
        curvature = design.T @ (design * (fitted * (1.0 - fitted))[:, None])
        if np.linalg.cond(curvature) > _SINGULAR:
            break
        step = np.linalg.solve(curvature, design.T @ (target - fitted))
        if np.abs(step).max() < 1e-8:
            return float(line[0]), float(line[1])
        while loss(line + step) > loss(line) and np.abs(step).max() > 1e-9:
            step /= 2  # a whole step may overshoot
        line += step
    return np.nan, np.nan


def compute_roc(target: Floats, score: Floats) -> pd.DataFrame:
    """Points of the ROC curve: false_positive_rate, recall."""
    false_rate, recall, _ = roc_curve(target, score)
    return pd.DataFrame({"false_positive_rate": false_rate, "recall": recall})


def compute_precision_recall(target: Floats, score: Floats) -> pd.DataFrame:
    """Points of the precision-recall curve: recall, precision."""
    precision, recall, _ = precision_recall_curve(target, score)
    return pd.DataFrame({"recall": recall, "precision": precision})


def compute_score_distribution(
    target: Floats, proba: Floats, *, n_bins: int = 40, floor: float = 1e-5
) -> pd.DataFrame:
    """Share of positives and of negatives in bins of probability, equally wide in log-odds.

    Bins reach from the lowest to the highest probability; what lies below `floor` counts in
    the first bin, and what lies above 1 - `floor` in the last, so that a few extreme
    probabilities do not take all the room.

    Returns
    -------
    DataFrame
        One row a bin and label: low, high, label ("negative" or "positive"), share. The shares
        of a label sum to 1; a label without rows is absent.
    """
    if not proba.size:
        return pd.DataFrame({"low": [], "high": [], "label": [], "share": []})
    low, high = logit(np.clip([proba.min(), proba.max()], floor, 1.0 - floor))
    if low == high:  # one probability only: give its bins some width
        low, high = low - 1.0, high + 1.0
    edges = expit(np.linspace(low, high, n_bins + 1))
    place = np.clip(np.searchsorted(edges, proba, side="right") - 1, 0, n_bins - 1)
    parts = []
    for label, here in (("negative", target == 0), ("positive", target == 1)):
        if here.any():
            share = np.bincount(place[here], minlength=n_bins) / here.sum()
            parts.append(
                pd.DataFrame({"low": edges[:-1], "high": edges[1:], "label": label, "share": share})
            )
    return pd.concat(parts, ignore_index=True)
