"""How the cost of building features grows: 1, 4 and 16 million card transactions.

    python tests/benchmarks/growth.py TRANSACTIONS.parquet [--millions 1 4 16] [--scratch /tmp]

TRANSACTIONS has TRANSACTION_ID, TX_DATETIME, CUSTOMER_ID, TERMINAL_ID, TX_AMOUNT, as the
Fraud Detection Handbook's data do. A million rows of whole customers are repeated over new
customers and new terminals, so that every size has the same history behind each row. Each
build in buckets is a process of its own; prints seconds, rows a second, seconds a million
rows relative to the first size, and the peak of resident memory. Then: what compiling
costs the first process ever, and where the time of a build in memory goes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

FAMILIES = ("velocity", "amounts", "timing", "counterparties", "novelty")
MILLION = 1_000_000
CHUNK = 50_000
STAGES = {
    "grouping and sorting": ("reading", "build_history"),
    "sweeping": ("reading", "_sweep"),
    "formulas": ("build", "combine"),
}


def read_cards(source: str):
    """Read the data under contracted names, in order of time, ids as text."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = ["TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT"]
    table = pq.read_table(source, columns=columns).sort_by("TX_DATETIME")
    when = table["TX_DATETIME"].cast(pa.timestamp("us")).cast(pa.timestamp("us", tz="UTC"))
    names = {"transaction_id": 0, "customer_id": 2, "counterparty_id": 3}
    return pa.table(
        {
            **{name: table.column(at).cast(pa.string()) for name, at in names.items()},
            "event_time": when,
            "known_at": when,
            "amount": table["TX_AMOUNT"],
            "direction": pa.repeat(pa.scalar("out"), len(table)),
            "instrument": pa.repeat(pa.scalar("card"), len(table)),
        }
    )


def of_some_customers(table, rows: int):
    """Take the first `rows` rows of as few whole customers as have them."""
    import pyarrow.compute as pc

    counts = table["customer_id"].value_counts().to_pylist()
    chosen, total = [], 0
    for each in counts:
        if total >= rows:
            break
        chosen.append(each["values"])
        total += each["counts"]
    return table.filter(pc.is_in(table["customer_id"], value_set=_strings(chosen))).slice(0, rows)


def _strings(values):
    import pyarrow as pa

    return pa.array(values, pa.string())


def repeat(table, copies: int, folder: Path) -> None:
    """Write the rows `copies` times, each time of new customers at new terminals."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    folder.mkdir()
    target = folder / "transactions.parquet"
    with pq.ParquetWriter(target, table.schema, compression="lz4") as writer:
        for start in range(0, len(table), CHUNK):
            rows = table.slice(start, CHUNK).combine_chunks()
            several = rows.take(pa.array(np.repeat(np.arange(len(rows)), copies)))
            copy = pa.array(np.tile(np.arange(copies), len(rows))).cast(pa.string())
            for name in ("transaction_id", "customer_id", "counterparty_id"):
                renamed = pc.binary_join_element_wise(several[name], copy, "-")
                at = several.column_names.index(name)
                several = several.set_column(at, name, renamed)
            writer.write_table(several)
    observe(target, folder / "observations.parquet")


def observe(transactions: Path, target: Path) -> None:
    """Write every transaction as an observation at its own time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = {"transaction_id": "observation_id", "event_time": "decision_time"}
    writer = None
    with pq.ParquetFile(transactions) as file:
        for batch in file.iter_batches(1 << 18):
            rows = pa.Table.from_batches([batch]).drop_columns(["known_at"])
            rows = rows.rename_columns([names.get(name, name) for name in rows.column_names])
            writer = writer or pq.ParquetWriter(target, rows.schema, compression="lz4")
            writer.write_table(rows)
    writer.close()


def card_specs():
    """Choose the features of a card payment."""
    from kyc_ml.config import FeatureConfig
    from kyc_ml.features import choose_features

    return choose_features(FeatureConfig(families=FAMILIES), unit="fraud")


def build_in_buckets(folder: Path) -> dict:
    """Build the features of a folder's observations; this process does nothing else."""
    from kyc_ml.features import build_features_in_buckets

    start = time.perf_counter()
    result = build_features_in_buckets(
        {"transactions": folder / "transactions.parquet"},
        folder / "observations.parquet",
        specs=card_specs(),
        timezone="UTC",
        out=folder / "features.parquet",
        scratch=folder / "scratch",
        threads=2,
    )
    return _figures(result.rows, len(result.specs), time.perf_counter() - start)


