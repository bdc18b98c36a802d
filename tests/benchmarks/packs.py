"""Whole validation packs of models that are perfect, and of models with one known fault.

    python tests/benchmarks/packs.py --packs 300
    python tests/benchmarks/packs.py --packs 100 --faults

A pack is every check of the shipped policy that scored rows allow, by the real runner and the
real gates. Scores come from a small LightGBM model; outcomes are drawn from its probabilities
themselves, so the model is calibrated and ranks as well as any can, and reference, training and
later rows come from one law, so nothing shifts. Of each law is printed how many packs fail, how
many have any warning, with 95 % intervals, and which gates cause it.

With ten rows a customer, those rows share most of each feature (a part of the dependence that
the probabilities contain), and half of their outcomes share one uniform number (a part that they
do not contain): each row keeps its own probability, and customers, not rows, are the evidence (a
design effect of about 2). `--faults` draws later outcomes with a fault instead, and prints what
finds it.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.special import expit, logit

from kyc_ml.config import ModelConfig, RunConfig, load_section
from kyc_ml.decision import TierPolicy, learn_reference
from kyc_ml.features import FeatureSpec, FeatureTable, Own
from kyc_ml.metrics import compute_metrics, jeffreys_interval
from kyc_ml.model import fit_fixed
from kyc_ml.model.calibration.fitting import fit_calibrator
from kyc_ml.registry import Bundle
from kyc_ml.validation import CHECKS, load_policy
from kyc_ml.validation.catalogue import PROCEDURES
from kyc_ml.validation.evidence import ReviewEvidence
from kyc_ml.validation.policy import Group, ValidationPolicy
from kyc_ml.validation.result import CheckResult
from kyc_ml.validation.rows import ScoredRows, score_built
from kyc_ml.validation.run.checks import run_check
from kyc_ml.validation.text import Text

CONFIGS = Path(__file__).parents[2] / "configs"
START = pd.Timestamp("2024-01-01", tz="UTC")
MODEL = ModelConfig(n_estimators=60, num_leaves=7, min_child_samples=100, n_jobs=1, seed=0)
WEIGHTS = np.array([1.1, 0.8, 0.6, 0.5, 0.4, 0.3, 0.3, 0.2, 0.2, 0.1, 0.1, 0.1])
SEGMENTS = ("retail", "private", "corporate", "sme")
CATEGORIES = {"segment": (SEGMENTS, (0.6, 0.2, 0.1, 0.1)), "country": ("ABCDEF", (0.5, *[0.1] * 5))}
RATE = 0.04
SHARED_FEATURES, SHARED_OUTCOMES = 0.7, 0.5


@dataclass(frozen=True, kw_only=True)
class Law:
    """So many positives in each period, and so many rows of each customer."""

    positives: int
    rows_a_customer: int


LAWS = tuple(Law(positives=p, rows_a_customer=m) for m in (1, 10) for p in (40, 280, 2_000))


def declare() -> tuple[FeatureSpec, ...]:
    """Declare twelve numbers and two categories."""

    def one(name: str, kind: str, how: Own) -> FeatureSpec:
        return FeatureSpec(
            name=name, family="amounts", how=how, kind=kind, unit="ratio", description=name,
            description_zh=name, monotone=0,
        )  # fmt: skip

    numbers = [one(f"number_{at}", "number", Own(reading="night")) for at in range(WEIGHTS.size)]
    category = Own(reading="category", column="channel")
    return (*numbers, *(one(name, "category", category) for name in CATEGORIES))


def draw_features(
    n: int, *, rng: np.random.Generator, day: int, rows_a_customer: int = 1, shift: float = 0.0
) -> FeatureTable:
    """Draw features over 60 days; rows of a customer share categories and most of each number."""
    customer = rng.permutation(n) // rows_a_customer
    people = int(customer.max()) + 1
    mixed = SHARED_FEATURES if rows_a_customer > 1 else 0.0
    own, common = rng.normal(size=(n, WEIGHTS.size)), rng.normal(size=(people, WEIGHTS.size))
    numbers = np.sqrt(mixed) * common[customer] + np.sqrt(1 - mixed) * own
    numbers[:, 0] += shift
    categories = {
        name: rng.choice(list(values), size=people, p=shares)[customer]
        for name, (values, shares) in CATEGORIES.items()
    }
    when = START + pd.to_timedelta(np.sort(rng.integers(0, 60 * 24, n)) + day * 24, unit="h")
    keys = {
        "observation_id": pa.array(np.char.add(f"o{day}-", np.arange(n).astype(str))),
        "customer_id": pa.array(np.char.add(f"c{day}-", customer.astype(str))),
        "decision_time": pa.array(when.tz_localize(None).as_unit("us")).cast(
            pa.timestamp("us", "UTC")
        ),
    }
    empty = np.full((n, len(CATEGORIES)), np.nan)
    return FeatureTable(
        keys=pa.table(keys),
        specs=declare(),
        numbers=np.asfortranarray(np.column_stack([numbers, empty])),
        categories={name: pa.array(each, pa.string()) for name, each in categories.items()},
        unavailable={},
    )


@cache
def make_bundle() -> Bundle:
    """Fit and calibrate a small model; what it says becomes the truth of every pack."""
    rng = np.random.default_rng(1)
    features, later = (draw_features(40_000, rng=rng, day=day) for day in (0, 90))

    def outcome(table: FeatureTable) -> np.ndarray:
        odds = -4.4 + table.numbers[:, : WEIGHTS.size] @ WEIGHTS
        odds += np.where(table.category("segment") == "corporate", 0.8, 0.0)
        return (rng.random(len(table)) < expit(odds)).astype(np.float64)

    everything = np.ones(len(features), np.bool_)
    vocabularies = features.learn_vocabularies(everything)
    matrix, _ = features.encode(vocabularies)
    model = fit_fixed(matrix, outcome(features), specs=declare(), config=MODEL)
    margin = model.margin(later.encode(vocabularies)[0])
    config = load_section(CONFIGS / "fraud.yaml", RunConfig)
    return Bundle(
        model=model,
        calibrator=fit_calibrator(margin, outcome(later), method="platt"),
        policy=load_section(CONFIGS / "tiers" / "fraud.yaml", TierPolicy),
        config=config.model_copy(update={"model": MODEL}),
        specs=declare(),
        vocabularies=vocabularies,
        # as training learns it: without contributions reasons would compare nothing
        reference=learn_reference(
            features,
            everything,
            peers=config.explain.peers,
            contributions=lambda rows: model.contributions(matrix[rows], threads=1).values,  # noqa: PD011
            seed=MODEL.seed,
        ),
        metrics={},
        data={"name": "simulated", "as_of": "2024-06-29", "base_currency": "CNY"},
    )


Truth = Callable[[ScoredRows, np.random.Generator], np.ndarray]
"""Returns the true probability of each row."""


def draw_rows(
    law: Law, *, rng: np.random.Generator, role: str, day: int, truth: Truth, shift: float = 0.0
) -> ScoredRows:
    """Draw and score one period of a law, with outcomes of the true probabilities."""
    m = law.rows_a_customer
    n = int(law.positives / RATE) // m * m
    features = draw_features(n, rng=rng, day=day, rows_a_customer=m, shift=shift)
    first = START + pd.Timedelta(days=day)
    rows = ScoredRows(
        **score_built(make_bundle(), features, threads=1),
        role=role,
        origin=Text("simulated rows", "模拟样本"),
        since=first,
        until=first + pd.Timedelta(days=60),
        status=np.full(n, "negative", dtype=object),
        evaluated=np.ones(n, np.bool_),
        end=first + pd.Timedelta(days=60),
        typology=np.full(n, None),
        arrival_days=np.full(n, np.nan),
        amount=rng.lognormal(4, 1, n),
    )
    shared = rng.random(int(rows.customers.max()) + 1)[rows.customers]
    together = rng.random(n) < (SHARED_OUTCOMES if m > 1 else 0.0)
    positive = np.where(together, shared, rng.random(n)) < truth(rows, rng)
    return replace(
        rows,
        status=np.where(positive, "positive", "negative").astype(object),
        typology=np.where(positive, rng.choice(["mule", "theft"], n), None),
        arrival_days=np.where(positive, rng.exponential(8, n), np.nan),
    )


def perfect(rows: ScoredRows, _: np.random.Generator) -> np.ndarray:
    """Take the model's probability for the truth."""
    return rows.probability


