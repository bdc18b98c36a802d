"""Time and memory of all checks on simulated scored rows, each check apart.

    python tests/benchmarks/validation.py --rows 1000000

Rows are drawn from a law that is known, scored by a small model of theirs, and held against the
shipped policy. What needs a source (reading it, building features, the point-in-time audit) is
not measured here: it takes as long as its data asks for.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from kyc_ml.config import ModelConfig, RunConfig, load_section
from kyc_ml.decision import TierPolicy, learn_reference
from kyc_ml.features import FeatureSpec, FeatureTable, Own
from kyc_ml.metrics import compute_metrics
from kyc_ml.model import fit_fixed
from kyc_ml.model.calibration.fitting import fit_calibrator
from kyc_ml.registry import Bundle
from kyc_ml.validation import CHECKS, load_policy
from kyc_ml.validation.catalogue import PROCEDURES
from kyc_ml.validation.evidence import ReviewEvidence
from kyc_ml.validation.policy import Group
from kyc_ml.validation.rows import ScoredRows, score_built
from kyc_ml.validation.run.checks import run_check
from kyc_ml.validation.text import Text

CONFIGS = Path(__file__).parents[2] / "configs"
START = pd.Timestamp("2024-01-01", tz="UTC")
REFERENCE_ROWS, TRAIN_ROWS = 100_000, 50_000
SEGMENTS = ("retail", "private", "corporate", "sme")


def specs(numbers: int) -> tuple[FeatureSpec, ...]:
    """Declare so many numbers and one category."""

    def declare(name: str, kind: str) -> FeatureSpec:
        how = (
            Own(reading="category", column="channel")
            if kind == "category"
            else Own(reading="night")
        )
        return FeatureSpec(
            name=name, family="amounts", how=how, kind=kind, unit="ratio", description=name,
            description_zh=name, monotone=0,
        )  # fmt: skip

    return (
        *(declare(f"number_{n}", "number") for n in range(numbers)),
        declare("segment", "category"),
    )


def draw(n: int, declared: tuple[FeatureSpec, ...], *, seed: int, day: int) -> tuple:
    """Draw features, outcomes at about 1 %, and their keys: 10 rows a customer."""
    rng = np.random.default_rng(seed)
    p = len(declared)
    numbers = np.empty((n, p), order="F")
    for column in range(p - 1):
        numbers[:, column] = rng.normal(size=n)
    numbers[:, p - 1] = np.nan
    segment = rng.choice(SEGMENTS, size=n, p=[0.6, 0.2, 0.1, 0.1])
    odds = -6.0 + numbers[:, :5] @ np.array([1.2, 0.8, 0.5, 0.3, 0.3]) + (segment == "corporate")
    target = (rng.random(n) < 1 / (1 + np.exp(-odds))).astype(np.float64)
    when = START + pd.to_timedelta(np.sort(rng.integers(0, 90 * 24, n)) + day * 24, unit="h")
    keys = {
        "observation_id": pa.array(np.char.add(f"o{day}-", np.arange(n).astype(str))),
        "customer_id": pa.array(np.char.add("c", rng.integers(0, n // 10, n).astype(str))),
        "decision_time": pa.array(when.tz_localize(None).as_unit("us")).cast(
            pa.timestamp("us", "UTC")
        ),
    }
    features = FeatureTable(
        keys=pa.table(keys),
        specs=declared,
        numbers=numbers,
        categories={"segment": pa.array(segment, pa.string())},
        unavailable={},
    )
    return features, target


def make_bundle(declared: tuple[FeatureSpec, ...]) -> tuple[Bundle, tuple]:
    """Fit and calibrate a model of 100 trees."""
    features, target = draw(TRAIN_ROWS, declared, seed=1, day=0)
    everything = np.ones(len(features), bool)
    vocabularies = features.learn_vocabularies(everything)
    matrix, _ = features.encode(vocabularies)
    config = ModelConfig(n_estimators=100, num_leaves=15, min_child_samples=100, n_jobs=2, seed=0)
    model = fit_fixed(matrix, target, specs=declared, config=config)
    later, outcome = draw(REFERENCE_ROWS, declared, seed=2, day=90)
    margin = model.margin(later.encode(vocabularies)[0])
    calibrator = fit_calibrator(margin, outcome, method="platt")
    quality = compute_metrics(outcome, margin, calibrator.probability(margin))
    bundle = Bundle(
        model=model,
        calibrator=calibrator,
        policy=load_section(CONFIGS / "tiers" / "fraud.yaml", TierPolicy),
        config=load_section(CONFIGS / "fraud.yaml", RunConfig),
        specs=declared,
        vocabularies=vocabularies,
        reference=learn_reference(features, everything),
        metrics={"test": quality.as_dict()},
        data={"name": "simulated", "as_of": "2024-06-29", "base_currency": "CNY"},
    )
    return bundle, (features, target)


def scored(bundle: Bundle, drawn: tuple, *, role: str):
    """Score drawn rows as a validation does."""
    features, target = drawn
    times = features.keys["decision_time"].to_pandas()
    n, rng = len(features), np.random.default_rng(0)
    return ScoredRows(
        **score_built(bundle, features),
        role=role,
        origin=Text("simulated rows", "模拟样本"),
        since=times.min(),
        until=times.max(),
        status=np.where(target == 1, "positive", "negative").astype(object),
        evaluated=np.ones(n, bool),
        end=times.max() + pd.Timedelta(days=1),
        typology=np.where(target == 1, rng.choice(["mule", "theft"], n), None),
        arrival_days=np.where(target == 1, rng.exponential(10, n), np.nan),
        amount=rng.lognormal(4, 1, n),
    )


def peak_gb() -> float:
    """Most memory this process has held, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    """Measure each check and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--numbers", type=int, default=60)
    options = parser.parse_args()
    declared = specs(options.numbers)
    clock = time.perf_counter()
    bundle, train = make_bundle(declared)
    evidence = ReviewEvidence(
        bundle=bundle,
        as_of=START + pd.Timedelta(days=400),
        current=scored(bundle, draw(options.rows, declared, seed=4, day=190), role="current"),
        reference=scored(bundle, draw(REFERENCE_ROWS, declared, seed=2, day=90), role="reference"),
        train=scored(bundle, train, role="train"),
        recorded_part="test",
    )
    print(f"simulated in {time.perf_counter() - clock:.1f} s, peak {peak_gb():.2f} GB")
    policy = load_policy(CONFIGS / "validation.yaml", checks=CHECKS)
    changed = {"segments": ("segment",), "groups": (Group(feature="segment"),)}
    policy = policy.model_copy(update={"settings": policy.settings.model_copy(update=changed)})
    clock = time.perf_counter()
    for name, procedure in PROCEDURES.items():
        result, _ = run_check(procedure, evidence, policy=policy, command="")
        print(f"{result.seconds:7.2f} s  {peak_gb():5.2f} GB  {name}: {result.verdict}", flush=True)
    spent = time.perf_counter() - clock
    print(f"{spent:7.2f} s  {peak_gb():5.2f} GB  all checks, {options.rows:,} rows")


if __name__ == "__main__":
    main()
