"""What a night costs from a history store as the history grows in time: seconds of each stage.

    python tests/benchmarks/history.py DATA BUNDLE [--millions 1 10] [--arrivals 100000]

DATA holds the Fraud Detection Handbook's transactions.parquet, BUNDLE a model trained on it
with configs/handbook.yaml. A million payments of whole customers are repeated in time, before
themselves; all but the last arrivals are appended to a new store (`kyc-ml history append`),
and `kyc-ml score --history` then appends and scores the arrivals.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

from night import CHILD, CONFIGS, MILLION, each_size

SPAN = timedelta(days=189)
"""Whole weeks that the payments last: a copy begins when the one before it has ended."""


def repeat(source: Path, *, millions: int):
    """Return about a million rows of whole customers, repeated in time, in order of time."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(source)
    counts = table["CUSTOMER_ID"].value_counts().to_pylist()
    total = np.cumsum([each["counts"] for each in counts])
    kept = [each["values"] for each in counts[: int(np.searchsorted(total, MILLION)) + 1]]
    base = table.filter(pc.is_in(table["CUSTOMER_ID"], pa.array(kept))).sort_by("TX_DATETIME")
    ids = base["TRANSACTION_ID"].cast(pa.int64()).to_numpy()
    parts = []
    for copy in reversed(range(millions)):
        moved = {
            "TRANSACTION_ID": pa.array(ids + copy * (int(ids.max()) + 1)),
            "TX_DATETIME": pc.subtract(base["TX_DATETIME"], pa.scalar(copy * SPAN)),
        }
        part = base
        for name, values in moved.items():
            at = base.column_names.index(name)
            part = part.set_column(at, name, values.cast(base.schema.field(name).type))
        parts.append(part)
    return pa.concat_tables(parts)


def run(folder: Path, *arguments: object) -> tuple[str, str, float]:
    """Run a command in a process of its own; return its output, cost, and processor seconds."""
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
    began, used = time.monotonic(), os.times()
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
        cwd=folder,
    )
    if done.returncode:
        raise SystemExit(done.stdout[-3000:] + done.stderr[-3000:])
    now = os.times()
    busy = now.children_user + now.children_system - used.children_user - used.children_system
    peak = int(re.search(r"peak kB (\d+)", done.stdout).group(1)) / 1024
    cost = f"{time.monotonic() - began:.1f} s, {busy:.1f} s of the processor, peak {peak:,.0f} MB"
    return done.stdout, cost, busy


def measure(folder: Path, arguments: argparse.Namespace, source: Path, *, millions: int) -> float:
    """Make a store and score a night from it; return the processor seconds of the night."""
    import pyarrow.parquet as pq

    rows = repeat(arguments.data / "transactions.parquet", millions=millions)
    before = len(rows) - arguments.arrivals
    for name, part in (("before", rows.slice(0, before)), ("arrivals", rows.slice(before))):
        (folder / name).mkdir()
        pq.write_table(part, folder / name / "transactions.parquet")
    since = rows["TX_DATETIME"][before].as_py()
    until = (rows["TX_DATETIME"][-1].as_py() + timedelta(days=1)).date()
    del rows
    given = ("--source", source, "--history", folder / "store")
    bundle = ("--model", arguments.bundle.absolute())
    _, cost, busy = run(folder, "history", "append", *given, *bundle, "--data", folder / "before")
    size = sum(path.stat().st_size for path in (folder / "store").glob("*.db*"))
    parquet = (folder / "before" / "transactions.parquet").stat().st_size
    print(
        f"{before:,} rows appended in {cost} "
        f"({busy / before * MILLION:.0f} s a million); "
        f"{size / before:.0f} bytes a payment, {size / parquet:.1f} times the Parquet",
        flush=True,
    )
    (folder / "limits.yaml").write_text("drift: {score: null, features_drifted: null}\n")
    said, cost, busy = run(
        folder, "score", *given, *bundle, "--data", folder / "arrivals",
        "--since", since.isoformat(), "--as-of", until.isoformat(),
        "--out", folder / "out", "--limits", folder / "limits.yaml",
    )  # fmt: skip
    stages = re.findall(r"(\w[\w ]+?)\s+│ ([\d.]+) s", said)
    print(f"night of {arguments.arrivals:,} arrivals: {cost}", dict(stages), flush=True)
    return busy


def main() -> None:
    """Measure each size, and compare it with the first."""
    source, first = CONFIGS / "sources" / "handbook.yaml", None
    for arguments, folder, millions in each_size(__doc__, "data", "bundle", arrivals=100_000):
        spent = measure(folder, arguments, source, millions=millions)
        first = first or spent
        print(f"{millions} million: {spent / first:.2f} times the processor seconds", flush=True)


if __name__ == "__main__":
    main()
