"""What tiers hold on later rows, and how near proposed cut-offs come to their targets there.

    python tests/benchmarks/tier_targets.py synthetic [TRANSACTIONS] [SEED ...]
    python tests/benchmarks/tier_targets.py handbook FOLDER

Trains the shipped fraud and risk models on a synthetic bank as if it were some months before
the end of the data, or the Handbook's as of 2018-08-22 (FOLDER holds transactions.parquet).
Fits cut-offs on the test part of the training, which no model has seen, by target bad rates and
by capacity, and judges them on the rows decided after that part and mature at the end of the
data. Prints two Markdown tables for each model, of these later rows: the tiers of the shipped
policy by the probability alone, with expected and observed rates (Jeffreys intervals); and what
a tier was allowed by each method, what it held where it was fitted, and what it held later, for
rates with the one-sided 95 % bound.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from kyc_ml.config import SourceMapping, load_section
from kyc_ml.contract import ContractedTables, end_of_data
from kyc_ml.contract.memory import contract_tables
from kyc_ml.contract.source import read_source
from kyc_ml.decision import (
    FitRows,
    TierPolicy,
    assign_tiers,
    compute_tier_table,
    evaluate_cut_offs,
    load_run,
    propose,
)
from kyc_ml.decision.tiers.fit_sections import BadRateFit, CapacityFit, FitPolicy
from kyc_ml.display import ProgressReporter
from kyc_ml.onboarding import bank_config
from kyc_ml.onboarding.synthetic.bank import make_bank
from kyc_ml.training.api import train
from kyc_ml.training.evaluation_rows import unseen_since
from kyc_ml.training.tier_fitting import mature_rows

CONFIGS = Path(__file__).parents[2] / "configs"
LATER_DAYS = {"fraud": 90, "risk": 154}
"""Days before the end of the data on which the model is trained."""
HANDBOOK_TRAINED = pd.Timestamp("2018-08-22", tz="UTC")

METHODS = {
    "fraud": (
        BadRateFit(
            method="target_bad_rate",
            highest_bad_rate={"low": 0.002, "medium_low": 0.02, "medium": 0.1, "medium_high": 0.5},
        ),
        CapacityFit(
            method="capacity",
            per="day",
            alerts={"medium_low": 20, "medium": 10, "medium_high": 3, "high": 2},
        ),
    ),
    "handbook": (
        BadRateFit(
            method="target_bad_rate",
            highest_bad_rate={"low": 0.002, "medium_low": 0.01, "medium": 0.05, "medium_high": 0.5},
        ),
        CapacityFit(
            method="capacity",
            per="day",
            alerts={"medium_low": 400, "medium": 100, "medium_high": 50, "high": 50},
        ),
    ),
    "risk": (
        BadRateFit(
            method="target_bad_rate",
            highest_bad_rate={
                "low": 0.003,
                "medium_low": 0.01,
                "medium": 0.05,
                "medium_high": 0.15,
            },
        ),
        CapacityFit(
            method="capacity",
            per="month",
            alerts={"medium_low": 400, "medium": 120, "medium_high": 40, "high": 20},
        ),
    ),
}


def main() -> None:
    """Measure the models asked for and print their tables."""
    if sys.argv[1] == "handbook":
        mapping = load_section(CONFIGS / "sources" / "handbook.yaml", SourceMapping)
        tables = read_source(mapping, data=Path(sys.argv[2])).accepted
        _measure("handbook", tables, title="handbook", trained_on=HANDBOOK_TRAINED)
        return
    transactions = int(sys.argv[2]) if len(sys.argv) > 2 else 400_000
    for seed in [int(text) for text in sys.argv[3:]] or [7]:
        bank = bank_config(
            transactions=transactions,
            days=720,
            transactions_per_customer=50,
            launderer_share=0.06,
            seed=seed,
        )
        made = make_bank(bank)
        tables = contract_tables(
            made.tables, timezone="Asia/Shanghai", base_currency="CNY"
        ).accepted
        for name, days in LATER_DAYS.items():
            trained_on = end_of_data(tables) - pd.Timedelta(days=days)
            _measure(name, tables, title=f"{name} (seed {seed})", trained_on=trained_on)


def _measure(name: str, tables: ContractedTables, *, title: str, trained_on: pd.Timestamp) -> None:
    files = load_run(CONFIGS / f"{name}.yaml")
    bundle = train(
        tables,
        config=files.run,
        policy=files.policy,
        as_of=trained_on,
        data={"as_of": trained_on.isoformat(), "base_currency": tables.base_currency},
    ).bundle
    fitting, _, until = mature_rows(
        bundle,
        tables,
        files.policy,
        since=unseen_since(bundle),
        as_of=trained_on,
        reporter=ProgressReporter(),
    )
    end = end_of_data(tables)
    later, left_out, stop = mature_rows(
        bundle, tables, files.policy, since=until, as_of=end, reporter=ProgressReporter()
    )
    print(
        f"\n{title}: {later.proba.size:,} rows decided {until:%Y-%m-%d} to before "
        f"{stop:%Y-%m-%d}, {int(later.target.sum()):,} positives, {left_out:,} left out\n"
    )
    _print_tiers(files.policy, later)
    print("\n| method | tier | allowed | cut-off (95 %) | fitted | later | within |")
    print("|---|---|---|---|---|---|---|")
    for method in METHODS[name]:
        policy = replace_fit(files.policy, FitPolicy(whole=method))
        proposal = propose(fitting, policy)
        _print(method.method, proposal.table, later, proposal.policy)


def _print_tiers(policy: TierPolicy, later: FitRows) -> None:
    tier = assign_tiers(later.proba, policy=policy, segment=later.segment)
    table = compute_tier_table(tier, later.proba, policy=policy, target=later.target)
    print("| tier | rows | positives | expected | observed (95 %) | holds it |")
    print("|---|---|---|---|---|---|")
    for row in table.itertuples():
        holds = (
            "–"
            if not row.rows
            else "yes"
            if row.ci_low <= row.expected_rate <= row.ci_high
            else "no"
        )
        print(
            f"| {row.tier} | {row.rows:,} | {row.positives:,} | {row.expected_rate:.4f} | "
            f"{row.observed_rate:.4f} ({row.ci_low:.4f}–{row.ci_high:.4f}) | {holds} |",
            flush=True,
        )


def replace_fit(policy, fit):
    """Give a policy with another fit section, and the same cut-offs for everybody."""
    return policy.model_copy(update={"fit": fit, "segments": None})


def _print(what: str, fitted: pd.DataFrame, later: FitRows, policy) -> None:
    judged = evaluate_cut_offs(later, policy)
    for one, other in zip(fitted.to_dict("records"), judged.to_dict("records"), strict=True):
        if pd.isna(one["limit"]):
            continue
        print(
            f"| {what} | {one['tier']} | {one['limit']:g} "
            f"| {one['proposed']:.4g} ({one['low']:.4g}–{one['high']:.4g}) "
            f"| {_held(one)} | {_held(other)} | {'yes' if other['met'] else 'no'} |",
            flush=True,
        )


def _held(row) -> str:
    if pd.notna(row["alerts"]):
        return f"{row['alerts']:.2f} alerts"
    return (
        f"{row['positives']} of {row['rows']:,} = {row['observed_rate']:.4f}, "
        f"up to {row['upper_rate']:.4f}"
    )


if __name__ == "__main__":
    main()
