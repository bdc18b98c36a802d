"""What a night's job costs as its tables grow: seconds of each stage, rows a second, peak memory.

    python tests/benchmarks/night.py DATA BUNDLE [--millions 1 10] [--days 7] [--scratch /tmp]

DATA holds the Fraud Detection Handbook's transactions.parquet, BUNDLE a model trained on it
with configs/handbook.yaml. A million rows of whole customers are repeated over new customers,
terminals and payments; `kyc-ml score` then scores the last days of each size, in a process
of its own whose peak of resident memory is printed. 0 days scores every row.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

CONFIGS = Path(__file__).parents[2] / "configs"
MILLION = 1_000_000
STAGES = ("reading", "examining", "choosing", "features", "scoring and explaining", "publishing")
CHILD = (
    "import resource, sys\n"
    "from typer.testing import CliRunner\n"
    "from kyc_ml.cli import app\n"
    "done = CliRunner().invoke(app, sys.argv[1:])\n"
    "print(done.stdout)\n"
    "print('peak kB', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    "sys.exit(done.exit_code)\n"
)


def repeat(source: Path, target: Path, *, rows: int, noise: bool = False):
    """Write whole customers of about a million rows, repeated to `rows`; give the last instant.

    With `noise` each repetition has other amounts, by 5 %, and times, by half an hour.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(source)
    counts = table["CUSTOMER_ID"].value_counts().to_pylist()
    kept, total = [], 0
    for each in counts:
        if total >= MILLION:
            break
        kept.append(each["values"])
        total += each["counts"]
    base = table.filter(pc.is_in(table["CUSTOMER_ID"], value_set=pa.array(kept)))
    names = ("TRANSACTION_ID", "CUSTOMER_ID", "TERMINAL_ID")
    numbers = {name: base[name].cast(pa.int64()).to_numpy() for name in names}
    step = {name: int(values.max()) + 1 for name, values in numbers.items()}
    with pq.ParquetWriter(target, base.schema, compression="lz4") as writer:
        for copy in range(rows // MILLION):
            shifted = base
            for name, values in numbers.items():
                moved = pa.array(values + np.int64(copy * step[name]))
                at = base.column_names.index(name)
                shifted = shifted.set_column(at, name, moved.cast(base.schema.field(name).type))
            if noise:
                rng = np.random.default_rng(copy)
                amount = base["TX_AMOUNT"].to_numpy() * rng.lognormal(0.0, 0.05, base.num_rows)
                moved = rng.integers(-1_800_000_000, 1_800_000_000, base.num_rows)
                when = base["TX_DATETIME"].cast(pa.int64()).to_numpy() + moved
                for name, values in {"TX_AMOUNT": amount.round(2), "TX_DATETIME": when}.items():
                    at, kind = base.column_names.index(name), base.schema.field(name).type
                    shifted = shifted.set_column(at, name, pa.array(values).cast(kind))
            writer.write_table(shifted)
    return pc.max(base["TX_DATETIME"]).as_py()


def night(folder: Path, bundle: Path, source: Path, *, last, days: int) -> dict:
    """Score the last days of a folder's transactions in a process of its own."""
    until = (last + timedelta(days=1)).date()
    period = ["--full"] if not days else ["--since", (until - timedelta(days=days)).isoformat()]
    command = [
        *(sys.executable, "-c", CHILD, "score", "--model", str(bundle), "--source", str(source)),
        *("--data", str(folder / "data"), "--as-of", until.isoformat(), *period),
        *("--out", str(folder / "out"), "--limits", str(folder / "limits.yaml")),
    ]
    (folder / "limits.yaml").write_text(
        "drift: {score: null, features_drifted: null}\n"
    )  # copies are no new population
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env=environment, cwd=folder
    )
    if done.returncode:
        raise SystemExit(done.stdout[-3000:] + done.stderr[-3000:])
    rows = json.loads((folder / "out" / "manifest.json").read_text())["rows"]
    seconds = {
        stage: float(found.group(1))
        for stage in STAGES
        if (found := re.search(rf"{stage}\s+│ ([\d.]+) s", done.stdout))
    }
    peak = int(re.search(r"peak kB (\d+)", done.stdout).group(1)) / 1024
    return {"rows": rows, "seconds": seconds, "peak_mb": peak}


def each_size(about: str, *needed: str, **options: int):
    """Read the arguments of a benchmark; yield them, a folder and its millions, for each size."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in needed:
        parser.add_argument(name, type=Path)
    parser.add_argument("--millions", type=int, nargs="+", default=[1, 10])
    for name, default in options.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    arguments = parser.parse_args()
    for millions in arguments.millions:
        folder = Path(tempfile.mkdtemp(dir=arguments.scratch))
        try:
            yield arguments, folder, millions
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Score each size and print its figures."""
    source, first = CONFIGS / "sources" / "handbook.yaml", None
    for arguments, folder, millions in each_size(__doc__, "data", "bundle", days=7):
        (folder / "data").mkdir()
        target = folder / "data" / "transactions.parquet"
        last = repeat(arguments.data / "transactions.parquet", target, rows=millions * MILLION)
        got = night(folder, arguments.bundle.absolute(), source, last=last, days=arguments.days)
        first = first or got["peak_mb"]
        read, scored = got["rows"]["read"], got["rows"]["scored"]
        print(
            f"read {read:,} rows, scored {scored:,}: peak {got['peak_mb']:,.0f} MB "
            f"({got['peak_mb'] / first:.2f}x)"
        )
        for stage, spent in got["seconds"].items():
            of = read if stage in {"reading", "features"} else scored
            print(f"  {stage:24s} {spent:8.1f} s {of / max(spent, 0.05):12,.0f} rows/s", flush=True)


if __name__ == "__main__":
    main()