def odds_times(
    factor: float, rows: ScoredRows, _: np.random.Generator, *, where: str = ""
) -> np.ndarray:
    """Multiply the odds of all rows, of one tier or of one segment."""
    tiers = make_bundle().policy.tier_names
    here = np.ones(len(rows), np.bool_)
    if where in tiers:
        here = rows.grades.model == tiers.index(where)
    elif where:
        here = rows.category("segment") == where
    return expit(logit(rows.probability) + np.where(here, np.log(factor), 0.0))


def worn(rows: ScoredRows, rng: np.random.Generator) -> np.ndarray:
    """Exchange the truth of one row in eleven with another's: the AUC loses about .03."""
    truth = rows.probability.copy()
    here = np.flatnonzero(rng.random(truth.size) < 0.09)
    truth[here] = truth[rng.permutation(here)]
    return truth


FAULTS: dict[str, tuple[Truth, float]] = {
    "perfect": (perfect, 0.0),
    "odds x1.25": (partial(odds_times, 1.25), 0.0),
    "odds x1.4": (partial(odds_times, 1.4), 0.0),
    "tier medium x2": (partial(odds_times, 2.0, where="medium"), 0.0),
    "segment sme x2": (partial(odds_times, 2.0, where="sme"), 0.0),
    "AUC less .03": (worn, 0.0),
    "score drifted": (perfect, 0.5),
}
"""True probabilities of the later rows, and the shift of their first feature."""