def build_in_memory(folder: Path) -> dict:
    """Build the same in memory on one thread, and tell where the time goes."""
    import pyarrow.parquet as pq

    from kyc_ml.contract import ContractedTables, DataQualityReport
    from kyc_ml.features import build, reading

    spent: dict[str, float] = defaultdict(float)
    for stage, (module, name) in STAGES.items():
        place = {"reading": reading, "build": build}[module]
        setattr(place, name, _timed(getattr(place, name), stage, spent))
    start = time.perf_counter()
    tables = {"transactions": pq.read_table(folder / "transactions.parquet")}
    observations = pq.read_table(folder / "observations.parquet")
    spent["reading"] = time.perf_counter() - start
    source = ContractedTables(
        tables=tables,
        timezone="UTC",
        base_currency="EUR",
        digests={},
        quality=DataQualityReport(tables=()),
    )
    features = build.build_features(source, observations, specs=card_specs(), threads=1)
    built = time.perf_counter()
    pq.write_table(features.to_arrow(), folder / "features.parquet", compression="zstd")
    spent["writing"] = time.perf_counter() - built
    total = time.perf_counter() - start
    spent["columns of rows, latest rows, other"] = total - sum(spent.values())
    return {**_figures(len(features), len(features.specs), total), "spent": dict(spent)}


def _timed(function, stage: str, spent: dict[str, float]):
    def run(*args, **kwargs):
        start = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            spent[stage] += time.perf_counter() - start

    return run


def _figures(rows: int, features: int, seconds: float) -> dict:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"rows": rows, "features": features, "seconds": seconds, "peak_mb": peak}


def in_a_process(task: str, folder: Path, **environment: str) -> dict:
    """Run a task in a process of its own; seconds include neither start nor imports."""
    command = [sys.executable, __file__, task, "--task", str(folder)]
    start = time.perf_counter()
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, **environment}
    )
    return {**json.loads(done.stdout.splitlines()[-1]), "wall": time.perf_counter() - start}


def show_growth(table, millions: list[int], scratch: Path) -> None:
    """Build each size and compare its time a row with the first."""
    base = of_some_customers(table, MILLION)
    first = None
    print(f"{'rows':>12s} {'features':>8s} {'seconds':>8s} {'rows/s':>9s} {'per row':>8s} peak MB")
    for copies in millions:
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            repeat(base, copies, Path(folder) / "data")
            got = in_a_process("buckets", Path(folder) / "data")
        per_row = got["seconds"] / got["rows"]
        first = first or per_row
        print(
            f"{got['rows']:12,} {got['features']:8d} {got['seconds']:8.1f} "
            f"{1 / per_row:9,.0f} {per_row / first:7.2f}x {got['peak_mb']:7,.0f}",
            flush=True,
        )


def show_compiling(table, scratch: Path) -> None:
    """Build a few rows with an empty cache of compiled code, and again with a full one."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        repeat(table.slice(0, 2_000), 1, Path(folder) / "data")
        cache = {"NUMBA_CACHE_DIR": str(Path(folder) / "numba")}
        runs = [in_a_process("buckets", Path(folder) / "data", **cache) for _ in range(2)]
    print(f"first process ever {runs[0]['wall']:.1f} s, the second {runs[1]['wall']:.1f} s")


def show_memory(table, scratch: Path) -> None:
    """Build all rows in memory and print the share of each stage."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        repeat(table, 1, Path(folder) / "data")
        got = in_a_process("memory", Path(folder) / "data")
    rate = got["rows"] * got["features"] / got["seconds"]
    print(
        f"in memory, one thread: {got['rows']:,} rows, {got['features']} features, "
        f"{got['seconds']:.1f} s, {rate:,.0f} values/s, peak {got['peak_mb']:,.0f} MB"
    )
    for stage, seconds in sorted(got["spent"].items(), key=lambda item: -item[1]):
        print(f"  {stage:38s} {seconds:6.1f} s {seconds / got['seconds']:5.0%}")


def main() -> None:
    """Print all figures, or run one task for them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("transactions")
    parser.add_argument("--millions", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--only", choices=("growth", "compiling", "memory"))
    parser.add_argument("--task", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.task is not None:
        run = {"buckets": build_in_buckets, "memory": build_in_memory}[arguments.transactions]
        print(json.dumps(run(arguments.task)))
        return
    table = read_cards(arguments.transactions)
    if arguments.only in {None, "compiling"}:
        show_compiling(table, arguments.scratch)
    if arguments.only in {None, "growth"}:
        show_growth(table, arguments.millions, arguments.scratch)
    if arguments.only in {None, "memory"}:
        show_memory(table, arguments.scratch)


if __name__ == "__main__":
    main()
