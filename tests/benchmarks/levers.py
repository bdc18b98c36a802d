"""For what share of customers above the lowest tier is there a change that would lower it?

    python tests/benchmarks/levers.py BANK [ROWS]

After `make demo`, in its folder: BANK is build/demo/bank. Scores the bank's customers today
and its payments of the last 20 days with the demo's models, draws ROWS above the lowest tier
from each, looks for a change as `kyc-ml explain` does, and prints a Markdown table: how many
have one, why the others have none, and the seconds each took.
"""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from kyc_ml.config import SourceMapping, load_section
from kyc_ml.contract import end_of_data
from kyc_ml.contract.source import read_source
from kyc_ml.dataset import ChosenObservations
from kyc_ml.dataset.chosen import choose_observations
from kyc_ml.decision import NO_OVERRIDES
from kyc_ml.display import ProgressReporter
from kyc_ml.registry import features_and_facts, load_model, score_features
from kyc_ml.scoring.case import Case
from kyc_ml.scoring.counterfactual import find_counterfactual

SOURCE = Path(__file__).parents[2] / "configs" / "sources" / "synthetic.yaml"


def main() -> None:
    """Look for changes under both models and print the table."""
    folder = Path(sys.argv[1])
    rows = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    tables = read_source(load_section(SOURCE, SourceMapping), data=folder).accepted
    print("| model | tier | tried | one step | two steps | none: held | none | seconds each |")
    print("|---|---|---|---|---|---|---|---|")
    for name, days in (("risk", None), ("fraud", 20)):
        bundle, _ = load_model(f"models:/demo-{name}@challenger")
        now = end_of_data(tables).floor("D")
        since = None if days is None else now - pd.Timedelta(days=days)
        chosen = ChosenObservations.by_default(
            bundle.config.unit, since=since, as_of=now, zone=tables.timezone
        )
        observations = choose_observations(tables, chosen)
        features, facts = features_and_facts(bundle, tables, observations, ProgressReporter())
        scores = score_features(bundle, features, facts=facts).to_pylist()
        tier = np.array([score["tier"] for score in scores])
        above = np.flatnonzero(tier != bundle.policy.tier_names[0])
        drawn = np.random.default_rng(0).choice(above, min(rows, above.size), replace=False)
        found = {tier_name: Counter() for tier_name in bundle.policy.tier_names[1:]}
        start = time.perf_counter()
        for row in drawn:
            case = Case(
                bundle=bundle,
                observation=features.keys.slice(row, 1),
                features=features.take([row]),
                facts=facts.take([row]),
                book=NO_OVERRIDES,
                history=None,
                score=scores[row],
                reasons=pd.DataFrame(),
            )
            drop = find_counterfactual(case)
            held = "held" if re.search(r"probability \b0\b", drop.note[0]) else "none"
            found[tier[row]][len(drop.lines) or held] += 1
        each = (time.perf_counter() - start) / drawn.size
        everybody = sum(found.values(), Counter())
        for what, count in {**found, "all": everybody}.items():
            print(
                f"| {name} | {what} | {count.total()} | {count[1]} | {count[2]} | "
                f"{count['held']} | {count['none']} | {each:.2f} |"
            )


if __name__ == "__main__":
    main()
