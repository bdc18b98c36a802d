"""Judge scores by the protocol of the Fraud Detection Handbook, beside its published figures.

    python tests/benchmarks/handbook.py score FOLDER SCORES.parquet --start 2018-07-25
    python tests/benchmarks/handbook.py folds FOLDER [--starts 2018-06-20 ...] [--selection noise]

FOLDER holds the book's simulated data, transactions.parquet. `score` judges what
`kyc-ml score` wrote for the tested week. `folds` trains with configs/handbook.yaml for each
of the book's four test folds, or of others to choose parameters on, using only labels known
7 days before its test week, and prints the figures of each beside the seconds of its training,
features included, and how calibrated it is on all transactions of the week.

The book trains on the 7 days from --start, waits 7 days for labels and tests on the next 7.
On each test day it leaves out the customers whose fraud was known by then: known from the
training days, or from a day at least 7 days before. Card precision at 100 is the mean over
days of the share of fraudulent customers among the 100 with the highest score of the day; a
customer found is left out of later days.
Source: Le Borgne et al., Reproducible machine learning for credit card fraud detection, ch. 5.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score

CONFIGS = Path(__file__).parents[2] / "configs"
FOLDS = ("2018-07-25", "2018-08-01", "2018-08-08", "2018-08-15")
WEEK = pd.Timedelta(days=7)
DAY = pd.Timedelta(days=1)
PUBLISHED = {
    "logistic regression": (0.871, 0.606, 0.291),
    "random forest": (0.867, 0.658, 0.287),
    "XGBoost": (0.862, 0.639, 0.273),
}


def tested_rows(transactions: pd.DataFrame, start: pd.Timestamp) -> pd.DataFrame:
    """Take the test week's transactions of customers not yet known as victims."""
    when, frauds = transactions["TX_DATETIME"], transactions[transactions["TX_FRAUD"] == 1]
    test_start = start + 2 * WEEK
    kept = []
    for day in pd.date_range(test_start, periods=7, freq="D"):
        # frauds of the training week, and of each day a week before a test day so far
        seen = frauds[(frauds["TX_DATETIME"] >= start) & (frauds["TX_DATETIME"] < day - WEEK)]
        of_the_day = transactions[(when >= day) & (when < day + DAY)]
        kept.append(of_the_day[~of_the_day["CUSTOMER_ID"].isin(seen["CUSTOMER_ID"])])
    return pd.concat(kept)


def card_precision(tested: pd.DataFrame, *, top: int) -> float:
    """Mean daily share of fraudulent customers among the `top` highest scored ones."""
    found: set[int] = set()
    shares = []
    for _, rows in tested.groupby(tested["TX_DATETIME"].dt.normalize()):
        waiting = rows[~rows["CUSTOMER_ID"].isin(found)]
        customers = waiting.groupby("CUSTOMER_ID")[["score", "TX_FRAUD"]].max()
        alerted = customers.sort_values("score", ascending=False).head(top)
        caught = alerted.index[alerted["TX_FRAUD"] == 1]
        shares.append(len(caught) / top)
        found |= set(caught)
    return float(np.mean(shares))


def judge(
    transactions: pd.DataFrame, margin: pd.Series, *, start: str
) -> tuple[int, int, tuple[float, float, float]]:
    """Give tested rows and frauds of a fold, and its AUC, average precision, CP@100."""
    tested = tested_rows(transactions, pd.Timestamp(start))
    tested = tested.assign(score=tested["TRANSACTION_ID"].map(margin))
    missing = int(tested["score"].isna().sum())
    if missing:
        msg = f"{missing} of {len(tested)} tested transactions have no score"
        raise SystemExit(msg)
    figures = (
        roc_auc_score(tested["TX_FRAUD"], tested["score"]),
        average_precision_score(tested["TX_FRAUD"], tested["score"]),
        card_precision(tested, top=100),
    )
    return len(tested), int(tested["TX_FRAUD"].sum()), figures


def score(folder: Path, scores: Path, *, start: str) -> None:
    """Print the three figures of the book for our scores and for its models."""
    table = pd.read_parquet(scores, columns=["observation_id", "margin"])
    margin = pd.Series(table["margin"].to_numpy(), table["observation_id"].astype("int64"))
    transactions = pd.read_parquet(folder / "transactions.parquet")
    rows, frauds, ours = judge(transactions, margin, start=start)
    print(f"{rows:,} tested transactions, {frauds} frauds")
    print(f"{'':20s}   AUC     AP      CP@100")
    for name, figures in {"kyc_ml": ours, **PUBLISHED}.items():
        print(f"{name:20s}  {'   '.join(f'{figure:.4f}' for figure in figures)}")


def folds(folder: Path, starts: Sequence[str], *, selection: str | None = None) -> None:
    """Train for each fold as `kyc-ml train` does, and print a Markdown table."""
    from kyc_ml.config import RunConfig, SourceMapping, load_section
    from kyc_ml.contract.source import read_source
    from kyc_ml.decision import TierPolicy
    from kyc_ml.training.api import train
    from kyc_ml.training.evidence import MODEL

    run = load_section(CONFIGS / "handbook.yaml", RunConfig)
    if selection is not None:
        chosen = run.selection.model_copy(update={"method": selection})
        run = run.model_copy(update={"selection": chosen})
    policy = load_section(CONFIGS / run.tiers, TierPolicy)
    mapping = load_section(CONFIGS / "sources" / "handbook.yaml", SourceMapping)
    tables = read_source(mapping, data=folder).accepted
    transactions = pd.read_parquet(folder / "transactions.parquet")
    print("| start | rows | frauds | AUC | AP | CP@100 | O/E (95%) | ECE | train rows | seconds |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    found = []
    for start in starts:
        begin = time.perf_counter()
        trained = train(
            tables,
            config=run,
            policy=policy,
            as_of=pd.Timestamp(start, tz="UTC") + 4 * WEEK,
            data={"source": mapping.name, "base_currency": tables.base_currency},
        )
        seconds = time.perf_counter() - begin
        evidence = trained.evidence
        ids = evidence.features.keys["observation_id"].to_pandas().astype("int64")
        rows, frauds, figures = judge(transactions, pd.Series(evidence.margin, ids), start=start)
        found.append(figures)
        parts = trained.quality[MODEL]
        week = parts["test"]
        print(
            f"| {start} | {rows:,} | {frauds} | "
            + " | ".join(f"{figure:.4f}" for figure in figures)
            + f" | {week.observed_over_expected:.3f} ({week.observed_over_expected_low:.3f}–"
            f"{week.observed_over_expected_high:.3f}) | {week.calibration_error:.5f} | "
            f"{parts['train'].rows:,} | {seconds:.0f} |",
            flush=True,
        )
    mean = np.mean(found, axis=0)
    print("| mean | | | " + " | ".join(f"{figure:.4f}" for figure in mean) + " | | | | |")


def main() -> None:
    """Judge scores of one fold, or train and judge all four."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("score")
    one.add_argument("folder", type=Path)
    one.add_argument("scores", type=Path)
    one.add_argument("--start", default=FOLDS[0])
    several = commands.add_parser("folds")
    several.add_argument("folder", type=Path)
    several.add_argument("--starts", nargs="+", default=FOLDS)
    several.add_argument("--selection", choices=("none", "noise"), help="instead of the file's")
    arguments = parser.parse_args()
    if arguments.command == "score":
        score(arguments.folder, arguments.scores, start=arguments.start)
    else:
        folds(arguments.folder, arguments.starts, selection=arguments.selection)


if __name__ == "__main__":
    main()
