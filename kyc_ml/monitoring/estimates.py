"""Performance before outcomes are known, estimated from calibrated probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import expit, logit
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.isotonic import isotonic_regression

from kyc_ml.features import OBSERVATION_ID
from kyc_ml.metrics import (
    FACTORS,
    Floats,
    Ints,
    ReviewQueue,
    auc_interval,
    draw_customers,
    level_evidence,
    percentile_interval,
    total_evidence,
)
from kyc_ml.monitoring.outcomes import SENTENCES, KnownOutcomes
from kyc_ml.monitoring.performance import day_numbers
from kyc_ml.monitoring.signals import Severity, Signal
from kyc_ml.validation import Text

ESTIMATED: Final = ("auc", "average_precision", "recall_at_capacity", "o_e")
ASSUMPTIONS: Final[Mapping[str, Text]] = {
    name: SENTENCES[f"assumption_{name}"] for name in ("cbpe", "pape")
}
"""What each estimator assumes, as a sentence."""
_MISS: Final = 0.05
_NORMAL: Final = float(stats.norm.ppf(0.975))
_LEVEL: Final = 0.05
_FEWEST: Final = 10
"""Reference rows of each class below which probabilities are taken as they are (convention)."""
_FEWEST_MONTHS: Final = 3
"""Earlier estimates with a known error below which months are taken as alike (convention)."""
_MOST: Final = np.array([np.inf if name == "o_e" else 1.0 for name in ESTIMATED])
_FREE_FORM: Final = 1000.0
"""Reference positives from which on the map is any rising one, not a line (convention)."""
_BINS: Final = 2000
_SAMPLE: Final = 20_000
"""Rows of either period that the ratio of densities is learned from."""
_HEAVIEST: Final = 20.0
_EDGE: Final = 1e-9
_STEPS: Final = 50
_RIDGE: Final = 1e-3
"""Keeps the line finite where a cut separates the classes."""
_COLUMNS: Final = (
    "month", "estimator", "figure", "estimate", "low", "high", "reference_rows", "truth",
    "covered",
)  # fmt: skip


def estimates_by_period(
    outcomes: KnownOutcomes,
    *,
    per_day: float,
    features: pd.DataFrame | None = None,
    draws: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """Estimate figures of each month from what was known at its end, with the truth beside them.

    Rows of the same model versions whose window had closed by the end of the month are the
    reference: on them the probability is calibrated again. The expected confusion matrix of the
    month's rows at every cut-off gives the figures. Each draw calibrates on a sample of the
    reference customers and draws outcomes of the month's rows, so that the interval holds the
    error of the calibration and the chance of the outcomes; outcomes are drawn independently,
    given the probabilities. From three earlier estimates on whose outcomes were known by the
    same end, it holds what their errors show beyond it as well: see `widen`. ``pape`` weights
    reference rows by the ratio of the densities of their features in the month and in the
    reference, from a classifier that separates both; where it cannot, weights are 1 and pape
    equals cbpe. The error of these weights is in the interval from the third estimate on.

    Source: NannyML's confidence-based performance estimation; Bialek, Kuberski, Perrakis and
    Bifet 2024, arXiv 2401.08348 (PAPE).

    `features`: numeric features indexed by observation_id, for ``pape``; missing rows and values
    are allowed. Without them only ``cbpe`` is computed.
    One row a month, estimator ('cbpe', 'pape') and figure ('auc', 'average_precision',
    'recall_at_capacity', 'o_e'): month, estimator, figure, estimate, low, high (95 %),
    reference_rows (0 where fewer than 10 of a class were known: the probabilities are then taken as
    they are, the interval holds the chance of the outcomes only, and there is no pape; estimate,
    low and high are NaN where more than 5 % of the draws have no positive or no negative), truth
    (NaN until all windows of the month have closed), covered (whether low <= truth <= high; None
    without a truth).
    """
    months = outcomes.month.to_numpy()
    lines = []
    errors: list[tuple[str, pd.Timestamp, Floats, Floats]] = []
    for month in sorted(set(months)):
        period = _Period.of(outcomes, np.flatnonzero(months == month), per_day=per_day)
        for estimator in ASSUMPTIONS:
            weight = period.weights(estimator, features, seed=seed)
            if weight is None:
                continue
            rng = np.random.default_rng(seed)
            estimate, low, high = period.estimate(weight, draws=draws, rng=rng)
            if period.reference.size:
                known = [e[2:] for e in errors if e[0] == estimator and e[1] <= period.end]
                own = (high - low) / (2.0 * _NORMAL)
                errors.append((estimator, period.closes, estimate - period.at_close, own))
                if len(known) >= _FEWEST_MONTHS:
                    low, high = widen(estimate, np.array([low, high]), known)
            for place, figure in enumerate(ESTIMATED):
                truth, least, most = period.truth[place], low[place], high[place]
                known_later = not np.isnan([truth, least]).any()
                covered = bool(least <= truth <= most) if known_later else None
                rows, name = period.reference.size, estimator
                lines.append(
                    (month, name, figure, estimate[place], least, most, rows, truth, covered)
                )
    return pd.DataFrame(lines, columns=list(_COLUMNS))


def widen(estimate: Floats, ends: Floats, known: Sequence[tuple[Floats, Floats]]) -> Floats:
    """Add to the ends of intervals how much earlier estimates erred beyond their standard errors.

    The mean square of errors, less that of standard errors, both weighted by the inverse of the
    latter, is the variance between months; the interval is that of a t-distribution with a
    degree of freedom for each month. It assumes that a month is like earlier ones: the first
    month of a break is not foreseen.

    Source: DerSimonian and Laird 1986, Controlled Clinical Trials 7, 177-188, of errors with mean
    0; interval of a new study after Higgins, Thompson and Spiegelhalter 2009, Journal of the
    Royal Statistical Society A 172, 137-159.

    Parameters
    ----------
    estimate, ends : float arrays of shape (figures,) and (2, figures), in the order of `ESTIMATED`
    known : errors and standard errors of earlier months, of the shape of `estimate`; may be NaN
    """
    error, own = np.array(known).swapaxes(0, 1)
    usable = np.isfinite(error) & (own > 0.0)
    weight = np.where(usable, own, np.inf) ** -2.0
    months = usable.sum(axis=0)
    beyond = np.maximum((weight * np.nan_to_num(error) ** 2).sum(axis=0) - months, 0.0)
    between = beyond / np.maximum(weight.sum(axis=0), np.finfo(np.float64).tiny)
    reach = stats.t.ppf(0.975, np.maximum(months, _FEWEST_MONTHS))
    half = reach * np.hypot((ends - estimate) / _NORMAL, np.sqrt(between))
    return np.asarray(np.clip(estimate + np.array([[-1.0], [1.0]]) * half, 0.0, _MOST))


def coverage_signals(estimates: pd.DataFrame, *, model: str, day: str) -> tuple[Signal, ...]:
    """Test whether intervals of estimates contain the truth in at least 95 % of the months.

    `estimates`: of `estimates_by_period`.
    `model`, `day`: of the signals; `day` is that of the evaluation.
    Returns estimate.coverage, one for each estimator and figure that misses too often; the chance
    of any is at most 5 % if all intervals are right, however often one looks.
    """
    known = estimates[estimates["covered"].notna() & (estimates["reference_rows"] > 0)]
    names = known["estimator"] + "." + known["figure"]
    subjects = sorted(names.unique())
    signals = []
    for subject in subjects:
        rows = known[names == subject]
        estimator, figure = subject.split(".")
        missed = np.asarray(~rows["covered"].astype(bool), np.float64)
        place = np.arange(missed.size)
        bets = level_evidence(missed, np.full(missed.size, _MISS), day=place, groups=place)
        # bets on more misses than 5 %; too wide intervals do no harm
        most = float(np.exp(total_evidence(bets[:, FACTORS > 1.0]).max()))
        limit = len(subjects) / _LEVEL
        if most < limit:
            continue
        values = {"missed": int(missed.sum()), "months": missed.size}
        said = SENTENCES["coverage"].fill(
            estimator=estimator.upper(), figure=SENTENCES[f"figure_{figure}"], **values
        )
        guarantee = SENTENCES["coverage_guarantee"].fill(level=_LEVEL)
        signals.append(
            Signal(
                code="estimate.coverage",
                model=model,
                day=day,
                subject=subject,
                severity=Severity.WARNING,
                value=most,
                limit=limit,
                text=said.en,
                text_zh=said.zh,
                guarantee=guarantee.en,
                guarantee_zh=guarantee.zh,
            )
        )
    return tuple(signals)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Period:
    """The rows of a month, and those with known outcomes that it is estimated from."""

    outcomes: KnownOutcomes
    here: Ints
    score: Floats
    tie: Ints  # rows of equal score, numbered from the lowest
    reviewed: Floats  # share of each row that is reviewed
    reference: Ints
    end: pd.Timestamp  # what was known then is used
    closes: pd.Timestamp  # the last window
    truth: Floats
    at_close: Floats  # truth as known when each window closed

    @classmethod
    def of(cls, outcomes: KnownOutcomes, here: Ints, *, per_day: float) -> _Period:
        rows = outcomes.rows.iloc[here]
        local = rows["decision_time"].dt.tz_convert(outcomes.timezone).max()
        end = min((local.normalize() + pd.offsets.MonthBegin()).tz_convert("UTC"), outcomes.as_of)
        target = outcomes.target_at_close
        same = outcomes.rows["model"].isin(rows["model"].unique()).to_numpy()
        known = np.flatnonzero(outcomes.closed & (outcomes.closes <= end).to_numpy() & same)
        positives = int(target[known].sum())
        if min(positives, known.size - positives) < _FEWEST:
            known = known[:0]
        score = rows["probability"].to_numpy(np.float64)
        day = day_numbers(outcomes, rows)
        queue = ReviewQueue.of(score, day, end_day=int(day.max()) + 1)
        made = cls(
            outcomes=outcomes,
            here=here,
            score=score,
            tie=np.unique(score, return_inverse=True)[1],
            reviewed=queue.reviewed(per_day),
            reference=known,
            end=end,
            closes=outcomes.closes.iloc[here].max(),
            truth=np.full(len(ESTIMATED), np.nan),
            at_close=np.full(len(ESTIMATED), np.nan),
        )
        usable = outcomes.closed[here]
        if made.closes <= outcomes.as_of and usable.any():
            actual = rows["target"].to_numpy(np.float64)
            # rows without a usable outcome count as the probabilities say
            made.truth[:] = made.figures(np.where(usable, actual, score))
            made.at_close[:] = made.figures(np.where(usable, target[here], score))
        return made

    def figures(self, chance: Floats) -> Floats:
        """Return the figures expected of chances to be positive, or of outcomes."""
        positive = np.bincount(self.tie, weights=chance)
        rows = np.bincount(self.tie).astype(np.float64)
        negative = rows - positive
        total, others = positive.sum(), negative.sum()
        level = total / self.score.sum()
        if not (total > 0.0 and others > 0.0):
            return np.array([np.nan, np.nan, np.nan, level])
        # rows of equal score count half
        below = np.cumsum(negative) - negative / 2.0
        hits, flagged = np.cumsum(positive[::-1]), np.cumsum(rows[::-1])
        return np.array(
            [
                (positive * below).sum() / (total * others),
                (positive[::-1] * hits / flagged).sum() / total,
                (chance * self.reviewed).sum() / total,
                level,
            ]
        )

    def weights(self, estimator: str, features: pd.DataFrame | None, *, seed: int) -> Floats | None:
        """Return how much each reference row counts; None where the estimator has no basis."""
        if estimator == "cbpe":
            return np.ones(self.reference.size)
        if features is None or not self.reference.size:
            return None
        names = self.outcomes.rows[OBSERVATION_ID]
        past, now = (
            features.reindex(names.iloc[each]).to_numpy(np.float64)
            for each in (self.reference, self.here)
        )
        return density_ratio(past, now, seed=seed)

    def estimate(
        self, weight: Floats, *, draws: int, rng: np.random.Generator
    ) -> tuple[Floats, Floats, Floats]:
        """Return estimates and their intervals."""
        # log-odds need probabilities inside 0 and 1
        margin = logit(np.clip(self.score, _EDGE, 1.0 - _EDGE))
        if not self.reference.size:
            drawn = np.array(
                [self.figures(rng.random(margin.size) < self.score) for _ in range(draws)]
            )
            return _determined(self.figures(self.score), drawn)
        rows = self.outcomes.rows.iloc[self.reference]
        past = logit(np.clip(rows["probability"].to_numpy(np.float64), _EDGE, 1.0 - _EDGE))
        target = self.outcomes.target_at_close[self.reference]
        _, groups = np.unique(self.outcomes.customers[self.reference], return_inverse=True)
        recalibration = _Recalibration.of(past, target, weight)
        found = []
        for _ in range(draws):
            times = draw_customers(groups, rng)
            chance = recalibration.chance(margin, weight * times)
            found.append(self.figures(rng.random(margin.size) < chance))
        estimate = self.figures(recalibration.chance(margin, weight))
        return _determined(estimate, np.array(found))


def _determined(estimate: Floats, drawn: Floats) -> tuple[Floats, Floats, Floats]:
    """Return estimates and the ends of their intervals; NaN where draws lack a class too often."""
    # draws that do determine a figure would describe other months than those to be expected
    rare = np.isnan(drawn).mean(axis=0) > _MISS
    low, high = percentile_interval(drawn)
    unknown = np.where(rare, np.nan, 0.0)
    return estimate + unknown, low + unknown, high + unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recalibration:
    """A map from log-odds to probability, learned from rows in narrow bins of log-odds."""

    place: Ints
    margin: Floats
    target: Floats
    free: bool  # any rising map; otherwise a line of log-odds

    @classmethod
    def of(cls, margin: Floats, target: Floats, weight: Floats) -> _Recalibration:
        """Put rows into bins of about equal size."""
        cuts = np.unique(np.quantile(margin, np.linspace(0.0, 1.0, _BINS + 1)[1:-1]))
        _, place = np.unique(np.searchsorted(cuts, margin, side="right"), return_inverse=True)
        mine = weight * target
        return cls(
            place=place,
            margin=np.bincount(place, weights=margin) / np.bincount(place),
            target=target,
            free=float(mine.sum() ** 2) >= _FREE_FORM * float((mine**2).sum()),
        )

    def chance(self, margin: Floats, weight: Floats) -> Floats:
        """Learn from weighted rows, and return the chance of other rows to be positive."""
        bins = self.margin.size
        positive, rows = (
            np.asarray(np.bincount(self.place, weights=each, minlength=bins), np.float64)
            for each in (weight * self.target, weight)
        )
        drawn = rows > 0.0
        at, positive, rows = self.margin[drawn], positive[drawn], rows[drawn]
        if not 0.0 < positive.sum() < rows.sum():
            return np.full(margin.size, float(positive.sum() / rows.sum()))
        if self.free:
            levels = isotonic_regression(positive / rows, sample_weight=rows, y_min=0.0, y_max=1.0)
            return np.asarray(np.interp(margin, at, levels))
        return np.asarray(expit(_line(at, positive, rows) @ [np.ones_like(margin), margin]))


def _line(margin: Floats, positive: Floats, rows: Floats) -> Floats:
    """Fit intercept and slope of the log-odds by Newton's method, drawn a trace to 0 and 1."""
    design = np.column_stack([np.ones_like(margin), margin])
    line = np.array([0.0, 1.0])
    for _ in range(_STEPS):
        fitted = expit(design @ line)
        curvature = design.T @ (design * (rows * fitted * (1.0 - fitted))[:, None])
        slope = design.T @ (positive - rows * fitted)
        step = np.linalg.solve(curvature + _RIDGE * np.eye(2), slope - _RIDGE * (line - [0.0, 1.0]))
        # a whole step may overshoot far from the line
        line = line + step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-8:
            break
    return line


