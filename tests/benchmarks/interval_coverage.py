"""How often intervals hold the truth, and tests reject what is right.

    python tests/benchmarks/interval_coverage.py --draws 1000

Outcomes are drawn from the probabilities themselves, so every probability is right, every level
is 1 and nothing declines from one period to the next. Probabilities are spread like those of a
risk model ('even') or like those of the Handbook, where a few rows are nearly certain ('steep').
Customers have one row, or ten whose outcomes are correlated through a normal copula. An interval
at 95 % should hold the truth in 93 to 97 of 100 draws, and a test at 5 % reject in 3 to 7.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit, ndtri

from kyc_ml.metrics import (
    auc_decline,
    auc_interval,
    average_precision_interval,
    compute_operating_points,
    compute_reliability,
    fit_calibration_line,
    hosmer_lemeshow,
    observed_over_expected,
    rates_at_threshold,
    spiegelhalter,
    threshold_at_fpr,
    threshold_error,
)

CORRELATION = 0.4
ROWS_A_POSITIVE = 40
MOST_ROWS = 20_000
POPULATION = 1_000_000
FPR = 0.05
CAPACITY = 0.05
BOOTSTRAP = 200


@dataclass(frozen=True)
class Law:
    """Rows of a population, and the truth of it.

    `certain` is the share of rows that are nearly certain; `shift` gives the number of positives.
    """

    rows: int
    certain: float
    shift: float

    @classmethod
    def of(cls, spread: str, positives: int) -> Law:
        """Find the law of a spread that expects so many positives."""
        rows = min(MOST_ROWS, positives * ROWS_A_POSITIVE)
        certain = 0.2 * positives / rows if spread == "steep" else 0.0
        whole = cls(rows, certain, 0.0).log_odds(POPULATION, np.random.default_rng(0))
        low, high = -20.0, 20.0
        for _ in range(60):
            middle = (low + high) / 2
            few = expit(whole + middle).mean() < positives / rows
            low, high = (middle, high) if few else (low, middle)
        return cls(rows, certain, low)

    def log_odds(self, n: int, rng) -> np.ndarray:
        """Draw rows."""
        eta = rng.normal(-4.5, 1.5, n)
        if self.certain:
            some = rng.random(n) < self.certain
            eta = np.where(some, rng.normal(2.0, 2.0, n), rng.normal(-6.0, 1.0, n))
        return eta + self.shift


@dataclass(frozen=True)
class Truth:
    """Figures of the whole population."""

    auc: float
    average_precision: float
    threshold: float
    recall: float
    capacity_recall: float
    capacity_precision: float

    @classmethod
    def of(cls, law: Law) -> Truth:
        """Compute them of many rows."""
        score = np.sort(law.log_odds(POPULATION, np.random.default_rng(1)))[::-1]
        proba = expit(score)
        hits, misses = np.cumsum(proba), np.cumsum(1.0 - proba)
        at, capacity = int(np.searchsorted(misses, FPR * misses[-1])), int(CAPACITY * POPULATION)
        return cls(
            auc=float((proba * (misses[-1] - misses)).sum() / (hits[-1] * misses[-1])),
            average_precision=float((proba * hits / np.arange(1, POPULATION + 1)).sum() / hits[-1]),
            threshold=float(score[at]),
            recall=float(hits[at] / hits[-1]),
            capacity_recall=float(hits[capacity] / hits[-1]),
            capacity_precision=float(hits[capacity] / capacity),
        )


def draw_outcomes(proba, groups, rng) -> np.ndarray:
    """Draw outcomes of these probabilities; those of one customer are correlated."""
    own, shared = rng.normal(size=proba.size), rng.normal(size=groups.max() + 1)[groups]
    if groups.max() + 1 == groups.size:
        return (own < ndtri(proba)) * 1.0
    mixed = np.sqrt(CORRELATION) * shared + np.sqrt(1 - CORRELATION) * own
    return (mixed < ndtri(proba)) * 1.0


def measure(law: Law, rows: int, rng, draws: int) -> dict[str, float]:
    """Return the share of draws in which each interval holds, or each test rejects."""
    truth, groups = Truth.of(law), np.arange(law.rows) // rows
    other = np.concatenate([groups, groups + groups.max() + 1])
    later = np.repeat([False, True], law.rows)
    tests: dict[str, list[float]] = defaultdict(list)
    held: dict[str, list[bool]] = defaultdict(list)

    def hold(name, value, low, high):
        held[name].append(low <= value <= high)

    score = law.log_odds(law.rows, rng)
    target = draw_outcomes(expit(score), groups, rng)
    for number in range(draws):
        earlier, before = score, target
        score = law.log_odds(law.rows, rng)
        proba = expit(score)
        target = draw_outcomes(proba, groups, rng)
        if min(target.sum(), before.sum()) < 2:
            continue
        top = proba >= np.quantile(proba, 0.9)
        for name, here in (("", slice(None)), (" of the top tenth", top)):
            found = observed_over_expected(target[here], proba[here], groups[here])
            hold(f"O/E{name}", 1.0, found.low, found.high)
            tests[f"under-prediction{name}"].append(found.under_p)
            tests[f"over-prediction{name}"].append(found.over_p)
        hold("AUC", truth.auc, *auc_interval(target, score, groups)[1:])
        both = np.concatenate([before, target]), np.concatenate([earlier, score])
        decline = auc_decline(*both, other, later=later)
        hold("drop of the AUC", 0.0, decline.low, decline.high)
        tests["decline of the AUC"].append(decline.p_value)
        line = fit_calibration_line(target, proba, groups)
        hold("calibration slope", 1.0, line.slope_low, line.slope_high)
        hold("calibration intercept", 0.0, line.intercept_low, line.intercept_high)
        tests["calibration line"].append(line.p_value)
        tests["Spiegelhalter"].append(spiegelhalter(target, proba, groups).p_value)
        tests["Hosmer-Lemeshow"].append(hosmer_lemeshow(target, proba, groups).p_value)
        rates = rates_at_threshold(target, score, groups, threshold=truth.threshold)
        hold("recall at a threshold", truth.recall, rates.recall_low, rates.recall_high)
        frozen = threshold_at_fpr(before, earlier, fpr=FPR)
        error = threshold_error(before, earlier, groups, threshold=frozen)
        rates = rates_at_threshold(target, score, groups, threshold=frozen, error=error)
        hold("recall, frozen threshold", truth.recall, rates.recall_low, rates.recall_high)
        hold("false positives, frozen threshold", FPR, rates.fpr_low, rates.fpr_high)
        bins = compute_reliability(target, proba, n_bins=10, groups=groups)
        inside = bins["mean_proba"].between(bins["ci_low"], bins["ci_high"])
        held["reliability bins"].extend(inside)
        if number < draws // 5:
            low, high = average_precision_interval(target, score, groups, draws=BOOTSTRAP, seed=0)
            hold("average precision", truth.average_precision, low, high)
            point = compute_operating_points(
                target, score, per_day=np.array([CAPACITY * law.rows]), groups=groups,
                draws=BOOTSTRAP,
            ).iloc[0]  # fmt: skip
            for name, value in (
                ("recall", truth.capacity_recall),
                ("precision", truth.capacity_precision),
            ):
                hold(f"{name} at capacity", value, point[f"{name}_low"], point[f"{name}_high"])
    shares = {name: float(np.mean(each)) for name, each in held.items()}
    return shares | {f"p: {name}": float(np.mean(np.array(p) < 0.05)) for name, p in tests.items()}


def main() -> None:
    """Measure each law, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=1_000)
    parser.add_argument("--positives", type=int, nargs="+", default=[20, 40, 280, 2_000])
    options = parser.parse_args()
    table = {}
    for spread in ("even", "steep"):
        for rows in (1, 10):
            for positives in options.positives:
                rng = np.random.default_rng([positives, rows])
                draws = options.draws if positives < 2_000 else options.draws // 4
                found = measure(Law.of(spread, positives), rows, rng, draws)
                table[f"{spread} {rows:>2} {positives}"] = found
    print("columns: spread of probabilities, rows a customer, positives expected")
    print(pd.DataFrame(table).round(3).to_string())


if __name__ == "__main__":
    main()
