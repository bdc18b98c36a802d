"""Two predictors on the same rows: the chance in a difference of their figures."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from kyc_ml.metrics.arrays import Floats, Ints
from kyc_ml.metrics.resampling import bootstrap, number_customers

Name = TypeVar("Name", bound=Hashable)

DRAWS: Final = 400
"""Bootstrap samples of the customers; convention."""
_LEVELS: Final = (0.025, 0.975)
_EPSILON: Final = float(np.finfo(np.float64).eps)
"""Probabilities are kept this far from 0 and 1, as scikit-learn's log loss does."""


Verdict = Literal["better", "not shown better", "worse"]
_SAID: Final[Mapping[Verdict, str]] = {
    "better": "is better than",
    "not shown better": "is not shown to be better than",
    "worse": "is worse than",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """Predictions of one predictor for n rows.

    Attributes
    ----------
    score : float64 array of shape (n,)
        What it ranks by: a margin, or the score of a scorecard.
    probability : float64 array of shape (n,)
    """

    score: Floats
    probability: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedDifferences(Generic[Name]):
    """Intervals at 95 % of the differences of figures."""

    low: Mapping[Name, float]
    high: Mapping[Name, float]
    """`low` and `high`: Mapping of figure to float; NaN where fewer than two samples hold both
    classes."""
    skipped: int
    """Samples of one class only, which have no figures."""


def log_losses(target: Floats, proba: Floats) -> Floats:
    """Compute the log loss of each row, shape (n,)."""
    inside = np.clip(proba, _EPSILON, 1.0 - _EPSILON)
    return -np.log(np.where(target == 1.0, inside, 1.0 - inside))


def paired_differences(
    differences: Callable[[Ints], Mapping[Name, float]],
    *,
    target: Floats,
    customers: npt.ArrayLike,
    seed: int,
    draws: int = DRAWS,
    progress: Callable[[int, int], None] | None = None,
) -> PairedDifferences[Name]:
    """Compute percentile intervals of a paired bootstrap over customers.

    Both predictors are compared on the same sample each time. The interval covers the chance
    of which customers the rows hold, not that of fitting, nor of another period. The order of
    the rows does not matter: customers are numbered in the order of their names.

    Source: Davison and Hinkley 1997, Bootstrap Methods and their Application, sections 3.8
    and 5.3.1.

    Parameters
    ----------
    differences : callable
        Takes the number of times that each row is in the sample, shape (n,), with rows of both
        classes, and returns the difference of each figure.
    target : array of 0 and 1, shape (n,)
    customers : array of shape (n,)
        Names or numbers; customers are drawn whole, with all their rows.
    seed : int
        Draws the samples.
    progress : callable, optional
        Called with (samples done, samples in all).
    """
    positive = target.astype(np.int64)
    whole = differences(np.ones(target.size, np.int64))
    one_class = np.full(len(whole), np.nan)

    def figures(times: Ints) -> npt.ArrayLike:
        # a sample of one class has no ranking figures
        if not 0 < (times * positive).sum() < times.sum():
            return one_class
        return list(differences(times).values())

    groups = number_customers(np.asarray(customers))
    drawn = bootstrap(figures, groups, draws=draws, seed=seed, progress=progress)
    known = drawn[~np.isnan(drawn).all(axis=1)]
    if len(known) > 1:
        low, high = np.quantile(known, _LEVELS, axis=0)
    else:
        low, high = one_class, one_class
    return PairedDifferences(
        low=dict(zip(whole, low.tolist(), strict=True)),
        high=dict(zip(whole, high.tolist(), strict=True)),
        skipped=draws - len(known),
    )


def judge_difference(
    row: Mapping[Any, Any], one: str, other: str, *, names: tuple[str, str], digits: str
) -> tuple[Verdict, str]:
    """Conclude from the interval of a difference: only a whole interval on one side decides.

    Parameters
    ----------
    row : mapping
        figure; a value under `one` and under `other`; difference (one - other), low, high;
        better, 'higher' or 'lower'.
    names : two strings
        Both predictors in the sentence.
    digits : str
        Format of the values, such as '.4f'.

    Returns
    -------
    verdict : Verdict
        'not shown better' also where the interval is NaN.
    sentence : str
        The verdict with its figures.
    """
    sign = 1.0 if row["better"] == "higher" else -1.0
    worst, best = sorted((sign * row["low"], sign * row["high"]))
    verdict: Verdict = "better" if worst > 0 else "worse" if best < 0 else "not shown better"
    gap, low, high = (
        format(row[each], f"+{digits}").replace("-", "\N{MINUS SIGN}")
        for each in ("difference", "low", "high")
    )
    return verdict, (
        f"{names[0]} {_SAID[verdict]} {names[1]}: {row['figure'].replace('_', ' ')} "
        f"{row[one]:{digits}} against {row[other]:{digits}}, difference {gap} "
        f"(95 % {low} to {high}); {row['better']} is better."
    )
