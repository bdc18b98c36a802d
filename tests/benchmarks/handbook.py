"""Judge scores by the protocol of the Fraud Detection Handbook, beside its published figures.

    python tests/benchmarks/handbook.py TRANSACTIONS.parquet SCORES.parquet --start 2018-07-25

TRANSACTIONS is the book's simulated data, SCORES what `kyc-ml score` wrote for the tested
week. The book trains on the 7 days from --start, waits 7 days for labels and tests on the
next 7. On each test day it leaves out the customers whose fraud was known by then: known
from the training days, or from a day at least 7 days before. Card precision at 100 is the
mean over days of the share of fraudulent customers among the 100 with the highest score of
the day; a customer found is left out of later days.
Source: Le Borgne et al., Reproducible machine learning for credit card fraud detection, ch. 5.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score

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


def main() -> None:
    """Print the three figures of the book for our scores and for its models."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("transactions")
    parser.add_argument("scores")
    parser.add_argument("--start", default="2018-07-25")
    arguments = parser.parse_args()
    scores = pd.read_parquet(arguments.scores, columns=["observation_id", "margin"])
    margin = pd.Series(scores["margin"].to_numpy(), scores["observation_id"].astype("int64"))
    tested = tested_rows(pd.read_parquet(arguments.transactions), pd.Timestamp(arguments.start))
    tested = tested.assign(score=tested["TRANSACTION_ID"].map(margin))
    missing = int(tested["score"].isna().sum())
    if missing:
        msg = f"{missing} of {len(tested)} tested transactions have no score"
        raise SystemExit(msg)
    ours = (
        roc_auc_score(tested["TX_FRAUD"], tested["score"]),
        average_precision_score(tested["TX_FRAUD"], tested["score"]),
        card_precision(tested, top=100),
    )
    print(f"{len(tested):,} tested transactions, {int(tested['TX_FRAUD'].sum())} frauds")
    print(f"{'':20s}   AUC     AP      CP@100")
    for name, figures in {"kyc_ml": ours, **PUBLISHED}.items():
        print(f"{name:20s}  {'   '.join(f'{figure:.4f}' for figure in figures)}")


if __name__ == "__main__":
    main()