def density_ratio(past: Floats, now: Floats, *, seed: int) -> Floats:
    """Estimate how much commoner each row of the past is now; mean 1, at most 20 times it.

    Where a classifier cannot tell the periods of unseen rows apart, the ratio is 1, not noise.
    """
    rng = np.random.default_rng(seed)
    filled = ~(np.isnan(past).all(axis=0) | np.isnan(now).all(axis=0))
    if not filled.any():
        return np.ones(len(past))
    rows = np.vstack([past, now])[:, filled]
    is_now = np.repeat([0.0, 1.0], [len(past), len(now)])
    half = rng.integers(0, 2, is_now.size)
    chance = np.full(is_now.size, np.nan)
    for each in (0, 1):
        others = [rng.permutation(np.flatnonzero((half != each) & (is_now == p))) for p in (0, 1)]
        learned = np.concatenate([rows_of[:_SAMPLE] for rows_of in others])
        trees = HistGradientBoostingClassifier(
            max_iter=60, max_leaf_nodes=15, min_samples_leaf=100, early_stopping=False,
            random_state=seed,
        ).fit(rows[learned], is_now[learned])  # fmt: skip
        chance[half == each] = trees.predict_proba(rows[half == each])[:, 1]
    if auc_interval(is_now, chance)[1] <= 0.5:
        return np.ones(len(past))
    chance = chance[: len(past)]
    ratio = chance / (1.0 - chance)
    ratio = np.minimum(ratio / ratio.mean(), _HEAVIEST)
    return np.asarray(ratio / ratio.mean())
