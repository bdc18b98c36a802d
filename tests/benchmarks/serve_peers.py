"""Fifteen windowed features of one payment at a time: a history store beside SQL by key.

    python tests/benchmarks/serve_peers.py --data FOLDER --first 2018-07-25

FOLDER has the Handbook's transactions. Features: count, sum, mean, largest and sample standard
deviation of the amount over the customer's last 1, 7 and 30 days, half open. Each engine has the
rows before the first day; for each payment it computes the features, then adds the payment
durably. SQLite: a table with an index by customer and time, one query; DuckDB: a table in a file,
one query. Prints p50 and p99 in milliseconds, and the largest difference of any value.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from kyc_ml.config import SourceMapping, load_section
from kyc_ml.contract import ContractedTables, read_source
from kyc_ml.dataset import as_observations
from kyc_ml.features import DAY_US, FeatureSpec, Window, microseconds
from kyc_ml.features.periods import period_of
from kyc_ml.history import HistoryStore, Served, append_tables, create_history
from kyc_ml.serving.live import LiveHistory

DAYS = (1, 7, 30)
STATISTICS = ("count", "sum", "mean", "max", "std")
Compute = Callable[[pa.Table, tuple[str, int, float]], list[float | None]]


def with_kyc_ml(folder: Path, tables: ContractedTables) -> Compute:
    """Read from a history store with live features; the log is what makes a payment durable."""
    specs = [
        FeatureSpec(
            name=f"{statistic}_{days}d",
            family="amounts",
            how=Window(
                table="transactions",
                key=("customer_id",),
                statistic=statistic,
                period=period_of(f"{days}d"),
                value=None if statistic == "count" else "amount",
            ),
            unit="1",
            description="",
            description_zh="",
        )
        for days in DAYS
        for statistic in STATISTICS
    ]
    with create_history(folder, tables, [specs]) as made:
        append_tables(made, tables, note={})
    store = HistoryStore.open(folder)
    live = LiveHistory(HistoryStore.open(store.folder), specs)
    names = [spec.name for spec in specs]

    def compute(row: pa.Table, _: tuple[str, int, float]) -> list[float | None]:
        facts = live.compute(as_observations(row, "transaction_id"))
        live.add("transactions", row)
        key = row["transaction_id"][0].as_py()
        store.log([Served(key=key, request=b"", answer=b"", row=json.dumps(key).encode())])
        return facts.reorder(names).numbers[0].tolist()

    return compute


def with_sql(connection: Any, rows: list[tuple[str, int, float]], *, sqlite: bool) -> Compute:
    """Query a table of customer, time and amount by customer."""
    connection.execute("CREATE TABLE t (customer VARCHAR, instant BIGINT, amount DOUBLE)")
    if sqlite:
        connection.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
    else:
        frame = pd.DataFrame(rows, columns=["customer", "instant", "amount"])  # noqa: F841  read by name
        connection.execute("INSERT INTO t SELECT * FROM frame")
    connection.execute("CREATE INDEX i ON t (customer, instant)")
    std = "CASE WHEN {n} > 1 THEN sqrt(max(0, ({q} - {s} * {s} / {n}) / ({n} - 1))) END"
    columns = []
    for days in DAYS:
        here = f"instant >= ?2 - {days * DAY_US}"
        n, s, q = (
            f"coalesce(sum(CASE WHEN {here} THEN {what} END), 0.0)"
            for what in ("1.0", "amount", "amount * amount")
        )
        top = f"max(CASE WHEN {here} THEN amount END)"
        spread = std.format(n=n, s=s, q=q) if sqlite else (
            f"stddev_samp(CASE WHEN {here} THEN amount END)"
        )  # fmt: skip
        columns += [n, s, f"CASE WHEN {n} > 0 THEN {s} / {n} END", top, spread]
    sql = (
        f"SELECT {', '.join(columns)} FROM t WHERE customer = ?1 AND instant < ?2 "
        f"AND instant >= ?2 - {max(DAYS) * DAY_US}"
    ).replace("?", "?" if sqlite else "$")

    def compute(_: pa.Table, values: tuple[str, int, float]) -> list[float | None]:
        found = connection.execute(sql, values[:2]).fetchone()
        connection.execute(
            "INSERT INTO t VALUES (?, ?, ?)" if sqlite else "INSERT INTO t VALUES ($1, $2, $3)",
            values,
        )
        return list(found)

    return compute


def main() -> None:
    """Give each engine the same payments, and print latencies side by side."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--source", type=Path, default=Path("configs/sources/handbook.yaml"))
    asked.add_argument("--data", type=Path, required=True)
    asked.add_argument("--first", default="2018-07-25")
    asked.add_argument("--warm", type=int, default=10_000)
    asked.add_argument("--measured", type=int, default=5_000)
    asked.add_argument("--scratch", type=Path)
    given = asked.parse_args()
    start = pa.scalar(pd.Timestamp(given.first, tz="UTC"), pa.timestamp("us", "UTC"))
    source = read_source(load_section(given.source, SourceMapping), data=given.data).accepted
    payments = source["transactions"]
    before = payments.filter(pc.less(payments["event_time"], start))
    tables = replace(source, tables={"transactions": before})
    later = payments.filter(pc.greater_equal(payments["event_time"], start))
    later = later.slice(0, given.warm + given.measured)

    def plain(rows: pa.Table) -> list[tuple[str, int, float]]:
        times = microseconds(rows["event_time"]).tolist()
        return [
            *zip(rows["customer_id"].to_pylist(), times, rows["amount"].to_pylist(), strict=True)
        ]

    with tempfile.TemporaryDirectory(dir=given.scratch) as place:
        lite = sqlite3.connect(Path(place) / "lite.db", isolation_level=None)
        lite.execute("PRAGMA journal_mode = WAL")
        lite.execute("BEGIN")
        engines = {
            "kyc_ml": with_kyc_ml(Path(place) / "history", tables),
            "sqlite": with_sql(lite, plain(before), sqlite=True),
            "duckdb": with_sql(
                duckdb.connect(Path(place) / "duck.db"), plain(before), sqlite=False
            ),
        }
        lite.execute("COMMIT")
        lite.execute("PRAGMA synchronous = FULL")
        spent: dict[str, list[float]] = {name: [] for name in engines}
        worst = dict.fromkeys(engines, 0.0)
        for number, values in enumerate(plain(later)):
            row, first = later.slice(number, 1).combine_chunks(), None
            for name, compute in engines.items():
                began = time.perf_counter()
                found = np.array(compute(row, values), np.float64)
                if number >= given.warm:
                    spent[name].append((time.perf_counter() - began) * 1e3)
                first = found if first is None else first
                assert (np.isnan(found) == np.isnan(first)).all(), name
                worst[name] = max(worst[name], float(np.nanmax(np.abs(found - first), initial=0)))
    report = {
        name: {
            "p50_ms": round(float(np.percentile(each, 50)), 3),
            "p99_ms": round(float(np.percentile(each, 99)), 3),
            "largest_difference": worst[name],
        }
        for name, each in spent.items()
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
