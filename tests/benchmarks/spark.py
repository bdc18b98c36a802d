"""Features on Spark beside one machine: every cell compared, times, and memory of the workers.

    python tests/benchmarks/spark.py DATA --buckets 1 7 64 --master "local[2]"

DATA has the Handbook's transactions (configs/sources/handbook.yaml); with `--source
configs/sources/synthetic.yaml` it is a synthetic bank, with the features of all families.
`--shuffled` puts observations in any order. `--hot 0.3` gives that share of the payments to one
customer and one counterparty; `--times 10` repeats the payments as other customers' (memory).
Processor time and peak memory are read from /proc: of the driver, its Java process and all Python
workers, without the start of the session.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from kyc_ml.config import DatasetConfig, FeatureConfig, RunConfig, SourceMapping, load_section
from kyc_ml.contract import ContractedTables, read_source
from kyc_ml.dataset import make_observations, make_reviews_at
from kyc_ml.engines import build_features_on_spark
from kyc_ml.features import FAMILIES, FeatureSpec, build_features_in_buckets, choose_features

HANDBOOK = Path("configs/sources/handbook.yaml")
ITEMS = ("bureau_score", "adverse_media", "due_diligence_report")


def observe(tables: ContractedTables, unit: str, *, shuffled: bool) -> pa.Table:
    """Observe every payment, or all customers on five days, in order of time or shuffled."""
    when = tables["transactions"]["event_time"]
    first, last = (pd.Timestamp(when[at].as_py()).normalize() for at in (0, -1))
    if unit == "fraud":
        found = make_observations(
            tables, unit="fraud", start=first, end=last, config=DatasetConfig()
        )
    else:
        days = [last - pd.Timedelta(days=30 * n) for n in range(5)]
        found = pa.concat_tables([make_reviews_at(tables, at=day) for day in days])
    order = np.random.default_rng(0).permutation(len(found)) if shuffled else range(len(found))
    return found.take(pa.array(order))


def changed(tables: dict[str, pa.Table], *, hot: float, times: int) -> dict[str, pa.Table]:
    """Give a share of the payments to one customer and one counterparty; repeat all payments."""
    paid = tables["transactions"]
    if hot:
        chosen = np.random.default_rng(1).random(len(paid)) < hot
        for name in ("customer_id", "counterparty_id"):
            one = pa.scalar(paid[name][0].as_py())
            values = pc.if_else(pa.array(chosen), one, paid[name])
            paid = paid.set_column(paid.column_names.index(name), name, values)
    copies = [paid]
    for copy in range(1, times):
        again = paid
        for name in ("customer_id", "counterparty_id", "transaction_id"):
            values = pc.binary_join_element_wise(paid[name], f"~{copy}", "")
            again = again.set_column(again.column_names.index(name), name, values)
        copies.append(again)
    order = [(name, "ascending") for name in ("event_time", "known_at", "transaction_id")]
    return {**tables, "transactions": pa.concat_tables(copies).sort_by(order)}


@dataclass(frozen=True)
class Spent:
    """Processor seconds of a tree of processes, and the peak of the largest Python worker."""

    seconds: float
    worker_mb: float


def spent() -> Spent:
    """Read what this process and all below it have used, of those still alive."""
    found: dict[int, tuple[int, str, float, float]] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            name, _, rest = (folder / "stat").read_text().partition("(")[2].rpartition(")")
            peak = [x for x in (folder / "status").read_text().splitlines() if "VmHWM" in x]
        except OSError:
            continue
        fields = rest.split()
        used = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
        found[int(folder.name)] = (
            int(fields[1]),
            name,
            used,
            int(peak[0].split()[1]) / 1e3 if peak else 0.0,
        )
    mine = {os.getpid()}
    while more := {pid for pid, each in found.items() if each[0] in mine} - mine:
        mine |= more
    workers = [found[p][3] for p in mine if p != os.getpid() and found[p][1].startswith("python")]
    return Spent(sum(found[pid][2] for pid in mine), max(workers, default=0.0))


def differing(paths: tuple[Path, ...], expected: Path) -> tuple[int, int]:
    """Count the cells, and those that differ in a bit; the rows are in the same order."""
    cells = wrong = 0
    for name in pq.read_schema(expected).names:
        ours = pa.concat_tables([pq.read_table(path, columns=[name]) for path in paths])
        theirs = pq.read_table(expected, columns=[name])
        a, b = ours[name].combine_chunks(), theirs[name].combine_chunks()
        cells += len(b)
        if a.type != b.type or len(a) != len(b):
            wrong += len(b)
        elif pa.types.is_floating(a.type):
            bits = [each.fill_null(0.0).to_numpy().view(np.int64) for each in (a, b)]
            nulls = [each.is_null().to_numpy(zero_copy_only=False) for each in (a, b)]
            wrong += int(((bits[0] != bits[1]) | (nulls[0] != nulls[1])).sum())
        elif not a.equals(b):
            wrong += sum(x != y for x, y in zip(a.to_pylist(), b.to_pylist(), strict=True))
    return cells, wrong


def compare(
    spark: SparkSession,
    stored: dict[str, Path],
    observations: Path,
    specs: tuple[FeatureSpec, ...],
    *,
    timezone: str,
    buckets: int,
    folder: Path,
) -> None:
    """Build features in both ways and print what was found."""
    expected = folder / "local.parquet"
    began, used = time.perf_counter(), time.process_time()
    build_features_in_buckets(
        stored, observations, specs=specs, timezone=timezone, out=expected,
        scratch=folder / "scratch", buckets=buckets,
    )  # fmt: skip
    local = time.perf_counter() - began, time.process_time() - used
    began, before = time.perf_counter(), spent()
    built = build_features_on_spark(
        spark, {name: [path] for name, path in stored.items()}, [observations], specs=specs,
        timezone=timezone, out=folder / f"features-{time.time_ns()}", buckets=buckets,
    )  # fmt: skip
    wall, after = time.perf_counter() - began, spent()
    cells, wrong = differing(built.files, expected)
    print(
        f"{spark.sparkContext.master}  {buckets} buckets  {built.rows:,} rows  "
        f"{cells:,} cells, {wrong:,} differ  one machine {local[0]:.1f} s ({local[1]:.1f} s of "
        f"processor time)  Spark {wall:.1f} s ({after.seconds - before.seconds:.1f} s)  "
        f"largest worker {after.worker_mb:,.0f} MB",
        flush=True,
    )


def main() -> None:
    """Read the source once, and compare for each master and number of buckets."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("data", type=Path)
    asked.add_argument("--source", type=Path, default=HANDBOOK)
    asked.add_argument("--buckets", type=int, nargs="+", default=[7])
    asked.add_argument("--master", nargs="+", default=["local[2]"])
    asked.add_argument("--units", nargs="+", default=["fraud"])
    asked.add_argument("--shuffled", action="store_true", help="observations in any order")
    asked.add_argument("--hot", type=float, default=0.0)
    asked.add_argument("--times", type=int, default=1)
    asked.add_argument("--scratch", type=Path)
    given = asked.parse_args()
    tables = read_source(load_section(given.source, SourceMapping), data=given.data).accepted
    own = load_section(Path("configs/handbook.yaml"), RunConfig).features
    every = FeatureConfig(families=tuple(FAMILIES), third_party_items=ITEMS)
    config = own if given.source == HANDBOOK else every
    with tempfile.TemporaryDirectory(dir=given.scratch) as place:
        folder = Path(place)
        if given.hot or given.times > 1:
            rows = changed(dict(tables.tables), hot=given.hot, times=given.times)
            tables = ContractedTables(
                tables=rows, timezone=tables.timezone, base_currency=tables.base_currency,
                digests={}, quality=tables.quality,
            )  # fmt: skip
        stored = dict(tables.store(folder / "stored").files)
        for unit in given.units:
            pq.write_table(
                observe(tables, unit, shuffled=given.shuffled), folder / f"{unit}.parquet"
            )
        timezone = tables.timezone
        del tables
        for master in given.master:
            spark = (
                SparkSession.builder.master(master)
                .config("spark.driver.memory", "1g")
                .config("spark.executor.memory", "1g")
                .config("spark.ui.enabled", "false")
                .config("spark.ui.showConsoleProgress", "false")
                .config("spark.sql.session.timeZone", "UTC")
                .config("spark.local.dir", str(folder / "spark"))
                .config("spark.shuffle.compress", "false")  # blobs are compressed
                .getOrCreate()
            )
            # the workers are started, and have imported what they compute with
            spark.range(0, 8, 1, 8).mapInArrow(_import, "id long").collect()
            for unit in given.units:
                for buckets in given.buckets:
                    compare(
                        spark, stored, folder / f"{unit}.parquet",
                        choose_features(config, unit=unit), timezone=timezone, buckets=buckets,
                        folder=folder,
                    )  # fmt: skip
            spark.stop()


def _import(batches):
    import kyc_ml.engines.spark.executor  # noqa: F401

    yield from batches


if __name__ == "__main__":
    main()