def draw_evidence(law: Law, *, seed: int, fault: str = "perfect") -> ReviewEvidence:
    """Draw training, reference and later rows."""
    rng = np.random.default_rng([seed, law.positives, law.rows_a_customer])
    truth, shift = FAULTS[fault]
    draw = partial(draw_rows, law, rng=rng)
    train = draw(role="train", day=0, truth=perfect)
    reference = draw(role="reference", day=90, truth=perfect)
    recorded = compute_metrics(
        reference.target, reference.evaluated_margin, reference.evaluated_probability
    )
    return ReviewEvidence(
        bundle=replace(make_bundle(), metrics={"test": recorded.as_dict()}),
        as_of=START + pd.Timedelta(days=400),
        current=draw(role="current", day=190, truth=truth, shift=shift),
        reference=reference,
        train=train,
        recorded=recorded,
        recorded_part="test",
        threads=1,
    )


@cache
def shipped() -> ValidationPolicy:
    """Read the shipped policy, with the segments and groups of these rows and fewer draws."""
    policy = load_policy(CONFIGS / "validation.yaml", checks=CHECKS)
    changed = {
        "segments": tuple(CATEGORIES),
        "groups": (Group(feature="country"), Group(feature="number_11", cuts=(-0.7, 0.0, 0.7))),
        "draws": 100,
        "compared_rows": 1,
        "perturbed_rows": 3_000,
    }
    return policy.model_copy(update={"settings": policy.settings.model_copy(update=changed)})


def run_pack(evidence: ReviewEvidence, *, only: tuple[str, ...] = ()) -> Iterator[CheckResult]:
    """Run the checks of a pack one after the other."""
    for name, procedure in PROCEDURES.items():
        if not only or name in only or procedure.check.family in only:
            yield run_check(procedure, evidence, policy=shipped(), command="")[0]


def broken_gates(law: Law, fault: str, only: tuple[str, ...], seed: int) -> list[str]:
    """Draw one pack and return its broken gates."""
    return [
        f"{result.check.id}/{gate.figure}/{gate.severity}"
        for result in run_pack(draw_evidence(law, seed=seed, fault=fault), only=only)
        for gate in result.gates
        if gate.broken
    ]


def report(law: Law, fault: str, packs: list[list[str]], spent: float) -> None:
    """Print one line of shares, and the gates behind them."""
    n = len(packs)
    red = sum(any(gate.endswith("/red") for gate in pack) for pack in packs)
    alarms = sum(bool(pack) for pack in packs)
    said = []
    for hits in (red, alarms):
        low, high = (float(end) for end in jeffreys_interval(hits, n))
        said.append(f"{hits / n:6.3f} ({low:.3f} to {high:.3f})")
    print(
        f"{law.positives:6,} {law.rows_a_customer:4} {fault:16} {n:5} {said[0]} {said[1]}"
        f" {spent / n:6.1f} s",
        flush=True,
    )
    for gate, hits in Counter(gate for pack in packs for gate in pack).most_common(12):
        print(f"{'':28}{hits / n:6.3f}  {gate}")


def main() -> None:
    """Draw, count and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packs", type=int, default=300)
    parser.add_argument("--positives", type=int, nargs="*", default=[40, 280, 2_000])
    parser.add_argument("--rows-a-customer", type=int, nargs="*", default=[1, 10])
    parser.add_argument("--faults", action="store_true")
    parser.add_argument("--only", nargs="*", default=[], help="checks or families, not the pack")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    laws = [
        law
        for law in LAWS
        if law.positives in options.positives and law.rows_a_customer in options.rows_a_customer
    ]
    print("positives, rows a customer, law, packs, failed, any alarm, seconds a pack")
    with ProcessPoolExecutor(options.jobs) as pool:
        for law in laws:
            for fault in list(FAULTS)[1:] if options.faults else ["perfect"]:
                clock = time.perf_counter()
                seeds = range(options.packs)
                packs = list(
                    pool.map(partial(broken_gates, law, fault, tuple(options.only)), seeds)
                )
                report(law, fault, packs, time.perf_counter() - clock)


if __name__ == "__main__":
    main()
