"""How near proposed cut-offs come to their targets on later rows.

    python tests/benchmarks/tier_targets.py [TRANSACTIONS] [SEED ...]

Makes a synthetic bank, trains the shipped fraud and risk models as if it were some months
before the end of the data, fits cut-offs on the test part of the training, which no model has
seen, by target bad rates and by capacity, and judges them on the rows decided after that part
and mature at the end of the data. Prints a Markdown table: what a tier was allowed, what it
held where it was fitted, and what it held later; for rates with the one-sided 95 % bound.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from kyc_ml.contract.source import contract_tables
from kyc_ml.jobs.configuring import load_run
from kyc_ml.jobs.reading import end_of_data
from kyc_ml.jobs.tiering import mature_rows, unseen_since
from kyc_ml.jobs.watch import Silence
from kyc_ml.synthetic import bank_config, make_bank
from kyc_ml.tiers import FitRows, judge_cut_offs, propose
from kyc_ml.tiers.fit_sections import BadRateFit, CapacityFit, FitPolicy
from kyc_ml.training import train

CONFIGS = Path(__file__).parents[2] / "configs"
LATER_DAYS = {"fraud": 90, "risk": 154}
"""Days before the end of the data on which the model is trained."""

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
    """Measure both models on every seed and print the table."""
    transactions = int(sys.argv[1]) if len(sys.argv) > 1 else 400_000
    print("| model | seed | method | tier | allowed | cut-off (95 %) | fitted | later | within |")
    print("|---|---|---|---|---|---|---|---|---|")
    for seed in [int(text) for text in sys.argv[2:]] or [7]:
        for name in ("fraud", "risk"):
            _measure(name, transactions, seed)


def _measure(name: str, transactions: int, seed: int) -> None:
    bank = bank_config(
        transactions=transactions,
        days=720,
        transactions_per_customer=50,
        launderer_share=0.06,
        seed=seed,
    )
    made = make_bank(bank)
    tables = contract_tables(made.tables, timezone="Asia/Shanghai", base_currency="CNY").accepted
    end = end_of_data(tables)
    trained_on = end - pd.Timedelta(days=LATER_DAYS[name])
    files = load_run(CONFIGS / f"{name}.yaml")
    result = train(
        tables,
        config=files.run,
        policy=replace_fit(files.policy, None),
        as_of=trained_on,
        data={"as_of": trained_on.isoformat(), "base_currency": "CNY"},
    )
    for method in METHODS[name]:
        policy = replace_fit(files.policy, FitPolicy(whole=method))
        fitting, _, until = mature_rows(
            result.bundle, tables, policy, since=unseen_since(result.bundle), as_of=trained_on,
            watch=Silence(),
        )  # fmt: skip
        later, _, _ = mature_rows(
            result.bundle, tables, policy, since=until, as_of=end, watch=Silence()
        )
        proposal = propose(fitting, policy)
        _print(f"{name} | {seed} | {method.method}", proposal.table, later, proposal.policy)


def replace_fit(policy, fit):
    """Give a policy with another fit section, and the same cut-offs for everybody."""
    return policy.model_copy(update={"fit": fit, "segments": None})


def _print(what: str, fitted: pd.DataFrame, later: FitRows, policy) -> None:
    judged = judge_cut_offs(later, policy)
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
