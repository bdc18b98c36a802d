"""Fifteen windowed features, Parquet to Parquet: kyc_ml beside pandas, Polars and DuckDB.

    python tests/benchmarks/windowed_features.py TRANSACTIONS.parquet [runs]

TRANSACTIONS has TRANSACTION_ID, TX_DATETIME, CUSTOMER_ID, TX_AMOUNT, as the Fraud
Detection Handbook's data do. Features: count, sum, mean, largest and sample standard
deviation of the amount over the customer's last 1, 7 and 30 days, half open. Prints the
median seconds of each and their ratio to kyc_ml, once with a process for each call, start
and imports included, and once for repeated calls in one process; then how far the values
differ. Needs polars beside kyc_ml.
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
    """Sweep with kyc_ml's own kernels, customer after customer, and write meanwhile."""
    from concurrent.futures import ThreadPoolExecutor
    from dataclasses import replace

    import pyarrow as pa
    import pyarrow.parquet as pq

    from kyc_ml.features import DAY_US, Window
    from kyc_ml.features.history import History, build_history
    from kyc_ml.features.periods import WindowLength
    from kyc_ml.features.sweeps import ColumnsRead, Sweep
    from kyc_ml.features.timed_rows import TimedRows

    table = pq.ParquetFile(source).read(columns=COLUMNS)
    when = table["TX_DATETIME"].cast(pa.timestamp("us", tz="UTC"))
    columns = {"customer_id": table["CUSTOMER_ID"], "amount": table["TX_AMOUNT"]}
    rows = TimedRows(pa.table({**columns, "event_time": when, "known_at": when}))
    ids = table["TRANSACTION_ID"].to_numpy()
    names = [f"{statistic}_{days}d" for days in DAYS for statistic in STATISTICS]

    # no column has a null: what is missing is NaN, as in the peers' files
    fields = [("TRANSACTION_ID", pa.from_numpy_dtype(ids.dtype))]
    fields += [(name, pa.int32() if "count" in name else pa.float64()) for name in names]
    schema = pa.schema([pa.field(*field, nullable=False) for field in fields])

    def sweep(part: History) -> pa.Table:
        n = part.observations.size
        here = replace(part, observations=np.arange(n, dtype=np.int32))
        numbers = np.full((n, len(names)), np.nan, order="F")
        read = ColumnsRead(here)
        for place, days in enumerate(DAYS):
            period = WindowLength(label=f"{days}d", us=days * DAY_US, english="", chinese="")
            wanted = [
                Window(
                    table="transactions",
                    key=("customer_id",),
                    statistic=statistic,
                    period=period,
                    value=None if statistic == "count" else "amount",
                )
                for statistic in STATISTICS
            ]
            first = place * len(STATISTICS)
            window = Sweep(here, window_us=period.us, columns=read)
            window.fill([(how, first + at) for at, how in enumerate(wanted)], numbers)
        found = {
            name: numbers[:, column].astype(schema.field(name).type.to_pandas_dtype(), copy=False)
            for column, name in enumerate(names)
        }
        return pa.table({"TRANSACTION_ID": ids[part.observations], **found}, schema=schema)

    history = build_history(rows, rows, key=("customer_id",))
    options = {
        "compression": "lz4",
        "use_dictionary": False,
        "use_byte_stream_split": names,
        "write_batch_size": 1 << 16,
    }
    with ThreadPoolExecutor(1) as pool, pq.ParquetWriter(target, schema, **options) as writer:
        for found in pool.map(sweep, history.parts(1 << 17)):
            writer.write_table(found)


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
    with tempfile.TemporaryDirectory() as folder:
        targets = {peer: str(Path(folder) / f"{peer}.parquet") for peer in PEERS}
        _report("each call in a process of its own", _time_processes(source, targets, runs))
        _report("calls in one process, after a first one", _time_calls(source, targets, runs))
        worst = _largest_difference(targets)
    print(f"largest relative difference of any value: {worst:.1e}")


def _time_processes(source: str, targets: dict[str, str], runs: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {peer: [] for peer in PEERS}
    for run in range(runs + 1):  # the first warms caches and is not counted
        for peer in PEERS:
            start = time.perf_counter()
            subprocess.run([sys.executable, __file__, source, peer, targets[peer]], check=True)
            if run:
                seconds[peer].append(time.perf_counter() - start)
    return seconds


def _time_calls(source: str, targets: dict[str, str], runs: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {peer: [] for peer in PEERS}
    for run in range(runs + 1):
        for peer in PEERS:
            start = time.perf_counter()
            globals()[f"with_{peer}"](source, targets[peer])
            if run:
                seconds[peer].append(time.perf_counter() - start)
    return seconds


def _report(title: str, seconds: dict[str, list[float]]) -> None:
    ours = statistics.median(seconds["kyc_ml"])
    print(f"{title}, median of {len(seconds['kyc_ml'])}:")
    for peer in PEERS:
        median = statistics.median(seconds[peer])
        print(f"  {peer:8s} {median:7.2f} s  {median / ours:5.1f} x kyc_ml")


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
