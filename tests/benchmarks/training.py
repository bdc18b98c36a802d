"""What a training costs as the bank grows: seconds of each stage, and peak memory.

    python tests/benchmarks/training.py DATA [--millions 1 10] [--trees 600] [--scratch /tmp]

DATA holds the Fraud Detection Handbook's transactions.parquet. A million rows of whole customers
are repeated over new customers, terminals and payments, with other amounts (5 %) and times (half
an hour); `kyc-ml train` with configs/handbook.yaml then learns from each size, in a process of its
own whose peak of resident memory is printed. Fewer trees take less time, and as much memory.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time

from night import CHILD, CONFIGS, MILLION, each_size, repeat


def main() -> None:
    """Train on each size and print its figures."""
    for arguments, folder, millions in each_size(__doc__, "data", trees=600):
        (folder / "data").mkdir()
        shutil.copytree(CONFIGS, folder / "configs")
        config = folder / "configs" / "handbook.yaml"
        trees = f"n_estimators: {arguments.trees}"
        config.write_text(config.read_text().replace("n_estimators: 600", trees))
        target = folder / "data" / "transactions.parquet"
        source = arguments.data / "transactions.parquet"
        repeat(source, target, rows=millions * MILLION, noise=True)
        environment = {
            **os.environ,
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
            "GOMP_SPINCOUNT": "0",
            "TMPDIR": str(folder),
        }
        began = time.perf_counter()
        done = subprocess.run(
            [
                *(sys.executable, "-c", CHILD, "train", "--data", str(folder / "data")),
                *("--config", str(config)),
                *("--source", str(CONFIGS / "sources" / "handbook.yaml")),
            ],
            check=False, capture_output=True, text=True, env=environment, cwd=folder,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(done.stdout[-3000:] + done.stderr[-3000:])
        peak = int(re.search(r"peak kB (\d+)", done.stdout).group(1)) / 1024
        spent = time.perf_counter() - began
        print(f"{millions} million: peak {peak:,.0f} MB, {spent:,.0f} s", flush=True)


if __name__ == "__main__":
    main()
