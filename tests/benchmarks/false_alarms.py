"""How often gates raise an alarm where nothing is wrong.

    python tests/benchmarks/false_alarms.py --draws 2000

Scores stay; outcomes are drawn anew from the probabilities themselves, so the model is
perfectly calibrated, and current and reference rows come from one law, so nothing shifts. For
each gate of the shipped policy on calibration, tiers and drift: the share of draws in which it
is broken, with its 95 % interval. A test at 5 % should break its gate in about 5 % of draws,
after Holm's correction in at most 5 %; gates that also ask for a size that matters, less.
Runs once with a customer a row, and once with five rows of one outcome law a customer.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from validation import START, draw, make_bundle, scored, specs

from kyc_ml.metrics import jeffreys_interval
from kyc_ml.validation import CHECKS, load_policy
from kyc_ml.validation.catalogue import PROCEDURES
from kyc_ml.validation.evidence import ReviewEvidence
from kyc_ml.validation.run.checks import run_check

CONFIGS = Path(__file__).parents[2] / "configs"
OUTCOMES = (
    "calibration.overall",
    "calibration.jeffreys",
    "calibration.segments",
    "tiers.ordering",
)
DRIFT = ("stability.score_psi", "stability.feature_csi")
ROWS = 20_000


def redraw(rows, rng, *, rows_a_customer: int):
    """Draw outcomes from the probabilities; those of a customer hang together.

    A customer's rows share one uniform number, moved by another for each row: each row keeps
    its own probability, and rows of one customer agree more often than chance.
    """
    n = len(rows)
    customer = np.arange(n) // rows_a_customer
    shared = rng.random(customer.max() + 1)[customer]
    own = rng.random(n)
    uniform = np.where(rng.random(n) < (0.7 if rows_a_customer > 1 else 0.0), shared, own)
    status = np.where(uniform < rows.probability, "positive", "negative").astype(object)
    ids = pa.array(np.char.add("c", customer.astype(str)))
    place = rows.features.keys.column_names.index("customer_id")
    keys = rows.features.keys.set_column(place, "customer_id", ids)
    return replace(rows, status=status, features=replace(rows.features, keys=keys))


def count_alarms(evidence, checks, policy, alarms: Counter) -> None:
    """Count the broken gates of some checks."""
    for name in checks:
        _, findings = run_check(PROCEDURES[name], evidence, policy=policy, command="")
        alarms.update(finding.id for finding in findings)


def report(title: str, alarms: Counter, checks, policy, draws: int) -> None:
    """Print the rate of each gate."""
    print(f"\n{title}, {draws:,} draws of {ROWS:,} rows")
    for gate in (gate for gate in policy.gates if gate.check in checks):
        hits = alarms[f"{gate.check}/{gate.figure}/{gate.severity}"]
        low, high = (float(end) for end in jeffreys_interval(hits, draws))
        where = f"{gate.check}/{gate.figure}/{gate.severity}"
        print(f"{hits / draws:8.4f} ({low:.4f} to {high:.4f})  {where}")


def main() -> None:
    """Draw, count and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=2_000)
    parser.add_argument("--drift-draws", type=int, default=200)
    options = parser.parse_args()
    declared = specs(8)
    bundle, _ = make_bundle(declared)
    policy = load_policy(CONFIGS / "validation.yaml", checks=CHECKS)
    settings = policy.settings.model_copy(update={"segments": ("segment",)})
    policy = policy.model_copy(update={"settings": settings})
    rows = scored(bundle, draw(ROWS, declared, seed=4, day=190), role="current")
    reference = scored(bundle, draw(ROWS, declared, seed=2, day=90), role="reference")
    evidence = ReviewEvidence(
        bundle=bundle,
        as_of=START + pd.Timedelta(days=400),
        current=rows,
        reference=reference,
        recorded_part="test",
    )
    for a_customer in (1, 5):
        rng, alarms = np.random.default_rng(a_customer), Counter()
        for _ in range(options.draws):
            drawn = redraw(rows, rng, rows_a_customer=a_customer)
            count_alarms(replace(evidence, current=drawn), OUTCOMES, policy, alarms)
        report(f"{a_customer} row(s) a customer", alarms, OUTCOMES, policy, options.draws)
    alarms = Counter()
    for number in range(options.drift_draws):
        fresh = scored(bundle, draw(ROWS, declared, seed=100 + number, day=190), role="current")
        count_alarms(replace(evidence, current=fresh), DRIFT, policy, alarms)
    report("same law", alarms, DRIFT, policy, options.drift_draws)


if __name__ == "__main__":
    main()
