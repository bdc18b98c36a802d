"""False alarms and delays of monitoring, and its estimates on data of others.

    python tests/benchmarks/monitoring.py level              no change: false alarms a year
    python tests/benchmarks/monitoring.py found              one level changes: when it is found
    python tests/benchmarks/monitoring.py estimates FOLDER   NannyML's data: estimated AUC by chunk

FOLDER holds the data sets that the package `nannyml` (Apache-2.0) ships, below
`nannyml/datasets/data`. Its figures come from the same chunks of 5,000 rows.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from kyc_ml.metrics import FACTORS, detect_change
from kyc_ml.monitoring import KnownOutcomes, estimates_by_period

TIERS = {"low": (0.002, 600.0), "medium": (0.01, 200.0), "high": (0.05, 30.0), "top": (0.2, 4.0)}
"""Chance of a positive, and rows a night, of each tier of the simulated bank."""
YEAR = 365


def volumes(days: int) -> np.ndarray:
    """Return volumes of nights: a weekly cycle, month ends, and 3 % growth a month."""
    day = np.arange(days)
    weekly = np.array([1.1, 1.1, 1.1, 1.15, 1.25, 0.7, 0.6])[day % 7]
    month_end = np.where(day % 30 >= 28, 1.8, 1.0)
    return weekly * month_end * 1.03 ** (day / 30.0)


def evidence(positives: np.ndarray, rows: np.ndarray, p: float) -> np.ndarray:
    """Return log e-values of rows with one chance, as `level_evidence` gives them."""
    bets = (FACTORS - 1.0) / (1.0 + (FACTORS - 1.0) * p)
    hit, miss = np.log1p(bets * (1.0 - p)), np.log1p(-bets * p)
    return positives[..., None] * hit + (rows - positives)[..., None] * miss


def level(banks: int) -> None:
    """Count alarms of banks whose probabilities are right."""
    rng = np.random.default_rng(0)
    wave = volumes(YEAR)[:, None]
    drawn = {}
    for name, (p, rows) in TIERS.items():
        n = rng.poisson(wave * rows, (YEAR, banks))
        drawn[name] = (rng.binomial(n, p), n, p)
    alarms = np.zeros(banks)
    for positives, n, p in drawn.values():
        found = detect_change(evidence(positives, n, p), limit=YEAR * len(TIERS))
        alarms += found.alarm.sum(axis=0)
    show("tier", alarms)
    # the whole: days multiply the evidence of their rows, whatever tier they are of
    together = sum(evidence(*each) for each in drawn.values())
    show("all", detect_change(together, limit=YEAR).alarm.sum(axis=0))
    # customers of ten rows that share one outcome: their bets are added
    p, customers = 0.01, rng.poisson(wave * 20.0, (YEAR, banks))
    hit = rng.binomial(customers, p)
    scale = np.where(FACTORS > 1.0, 10.0, 1.0)
    bets = (FACTORS - 1.0) / (1.0 + (FACTORS - 1.0) * p)
    loss = np.maximum(bets * p, -bets * (1.0 - p)) * 10.0
    scale = np.minimum(1.0, 0.9 / loss) * 10.0 * bets
    steps = hit[..., None] * np.log1p(scale * (1.0 - p))
    steps += (customers - hit)[..., None] * np.log1p(-scale * p)
    show("all, ten rows a customer", detect_change(steps, limit=YEAR).alarm.sum(axis=0))


def show(family: str, alarms: np.ndarray) -> None:
    """Print alarms a bank and year, with the exact upper bound of a Poisson mean at 95 %."""
    total, banks = int(alarms.sum()), alarms.size
    upper = stats.chi2.ppf(0.95, 2 * (total + 1)) / 2.0 / banks
    print(f"{family:26s} {total / banks:.3f} false alarms a year, upper bound {upper:.3f}")


def found(banks: int) -> None:
    """Show how many matured positives, and days, a changed level of one subject takes."""
    rng = np.random.default_rng(1)
    p, before = 0.02, 150
    print("subjects  positives/day  factor  positives (median)  days (median)")
    for subjects in (1, 4):
        for rate in (0.05, 0.1, 0.2, 0.5, 1.0, 3.0):
            for factor in (1.5, 2.0):
                days = int(min(1500, max(80, 150 / rate)))
                n = rng.poisson(rate / p, (before + days, banks))
                chance = np.where(np.arange(before + days) < before, p, p * factor)[:, None]
                positives = rng.binomial(n, chance)
                alarm = detect_change(evidence(positives, n, p), limit=YEAR * subjects).alarm
                later = alarm[before:]
                first = np.where(later.any(axis=0), later.argmax(axis=0), days - 1)
                seen = np.cumsum(positives[before:], axis=0)[first, np.arange(banks)]
                print(
                    f"{subjects:8d}  {rate:13.2f}  {factor:6.1f}  {np.median(seen):18.0f}"
                    f"  {np.median(first + 1):13.0f}"
                )


SETS = {
    "employment": ("employment_MA", "pq", "employed", "predicted_probability"),
    "car loan": ("synthetic_car_loan", "csv", "repaid", "y_pred_proba"),
}
NO_FEATURE = ("id", "prediction", "y_pred", "timestamp", "year", "period")


def estimates(folder: Path, draws: int, delay: int, chunk: int = 5000) -> None:
    """Compare estimated with true figures of each chunk; a chunk plays the part of a month.

    With a delay of years only the reference is ever known, as NannyML works. With 45 days, the
    chunks before the last one are known too, as outcomes of a bank are.
    """
    read = {"pq": pd.read_parquet, "csv": pd.read_csv}
    for name, (stem, kind, outcome, proba) in SETS.items():
        parts = ("reference", "analysis", "analysis_target")
        reference, analysis, truth = (
            read[kind](folder / f"{stem}_{part}.{kind}") for part in parts
        )
        rows = pd.concat(
            [reference, analysis.merge(truth[["id", outcome]], on="id")], ignore_index=True
        )
        place = np.arange(len(rows)) - len(reference)
        month = place // chunk
        if delay > 1000:
            month = np.where(place < 0, -120, month)
        names = rows.index.astype(str)
        features = rows.drop(columns=[outcome, proba, *NO_FEATURE], errors="ignore")
        for each in features.columns[~features.dtypes.map(pd.api.types.is_numeric_dtype)]:
            features[each] = pd.factorize(features[each], sort=True)[0]
        result = estimates_by_period(
            as_outcomes(rows, month, names, outcome=outcome, proba=proba, delay=delay),
            per_day=500.0,
            features=features.astype(np.float64).set_index(names),
            draws=draws,
        )
        result = result[(result["month"] >= "2020") & result["truth"].notna()]
        result = result.astype({"covered": bool})
        result["width"] = result["high"] - result["low"]
        result["error"] = (result["estimate"] - result["truth"]).abs()
        print(name)
        print(result.groupby(["estimator", "figure"])[["error", "covered", "width"]].mean())


def as_outcomes(
    rows: pd.DataFrame,
    month: np.ndarray,
    names: pd.Index,
    *,
    outcome: str,
    proba: str,
    delay: int,
) -> KnownOutcomes:
    """Let each chunk be decided in a month of its own; the analysis begins in January 2020."""
    start = pd.Timestamp("2020-01-15", tz="UTC")
    when = {each: start + pd.DateOffset(months=int(each)) for each in np.unique(month)}
    target = rows[outcome].astype(np.float64)
    decided = pd.Series(month).map(when).astype("datetime64[us, UTC]")
    table = pd.DataFrame(
        {
            "observation_id": names, "customer_id": names, "decision_time": decided,
            "probability": rows[proba].astype(np.float64), "tier": "all", "segment": "all",
            "model": "m", "label": target.map({1.0: "positive", 0.0: "negative"}),
            "target": target, "reported": decided.where(target == 1.0),
        }
    )  # fmt: skip
    return KnownOutcomes(
        rows=table, delay=pd.Timedelta(days=delay), as_of=pd.Timestamp("2040-01-01", tz="UTC")
    )


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["level", "found", "estimates"])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--banks", type=int, default=2000)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--delay", type=int, default=45, help="days; 3600: reference only")
    asked = parser.parse_args()
    if asked.part == "estimates":
        estimates(asked.folder, asked.draws, asked.delay)
    else:
        {"level": level, "found": found}[asked.part](asked.banks)


if __name__ == "__main__":
    main()
