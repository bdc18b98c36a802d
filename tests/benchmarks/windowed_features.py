"""Fifteen windowed features, Parquet to Parquet: kyc_ml beside pandas, Polars and DuckDB.

    python tests/benchmarks/windowed_features.py TRANSACTIONS.parquet [runs]

TRANSACTIONS has TRANSACTION_ID, TX_DATETIME, CUSTOMER_ID, TX_AMOUNT, as the Fraud
Detection Handbook's data do. Features: count, sum, mean, largest and sample standard
deviation of the amount over the customer's last 1, 7 and 30 days, half open. Every run
is a process of its own; prints the median seconds of each and their ratio to kyc_ml,
and checks that the values agree to 1e-6. Needs polars beside kyc_ml.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

DAYS = (1, 7, 30)
STATISTICS = ("count", "sum", "mean", "max", "std")
COLUMNS = ["TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TX_AMOUNT"]
PEERS = ("kyc_ml", "polars", "duckdb", "pandas")


def with_kyc_ml(source: str, target: str) -> None:
    """Sweep with kyc_ml's own kernels."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from kyc_ml.features.history import build_history
    from kyc_ml.features.sweeps import Sweep

    table = pq.read_table(source, columns=COLUMNS)
    when = table["TX_DATETIME"].cast(pa.timestamp("us", tz="UTC"))
    rows = pa.table(
        {
            "customer_id": table["CUSTOMER_ID"],
            "event_time": when,
            "known_at": when,
            "decision_time": when,
            "amount": table["TX_AMOUNT"],
        }
    )
    history = build_history(rows, rows, key=("customer_id",), where=None)
    out = {"TRANSACTION_ID": table["TRANSACTION_ID"]}
    for days in DAYS:
        sweep = Sweep(history, rows, window_us=days * 86_400_000_000)
        for statistic in STATISTICS:
            values = (
                sweep.extreme("max", "amount")
                if statistic == "max"
                else sweep.moment(statistic, "amount")
            )
            column = np.empty(values.size)
            column[history.observations] = values
            out[f"{statistic}_{days}d"] = column
    pq.write_table(pa.table(out), target)


def with_pandas(source: str, target: str) -> None:
    """Roll time windows over each customer with pandas."""
    import pandas as pd

    frame = pd.read_parquet(source, columns=COLUMNS)
    frame = frame.sort_values(["CUSTOMER_ID", "TX_DATETIME", "TRANSACTION_ID"])
    amounts = frame.set_index("TX_DATETIME").groupby("CUSTOMER_ID")["TX_AMOUNT"]
    out = {"TRANSACTION_ID": frame["TRANSACTION_ID"].to_numpy()}
    for days in DAYS:
        window = amounts.rolling(f"{days}D", closed="left")
        for statistic in STATISTICS:
            out[f"{statistic}_{days}d"] = getattr(window, statistic)().to_numpy()
    pd.DataFrame(out).to_parquet(target)


def with_polars(source: str, target: str) -> None:
    """Roll time windows over each customer with Polars."""
    import polars as pl

    frame = pl.read_parquet(source, columns=COLUMNS)
    frame = frame.sort("CUSTOMER_ID", "TX_DATETIME", "TRANSACTION_ID")
    amount = pl.col("TX_AMOUNT")
    out = [frame.select("TRANSACTION_ID")]
    for days in DAYS:
        window = frame.rolling(
            "TX_DATETIME", period=f"{days}d", closed="left", group_by="CUSTOMER_ID"
        )
        counted = pl.len().alias(f"count_{days}d")
        others = [getattr(amount, s)().alias(f"{s}_{days}d") for s in STATISTICS[1:]]
        out.append(window.agg(counted, *others).drop("CUSTOMER_ID", "TX_DATETIME"))
    pl.concat(out, how="horizontal").write_parquet(target)


def with_duckdb(source: str, target: str) -> None:
    """Let DuckDB's window functions range over each customer."""
    import duckdb

    sql = {
        "count": "count(*)",
        "sum": "sum(TX_AMOUNT)",
        "mean": "avg(TX_AMOUNT)",
        "max": "max(TX_AMOUNT)",
        "std": "stddev_samp(TX_AMOUNT)",
    }
    chosen = ", ".join(f"{e} OVER w{d} AS {s}_{d}d" for d in DAYS for s, e in sql.items())
    windows = ", ".join(
        f"w{d} AS (PARTITION BY CUSTOMER_ID ORDER BY TX_DATETIME RANGE BETWEEN "
        f"INTERVAL {d} DAY PRECEDING AND INTERVAL 1 MICROSECOND PRECEDING)"
        for d in DAYS
    )
    query = f"SELECT TRANSACTION_ID, {chosen} FROM '{source}' WINDOW {windows}"
    duckdb.sql(f"COPY ({query}) TO '{target}' (FORMAT parquet)")


def main() -> None:
    """Time every peer in turn, several times, and compare values."""
    source = sys.argv[1]
    if len(sys.argv) == 4 and sys.argv[2] in PEERS:  # one run, in a process of its own
        globals()[f"with_{sys.argv[2]}"](source, sys.argv[3])
        return
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    seconds: dict[str, list[float]] = {peer: [] for peer in PEERS}
    with tempfile.TemporaryDirectory() as folder:
        targets = {peer: str(Path(folder) / f"{peer}.parquet") for peer in PEERS}
        for run in range(runs + 1):  # the first warms caches and is not counted
            for peer in PEERS:
                start = time.perf_counter()
                subprocess.run([sys.executable, __file__, source, peer, targets[peer]], check=True)
                if run:
                    seconds[peer].append(time.perf_counter() - start)
        worst = _largest_difference(targets)
    ours = statistics.median(seconds["kyc_ml"])
    for peer in PEERS:
        median = statistics.median(seconds[peer])
        print(f"{peer:8s} {median:7.2f} s  {median / ours:5.1f} x kyc_ml")
    print(f"largest relative difference of any value: {worst:.1e}")


def _largest_difference(targets: dict[str, str]) -> float:
    import pandas as pd

    tables = [pd.read_parquet(targets[peer]).set_index("TRANSACTION_ID") for peer in PEERS]
    ours = tables[0].sort_index()
    worst = 0.0
    for table in tables[1:]:
        theirs = table.sort_index()[ours.columns]
        # an empty window: our sums are 0 and our deviations of equal values exactly 0
        scale = np.maximum(np.maximum(ours.abs(), theirs.abs()), 1.0)
        gap = (ours.fillna(0.0) - theirs.fillna(0.0)).abs() / scale.fillna(1.0)
        worst = max(worst, float(gap.to_numpy().max()))
    return worst


if __name__ == "__main__":
    main()
