"""What each feature family is worth: average precision as families are added.

    python tests/benchmarks/worth.py handbook FOLDER [FIRST]
    python tests/benchmarks/worth.py amlsim FOLDER [FIRST]

FOLDER holds the public data that configs/sources/handbook.yaml or amlsim.yaml describe.
Handbook: families are added one after another; figures are of the test week of the
training on 2018-08-22, all customers. AMLSim: every account is predicted by a model that
saw neither it nor its fold; the base is completed by flow, by network, and by both, once
with and once without what reads amounts, which give this simulation's planted transfers
away. FIRST is the number of the first line to compute, from 0. The settings of configs/ are
kept throughout; nothing is tuned on what is reported. Prints a Markdown table with DeLong
intervals of the AUC.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pandas as pd

from kyc_ml.config import RunConfig, SourceMapping, load_section
from kyc_ml.contract.reading import last_known
from kyc_ml.contract.source import read_source
from kyc_ml.decision import TierPolicy
from kyc_ml.metrics import compute_metrics
from kyc_ml.training.api import train

CONFIGS = Path(__file__).parents[2] / "configs"
BASE = ("velocity", "amounts", "timing", "counterparties", "novelty", "dormancy")
WITHOUT_AMOUNTS = ("timing", "novelty", "dormancy")
STEPS = {
    "handbook": [
        ("velocity",),
        *[(*BASE[:n], "+ " + BASE[n]) for n in range(1, len(BASE))],
        (*BASE, "+ label_history"),
    ],
    "amlsim": [
        BASE,
        (*BASE, "+ flow_through"),
        (*BASE, "+ network"),
        (*BASE, "flow_through", "+ network"),
        WITHOUT_AMOUNTS,
        (*WITHOUT_AMOUNTS, "+ network"),
    ],
}
AS_OF = {"handbook": "2018-08-22"}


def main() -> None:
    """Train once for each set of families and print what it reaches."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    run = load_section(CONFIGS / f"{name}.yaml", RunConfig)
    policy = load_section(CONFIGS / run.tiers, TierPolicy)
    mapping = load_section(CONFIGS / "sources" / f"{name}.yaml", SourceMapping)
    tables = read_source(mapping, data=folder).accepted
    moment = AS_OF.get(name)
    as_of = pd.Timestamp(moment, tz="UTC") if moment else _after(last_known(tables))
    print("| families | features | average precision | AUC (95%) | prevalence | seconds |")
    print("|---|---|---|---|---|---|")
    first = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    for step in STEPS[name][first:]:
        families = tuple(family.removeprefix("+ ") for family in step)
        chosen = run.features.model_copy(update={"families": families})
        config = run.model_copy(update={"features": chosen})
        start = time.perf_counter()
        trained = train(tables, config=config, policy=policy, as_of=as_of, data={})
        seconds = time.perf_counter() - start
        evidence = trained.evidence
        found = compute_metrics(evidence.target, evidence.margin, evidence.probability)
        added = [family for family in step if family.startswith("+ ")]
        print(
            f"| {', '.join(added) or ', '.join(families)} "
            f"| {len(evidence.features.names)} | {found.average_precision:.3f} "
            f"| {found.auc:.3f} ({found.auc_low:.3f}–{found.auc_high:.3f}) "
            f"| {found.prevalence:.4f} | {seconds:.0f} |",
            flush=True,
        )


def _after(moment: pd.Timestamp) -> pd.Timestamp:
    return moment.normalize() + pd.Timedelta(days=1)


if __name__ == "__main__":
    main()
